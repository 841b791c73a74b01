// Direct correlation in registers.
//
// A register tile holds R output rows x C vectors. An input row is loaded once per kernel column and serves all R output
// rows, so the multiply-add units are the limit and not the load ports. The weights lie column by column: those that one
// pixel meets are then neighbours, and one pointer finds them all (25 % faster than row by row).
//
// Every output pixel is summed in the same order whatever tile it falls into: any split into bands and tiles gives the same
// bits. That order is term by term, row by row, left to right. At most `most_taps` are added up in one float32 sum, and
// such sums in float64; one float32 sum of a thousand equal terms would be off by 1e-5 (test_large_kernels_keep_their_digits).
//
// A block that lies wholly inside an image of the right type is read where it is. Every other one (at the border, of another
// type, stride or byte order, narrower than a vector) is first gathered into scratch memory by pixels.hpp.
#pragma once
#include "job.hpp"
#include "pixels.hpp"
#include "vec.hpp"

namespace corr2d {
namespace CORR2D_ISA {

template <class T>
struct Weights {  // kh x kw of them; number u * stride + v is the weight (v, u)
    const T* at;
    std::ptrdiff_t kh, kw, stride;
};

// Adds what one input row x, the r-th below the tile's first, gives to the output rows first..last.
template <class T, int R, int C, int first, int last>
static CORR2D_INLINE void add_row(Vec<T> (&sum)[R][C], const T* x, const Weights<T>& k, std::ptrdiff_t r) {
    const T* w = k.at + r;
    const std::ptrdiff_t stride = k.stride;
    for (std::ptrdiff_t u = k.kw; u > 0; --u, ++x, w += stride) {
        Vec<T> pixels[C];
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) pixels[c] = load_once(x + c * lanes<T>);
#pragma GCC unroll 8
        for (int i = first; i <= last; ++i) {
#pragma GCC unroll 8
            for (int c = 0; c < C; ++c) sum[i][c] += pixels[c] * w[-i];
        }
    }
}

// Adds input rows r, r + 1, ... of a kernel of KH rows, each to the output rows that it reaches: unrolled, since registers
// must be named at compile time.
template <class T, int R, int C, int KH, int r = 0>
static CORR2D_INLINE void add_rows(Vec<T> (&sum)[R][C], const T* x, std::ptrdiff_t stride, const Weights<T>& k) {
    constexpr int first = r < KH ? 0 : r - KH + 1, last = r < R ? r : R - 1;
    add_row<T, R, C, first, last>(sum, x + r * stride, k, r);
    if constexpr (r + 1 < R + KH - 1) add_rows<T, R, C, KH, r + 1>(sum, x, stride, k);
}

// The same for kh >= R: rows that reach the first few outputs, then all of them, then the last few.
template <class T, int R, int C, int i = 1>
static CORR2D_INLINE void add_first_rows(Vec<T> (&sum)[R][C], const T* x, std::ptrdiff_t stride, const Weights<T>& k) {
    if constexpr (i < R) {
        add_row<T, R, C, 0, i - 1>(sum, x + (i - 1) * stride, k, i - 1);
        add_first_rows<T, R, C, i + 1>(sum, x, stride, k);
    }
}
template <class T, int R, int C, int i = 1>
static CORR2D_INLINE void add_last_rows(Vec<T> (&sum)[R][C], const T* x, std::ptrdiff_t stride, const Weights<T>& k) {
    if constexpr (i < R) {
        add_row<T, R, C, i, R - 1>(sum, x + (k.kh - 1 + i) * stride, k, k.kh - 1 + i);
        add_last_rows<T, R, C, i + 1>(sum, x, stride, k);
    }
}

template <class T>
struct Block {  // rows x columns outputs at y from the pixels at x
    const T* x;
    std::ptrdiff_t x_stride;
    T* y;
    std::ptrdiff_t y_stride;
    std::ptrdiff_t rows, columns;
    bool resume;  // add to what stands at y already; else to `bias`
    T bias;
};

static constexpr int tall = 0;  // in place of KH, the rows of a kernel of fewer than R

template <class T, int R, int C, int KH>
static CORR2D_INLINE void correlate_tile(const Block<T>& b, const Weights<T>& k, std::ptrdiff_t row, std::ptrdiff_t column) {
    const T* const x = b.x + row * b.x_stride + column;
    T* const y = b.y + row * b.y_stride + column;
    Vec<T> sum[R][C];
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) sum[i][c] = b.resume ? load(y + i * b.y_stride + c * lanes<T>) : Vec<T>{} + b.bias;
    }
    if constexpr (KH == tall) {
        add_first_rows<T, R, C>(sum, x, b.x_stride, k);
        for (std::ptrdiff_t r = R - 1; r < k.kh; ++r) add_row<T, R, C, 0, R - 1>(sum, x + r * b.x_stride, k, r);
        add_last_rows<T, R, C>(sum, x, b.x_stride, k);
    } else {
        add_rows<T, R, C, KH>(sum, x, b.x_stride, k);
    }
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) store(y + i * b.y_stride + c * lanes<T>, sum[i][c]);
    }
}

// From `row` on, as many times R rows as there are. The last tile of a row overlaps the one before: no scalar tail,
// the same bits twice. (Where sums are resumed, columns are whole vectors, and nothing is added twice.)
template <class T, int R, int KH = tall>
[[gnu::noinline]] static std::ptrdiff_t correlate_rows(const Block<T>& b, const Weights<T>& k, std::ptrdiff_t row) {
    if constexpr (KH + 1 < R) {
        const bool fits = KH == tall ? k.kh >= R : k.kh == KH;
        if (!fits) return correlate_rows<T, R, KH + 1>(b, k, row);
    }
    constexpr std::ptrdiff_t wide = tile_vectors * lanes<T>;
    for (; row + R <= b.rows; row += R) {
        std::ptrdiff_t column = 0;
        for (; column + wide <= b.columns; column += wide) correlate_tile<T, R, tile_vectors, KH>(b, k, row, column);
        if (column > 0 && b.columns - column > lanes<T> && !b.resume) {  // one wide tile takes no longer than two narrow ones
            correlate_tile<T, R, tile_vectors, KH>(b, k, row, b.columns - wide);
            continue;
        }
        for (; column < b.columns; column += lanes<T>) {
            correlate_tile<T, R, 1, KH>(b, k, row, min(column, b.columns - lanes<T>));
        }
    }
    return row;
}

template <class T>
static void correlate_block(const Block<T>& b, const Weights<T>& k) {  // columns >= one vector
    std::ptrdiff_t row = correlate_rows<T, tile_rows>(b, k, 0);
    row = correlate_rows<T, 2>(b, k, row);
    correlate_rows<T, 1>(b, k, row);
}

// 128 equal terms are off by up to 2e-6 in float32, unequal ones by 3e-7. Sums of 64 halve that, at 20 % of the speed.
template <class T>
static constexpr std::ptrdiff_t most_taps = sizeof(T) == 4 ? 128 : 1024;

// The parts that a kernel is summed in: `rows` x `columns` taps each, as equal as can be, and never more than `most_taps`:
// the bound on rounding that near ties are found by counts on it.
template <class T>
struct Parts {
    std::ptrdiff_t rows, columns;

    Parts(std::ptrdiff_t kh, std::ptrdiff_t kw)
        : rows(share(kh, most_taps<T> / min(kw, most_taps<T>))), columns(share(kw, most_taps<T>)) {}

    static Weights<T> part(const Weights<T>& k, std::ptrdiff_t v, std::ptrdiff_t u, std::ptrdiff_t rows, std::ptrdiff_t columns) {
        return {k.at + u * k.stride + v, min(rows, k.kh - v), min(columns, k.kw - u), k.stride};
    }

  private:
    static std::ptrdiff_t share(std::ptrdiff_t n, std::ptrdiff_t most) {
        const std::ptrdiff_t parts = (n + most - 1) / most;
        return (n + parts - 1) / parts;
    }
};

// A block of results while its parts come one by one: `results` holds the sum of the last few, `carry` that of those before.
template <class T>
class Sums {
  public:
    Sums(T* results, double* carry, std::ptrdiff_t stride) : results(results), carry(carry), stride(stride) {}

    void start(std::ptrdiff_t block_rows, std::ptrdiff_t whole_columns, double bias) {
        rows = block_rows;
        columns = whole_columns;
        first = T(bias);
        taps = 0;
        carried = false;
    }

    // Adds the rows of a kernel that are `k`, whose first pixel of the first result is x.
    void add(const T* x, std::ptrdiff_t x_stride, const Weights<T>& k, const Parts<T>& parts) {
        for (std::ptrdiff_t v = 0; v < k.kh; v += parts.rows) {
            for (std::ptrdiff_t u = 0; u < k.kw; u += parts.columns) {
                const Weights<T> part = Parts<T>::part(k, v, u, parts.rows, parts.columns);
                if (taps > 0 && taps + part.kh * part.kw > most_taps<T>) flush();
                correlate_block<T>({x + v * x_stride + u, x_stride, results, stride, rows, columns, taps > 0, carried ? T(0) : first},
                                   part);
                taps += part.kh * part.kw;
            }
        }
    }

    void finish() {
        if (!carried) return;
        flush();
        for (std::ptrdiff_t i = 0; i < rows; ++i) {
            for (std::ptrdiff_t j = i * stride; j < i * stride + columns; ++j) results[j] = T(carry[j]);
        }
    }

    T* const results;
    double* const carry;
    const std::ptrdiff_t stride;

  private:
    void flush() {
        for (std::ptrdiff_t i = 0; i < rows; ++i) {
            for (std::ptrdiff_t j = i * stride; j < i * stride + columns; ++j) carry[j] = (carried ? carry[j] : 0.0) + results[j];
        }
        carried = true;
        taps = 0;
    }

    std::ptrdiff_t rows = 0, columns = 0, taps = 0;
    T first = 0;
    bool carried = false;
};

// Scratch memory: a block of results, and under it the window of pixels that it needs. Of a kernel too tall for
// `window_bytes`, so many rows are taken at a time.
template <class T>
struct Scratch {
    static constexpr std::ptrdiff_t window_bytes = 512 << 10;  // half an L2 cache
    std::ptrdiff_t rows, columns;                              // of results
    std::ptrdiff_t kernel_rows;                                // at a time, or as many as one part has
    std::ptrdiff_t window_rows, stride;                        // of pixels
    std::ptrdiff_t exact_pixels;                               // those of one result that is summed again

    explicit Scratch(const Job& job)
        : rows(min(8 * tile_rows, job.out.height)),
          columns(round_up(min(512, job.out.width), lanes<T>)),
          stride(round_up(columns + job.kw - 1, lanes<T>)),
          exact_pixels(job.near_tie > 0 ? job.kh * job.kw : 0) {
        const std::ptrdiff_t fit = window_bytes / (stride * std::ptrdiff_t(sizeof(T)));
        if (rows + job.kh - 1 > fit) rows = min(rows, tile_rows);
        kernel_rows = max(fit - rows + 1, 1);
        window_rows = 0;
        for (std::ptrdiff_t t = 0; t < job.terms_each; ++t) window_rows = max(window_rows, rows + rows_of(job.terms[t]) - 1);
    }
    // Whole parts, so that the order of the sums stays.
    std::ptrdiff_t rows_of(const Term& term) const {
        const std::ptrdiff_t part = Parts<T>(term.kh, term.kw).rows;
        return min(max(kernel_rows / part, 1) * part, term.kh);
    }
    std::size_t bytes() const {
        return std::size_t(rows * columns) * (sizeof(double) + sizeof(T)) +
               std::size_t(window_rows * stride + exact_pixels) * sizeof(T);
    }
};

template <class T>
class Band {
  public:
    Band(const Job& job, char* memory)
        : job(job),
          scratch(job),
          sums(reinterpret_cast<T*>(memory + scratch.rows * scratch.columns * std::ptrdiff_t(sizeof(double))),
               reinterpret_cast<double*>(memory), scratch.columns),
          window(sums.results + scratch.rows * scratch.columns),
          gather(gatherer<T>(job)),
          write(writer<T>(job)),
          inside(inside_of(job)) {}

    // Rows [begin, end) of one plane.
    void run(std::ptrdiff_t plane, std::ptrdiff_t begin, std::ptrdiff_t end) {
        const std::ptrdiff_t width = job.out.width;
        if (!reads_in_place(plane) || inside.columns < lanes<T>) return gathered(plane, begin, end, 0, width);
        const std::ptrdiff_t first = clamp(inside.y, begin, end), last = clamp(inside.y + inside.rows, first, end);
        const std::ptrdiff_t left = inside.x, right = inside.x + inside.columns;
        gathered(plane, begin, first, 0, width);
        gathered(plane, first, last, 0, left);
        if (writes_in_place(plane, inside.columns) && is_one_part()) {
            const Term& term = *terms_of(job, plane);
            correlate_block<T>({pixels_at(plane, term, first, left), x_stride(), out_at(plane, first, left),
                                job.out.row_stride / std::ptrdiff_t(sizeof(T)), last - first, inside.columns, false, T(job.bias)},
                               weights(term, 0, term.kh));
        } else {
            blocks(plane, first, last, left, right, true);
        }
        gathered(plane, first, last, right, width);
        gathered(plane, last, end, 0, width);
    }

    // The rectangle of one plane whose first row and column are given, and the ends of both.
    void gathered(std::ptrdiff_t plane, std::ptrdiff_t begin, std::ptrdiff_t end, std::ptrdiff_t first, std::ptrdiff_t last) {
        blocks(plane, begin, end, first, last, false);
    }

    // Writes a row of results from (y, x) on.
    void write_row(std::ptrdiff_t plane, std::ptrdiff_t y, std::ptrdiff_t x, std::ptrdiff_t columns, const T* results) {
        const Run run{this, plane, y, x};
        char* const to = plane_at(job.out, plane) + y * job.out.row_stride + x * job.out.column_stride;
        met_nan |= write(results, to, job.out.column_stride, columns, {job.near_tie, &run, exact_of_run});
    }

    // Whether the image can be read, or the results written, where they are.
    bool reads_in_place(std::ptrdiff_t plane) const {
        bool native = job.column_step == 1;
        for (std::ptrdiff_t t = 0; native && t < job.terms_each; ++t) {
            native = is_native(job.image, pixels_of(job, plane, terms_of(job, plane)[t]));
        }
        return native;
    }
    bool writes_in_place(std::ptrdiff_t plane, std::ptrdiff_t columns) const {
        return columns >= lanes<T> && is_native(job.out, plane_at(job.out, plane));
    }

    // Where it can: the pixel that a term's window begins with, for the result (y, x); the result.
    const T* pixels_at(std::ptrdiff_t plane, const Term& term, std::ptrdiff_t y, std::ptrdiff_t x) const {
        return reinterpret_cast<const T*>(pixels_of(job, plane, term) + (y * job.row_step - term.top) * job.image.row_stride) + x -
               term.left;
    }
    std::ptrdiff_t x_stride() const { return job.row_step * job.image.row_stride / std::ptrdiff_t(sizeof(T)); }
    T* out_at(std::ptrdiff_t plane, std::ptrdiff_t y, std::ptrdiff_t x) const {
        return reinterpret_cast<T*>(plane_at(job.out, plane) + y * job.out.row_stride + x * job.out.column_stride);
    }

    const Window& where_inside() const { return inside; }

    bool met_nan = false;

  private:
    struct Run {  // of results
        const Band* band;
        std::ptrdiff_t plane, y, x;
    };
    static double exact_of_run(const void* of, std::ptrdiff_t i) {
        const Run& run = *static_cast<const Run*>(of);
        return run.band->exact_result(run.plane, run.y, run.x + i);
    }

    static constexpr Pixel native = sizeof(T) == 4 ? Pixel::f32 : Pixel::f64;

    template <class Byte>
    static bool is_native(const Planes<Byte>& p, const char* plane) {
        return p.pixel == native && !p.swapped && p.column_stride == sizeof(T) &&
               p.row_stride % std::ptrdiff_t(sizeof(T)) == 0 && reinterpret_cast<std::uintptr_t>(plane) % sizeof(T) == 0;
    }

    // The results whose windows, of all terms, lie inside the image.
    static Window inside_of(const Job& job) {
        std::ptrdiff_t top = 0, left = 0, bottom = job.out.height, right = job.out.width;
        for (std::ptrdiff_t t = 0; t < job.terms_each; ++t) {
            const Term& term = job.terms[t];
            const std::ptrdiff_t last_y = job.image.height - 1 + term.top, last_x = job.image.width - 1 + term.left;
            top = max(top, (term.top + job.row_step - 1) / job.row_step);
            left = max(left, (term.left + job.column_step - 1) / job.column_step);
            bottom = min(bottom, last_y < 0 ? 0 : last_y / job.row_step - term.kh + 2);
            right = min(right, last_x < 0 ? 0 : last_x / job.column_step - term.kw + 2);
        }
        return {top, left, max(bottom - top, 0), max(right - left, 0)};
    }

    bool is_one_part() const { return job.terms_each == 1 && job.kh * job.kw <= most_taps<T>; }

    static Weights<T> weights(const Term& term, std::ptrdiff_t from, std::ptrdiff_t to) {
        return {static_cast<const T*>(term.weights) + from, to - from, term.kw, term.kh};
    }

    void blocks(std::ptrdiff_t plane, std::ptrdiff_t begin, std::ptrdiff_t end, std::ptrdiff_t first, std::ptrdiff_t last,
                bool in_place) {
        for (std::ptrdiff_t y = begin; y < end; y += scratch.rows) {
            for (std::ptrdiff_t x = first; x < last; x += scratch.columns) {
                block(plane, y, x, min(scratch.rows, end - y), min(scratch.columns, last - x), in_place);
            }
        }
    }

    void block(std::ptrdiff_t plane, std::ptrdiff_t y, std::ptrdiff_t x, std::ptrdiff_t rows, std::ptrdiff_t columns, bool in_place) {
        const std::ptrdiff_t whole = round_up(columns, lanes<T>);
        if (in_place) {  // Whole vectors: from further left, over results already there.
            in_place = x + columns - whole >= inside.x;
            if (in_place) {
                x += columns - whole;
                columns = whole;
            }
        }
        sums.start(rows, whole, job.bias);
        for (std::ptrdiff_t t = 0; t < job.terms_each; ++t) {
            const Term& term = terms_of(job, plane)[t];
            const Parts<T> parts(term.kh, term.kw);
            if (in_place) {
                sums.add(pixels_at(plane, term, y, x), x_stride(), weights(term, 0, term.kh), parts);
                continue;
            }
            const std::ptrdiff_t stride = round_up(whole + term.kw - 1, lanes<T>), kernel_rows = scratch.rows_of(term);
            for (std::ptrdiff_t v = 0; v < term.kh; v += kernel_rows) {
                const Weights<T> some = weights(term, v, min(v + kernel_rows, term.kh));
                gather(job, term, pixels_of(job, plane, term), {y + v, x, rows + some.kh - 1, columns + term.kw - 1}, window, stride);
                sums.add(window, stride, some, parts);
            }
        }
        sums.finish();
        for (std::ptrdiff_t i = 0; i < rows; ++i) write_row(plane, y + i, x, columns, sums.results + i * sums.stride);
    }

    double exact_result(std::ptrdiff_t plane, std::ptrdiff_t y, std::ptrdiff_t x) const {
        T* const pixels = window + scratch.window_rows * scratch.stride;
        double sum = job.bias;
        for (std::ptrdiff_t t = 0; t < job.terms_each; ++t) {
            const Term& term = terms_of(job, plane)[t];
            gather(job, term, pixels_of(job, plane, term), {y, x, term.kh, term.kw}, pixels, term.kw);
            double four[4] = {};  // sums at once: one alone would wait for itself
            const std::ptrdiff_t taps = term.kh * term.kw;
            std::ptrdiff_t i = 0;
            for (; i + 4 <= taps; i += 4) {
                for (int j = 0; j < 4; ++j) four[j] += term.exact[i + j] * double(pixels[i + j]);
            }
            for (; i < taps; ++i) four[0] += term.exact[i] * double(pixels[i]);
            sum += (four[0] + four[1]) + (four[2] + four[3]);
        }
        return sum;
    }

    const Job& job;
    const Scratch<T> scratch;
    Sums<T> sums;
    T* const window;
    const Gather<T> gather;
    const WriteRun<T> write;
    const Window inside;
};

// A unit is a row of the output.
static std::ptrdiff_t row_units(const Job& job) { return job.planes * job.out.height; }
static std::size_t no_shared_bytes(const Job&) { return 0; }
static void no_prepare(const Job&, char*) {}

template <class T>
static std::size_t direct_scratch_bytes(const Job& job) {
    return Scratch<T>(job).bytes();
}

// Calls run(plane, first row, end) for each plane of rows [begin, end), which are counted through all planes.
template <class Run>
static void run_planes(const Job& job, std::ptrdiff_t begin, std::ptrdiff_t end, const Run& run) {
    const std::ptrdiff_t height = job.out.height;
    while (begin < end) {
        const std::ptrdiff_t plane = begin / height, start = plane * height, stop = min(end, start + height);
        run(plane, begin - start, stop - start);
        begin = stop;
    }
}

template <class T>
static bool direct_run(const Job& job, const char*, std::ptrdiff_t begin, std::ptrdiff_t end, char* memory) {
    Band<T> band(job, memory);
    run_planes(job, begin, end, [&](auto... rows) { band.run(rows...); });
    return band.met_nan;
}

}  // namespace CORR2D_ISA
}  // namespace corr2d
