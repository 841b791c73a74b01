// Direct correlation in registers.
//
// A register tile holds R output rows x C vectors. An input row is loaded once per kernel column and serves all R output
// rows, so the multiply-add units are the limit and not the load ports. Every output pixel is summed in the same order
// whatever tile it falls into: any split into bands and tiles gives the same bits. That order is row by row, left to right, in
// groups of at most `Groups::most` taps, the groups in float64; one float32 sum of a thousand equal terms would be off by
// 1e-5 (test_large_kernels_keep_their_digits).
//
// A tile that lies wholly inside an image of the right type is read where it is. Every other tile (at the border, of another type,
// stride or byte order, narrower than a vector) is first gathered into scratch memory by pixels.hpp.
#pragma once
#include "job.hpp"
#include "pixels.hpp"
#include "vec.hpp"

namespace corr2d {
namespace CORR2D_ISA {

template <class T>
struct Weights {  // kh x kw of them, out of rows that are `stride` apart
    const T* at;
    std::ptrdiff_t kh, kw, stride;
};

// Adds what one input row x, the r-th below the tile's first, gives to the output rows first..last.
template <class T, int R, int C, int first, int last>
static inline void add_row(Vec<T> (&sum)[R][C], const T* x, const Weights<T>& k, std::ptrdiff_t r) {
    const T* weights = k.at + (r - first) * k.stride;
    for (std::ptrdiff_t u = 0; u < k.kw; ++u) {
        Vec<T> pixels[C];
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) pixels[c] = load(x + u + c * lanes<T>);
#pragma GCC unroll 8
        for (int i = first; i <= last; ++i) {
            const T w = weights[(first - i) * k.stride + u];
#pragma GCC unroll 8
            for (int c = 0; c < C; ++c) sum[i][c] += pixels[c] * w;
        }
    }
}

// Adds input rows r, r + 1, ... of a kernel of KH rows, each to the output rows that it reaches: unrolled, since registers
// must be named at compile time.
template <class T, int R, int C, int KH, int r = 0>
static inline void add_rows(Vec<T> (&sum)[R][C], const T* x, std::ptrdiff_t stride, const Weights<T>& k) {
    constexpr int first = r < KH ? 0 : r - KH + 1, last = r < R ? r : R - 1;
    add_row<T, R, C, first, last>(sum, x + r * stride, k, r);
    if constexpr (r + 1 < R + KH - 1) add_rows<T, R, C, KH, r + 1>(sum, x, stride, k);
}

// The same for kh >= R: rows that reach the first few outputs, then all of them, then the last few.
template <class T, int R, int C, int i = 1>
static inline void add_first_rows(Vec<T> (&sum)[R][C], const T* x, std::ptrdiff_t stride, const Weights<T>& k) {
    if constexpr (i < R) {
        add_row<T, R, C, 0, i - 1>(sum, x + (i - 1) * stride, k, i - 1);
        add_first_rows<T, R, C, i + 1>(sum, x, stride, k);
    }
}
template <class T, int R, int C, int i = 1>
static inline void add_last_rows(Vec<T> (&sum)[R][C], const T* x, std::ptrdiff_t stride, const Weights<T>& k) {
    if constexpr (i < R) {
        add_row<T, R, C, i, R - 1>(sum, x + (k.kh - 1 + i) * stride, k, k.kh - 1 + i);
        add_last_rows<T, R, C, i + 1>(sum, x, stride, k);
    }
}
template <class T, int R, int C>
static inline void add_many_rows(Vec<T> (&sum)[R][C], const T* x, std::ptrdiff_t stride, const Weights<T>& k) {
    add_first_rows<T, R, C>(sum, x, stride, k);
    for (std::ptrdiff_t r = R - 1; r < k.kh; ++r) add_row<T, R, C, 0, R - 1>(sum, x + r * stride, k, r);
    add_last_rows<T, R, C>(sum, x, stride, k);
}

template <class T>
struct Block {  // what to compute: rows x columns outputs at y from the pixels at x
    const T* x;
    std::ptrdiff_t x_stride;
    T* y;
    std::ptrdiff_t y_stride;
    std::ptrdiff_t rows, columns;
    T bias;
    // Where a kernel that comes in parts leaves its sums, laid out as y is; null where it comes whole.
    double* carry;
    bool resume;  // go on from `carry`, in place of the bias
};

// The groups that a kernel is summed in: `rows` x `columns` taps each, as equal as can be.
template <class T>
struct Groups {
    // 128 equal terms are off by up to 2e-6 in float32, unequal ones by 3e-7. Groups of 64 halve that, at 20 % of the speed.
    static constexpr std::ptrdiff_t most = sizeof(T) == 4 ? 128 : 16384;  // taps
    std::ptrdiff_t rows, columns;
    bool several;

    Groups(std::ptrdiff_t kh, std::ptrdiff_t kw)
        : rows(split(kh, split(kh * min(kw, most), most))),
          columns(split(kw, split(kw, most))),
          several(rows < kh || columns < kw) {}

    Weights<T> part(const Weights<T>& k, std::ptrdiff_t v, std::ptrdiff_t u) const {
        return {k.at + v * k.stride + u, min(rows, k.kh - v), min(columns, k.kw - u), k.stride};
    }

  private:
    static std::ptrdiff_t split(std::ptrdiff_t n, std::ptrdiff_t parts) { return (n + parts - 1) / parts; }
};

static constexpr int tall = 0, several_groups = -1;  // in place of KH, the rows of a kernel of fewer than R

// One register tile for one group of taps.
template <class T, int R, int C, int KH>
static void correlate_group(const T* x, std::ptrdiff_t x_stride, const Weights<T>& k, T* y, std::ptrdiff_t y_stride, T bias) {
    Vec<T> sum[R][C];
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) sum[i][c] = Vec<T>{} + bias;
    }
    if constexpr (KH == tall) {
        add_many_rows<T, R, C>(sum, x, x_stride, k);
    } else {
        add_rows<T, R, C, KH>(sum, x, x_stride, k);
    }
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) store(y + i * y_stride + c * lanes<T>, sum[i][c]);
    }
}

// Not inlined: with all variants in one function the compiler keeps their sums in memory, at half the speed.
template <class T, int R, int C, int KH = R - 1>
[[gnu::noinline]] static void correlate_any_group(const T* x, std::ptrdiff_t x_stride, const Weights<T>& k, T* y,
                                                  std::ptrdiff_t y_stride) {
    if constexpr (KH != tall) {
        if (k.kh != KH) return correlate_any_group<T, R, C, KH - 1>(x, x_stride, k, y, y_stride);
    }
    correlate_group<T, R, C, KH>(x, x_stride, k, y, y_stride, T(0));
}

template <class T, int R, int C, int KH>
static void correlate_tile(const Block<T>& b, const Weights<T>& k, const Groups<T>& groups, std::ptrdiff_t row,
                           std::ptrdiff_t column) {
    const T* x = b.x + row * b.x_stride + column;
    T* y = b.y + row * b.y_stride + column;
    if constexpr (KH != several_groups) {
        correlate_group<T, R, C, KH>(x, b.x_stride, k, y, b.y_stride, b.bias);
    } else {
        constexpr std::ptrdiff_t width = C * lanes<T>;
        T sum[R * width];
        double total[R * width];
        double* const carry = b.carry + (b.carry ? row * b.y_stride + column : 0);
        for (std::ptrdiff_t i = 0; i < R; ++i) {
            for (std::ptrdiff_t j = 0; j < width; ++j) total[i * width + j] = b.resume ? carry[i * b.y_stride + j] : b.bias;
        }
        for (std::ptrdiff_t v = 0; v < k.kh; v += groups.rows) {
            for (std::ptrdiff_t u = 0; u < k.kw; u += groups.columns) {
                correlate_any_group<T, R, C>(x + v * b.x_stride + u, b.x_stride, groups.part(k, v, u), sum, width);
                for (std::ptrdiff_t j = 0; j < R * width; ++j) total[j] += sum[j];
            }
        }
        for (std::ptrdiff_t i = 0; i < R; ++i) {
            if (carry) __builtin_memcpy(carry + i * b.y_stride, total + i * width, width * sizeof(double));
            for (std::ptrdiff_t j = 0; j < width; ++j) y[i * b.y_stride + j] = T(total[i * width + j]);
        }
    }
}

// From `row` on, as many times R rows as there are. The last vector of a row overlaps the one before: no scalar tail,
// the same bits twice.
template <class T, int R, int KH = several_groups>
static std::ptrdiff_t correlate_rows(const Block<T>& b, const Weights<T>& k, const Groups<T>& groups, std::ptrdiff_t row) {
    if constexpr (KH + 1 < R) {
        const bool fits = KH == several_groups ? groups.several : KH == tall ? k.kh >= R : k.kh == KH;
        if (!fits) return correlate_rows<T, R, KH + 1>(b, k, groups, row);
    }
    for (; row + R <= b.rows; row += R) {
        std::ptrdiff_t column = 0;
        for (; column + tile_vectors * lanes<T> <= b.columns; column += tile_vectors * lanes<T>) {
            correlate_tile<T, R, tile_vectors, KH>(b, k, groups, row, column);
        }
        for (; column < b.columns; column += lanes<T>) {
            correlate_tile<T, R, 1, KH>(b, k, groups, row, min(column, b.columns - lanes<T>));
        }
    }
    return row;
}

template <class T>
static void correlate_block(const Block<T>& b, const Weights<T>& k, const Groups<T>& groups) {  // columns >= one vector
    std::ptrdiff_t row = correlate_rows<T, tile_rows>(b, k, groups, 0);
    row = correlate_rows<T, 2>(b, k, groups, row);
    correlate_rows<T, 1>(b, k, groups, row);
}

// Scratch memory: a tile of results, and under it the window of pixels that it needs. A kernel too tall for
// `window_bytes` is taken a few rows at a time; the sums wait in `carry`.
template <class T>
struct Scratch {
    static constexpr std::ptrdiff_t window_bytes = 512 << 10;  // half an L2 cache
    std::ptrdiff_t rows, columns;                              // of results
    std::ptrdiff_t kernel_rows;                                // at a time
    std::ptrdiff_t stride;                                     // of the window

    Scratch(const Job& job, const Groups<T>& groups)
        : rows(min(8 * tile_rows, job.out.height)),
          columns(round_up(min(512, job.out.width), lanes<T>)),
          kernel_rows(job.kh),
          stride(round_up(columns + job.kw - 1, lanes<T>)) {
        const std::ptrdiff_t window_rows = window_bytes / (stride * std::ptrdiff_t(sizeof(T)));
        if (rows + kernel_rows - 1 > window_rows) rows = min(rows, tile_rows);
        if (rows + kernel_rows - 1 > window_rows) {  // whole groups, so that the order of the sums stays
            kernel_rows = min(max((window_rows - rows + 1) / groups.rows, 1) * groups.rows, kernel_rows);
        }
    }
    std::size_t bytes() const {
        const std::ptrdiff_t numbers = rows * columns + (rows + kernel_rows - 1) * stride;
        return std::size_t(rows * columns) * sizeof(double) + std::size_t(numbers) * sizeof(T);
    }
};

template <class T>
class Band {
  public:
    Band(const Job& job, char* memory)
        : job(job),
          groups(job.kh, job.kw),
          scratch(job, groups),
          carry(reinterpret_cast<double*>(memory)),
          results(reinterpret_cast<T*>(carry + scratch.rows * scratch.columns)),
          window(results + scratch.rows * scratch.columns),
          write(writer<T>(job.out.pixel)) {}

    // Rows [begin, end) of one plane.
    void run(std::ptrdiff_t plane, std::ptrdiff_t begin, std::ptrdiff_t end) {
        const std::ptrdiff_t first = clamp(job.top, begin, end);
        const std::ptrdiff_t last = clamp(job.image.height - job.kh + 1 + job.top, first, end);
        if (reads_in_place(plane)) {
            gathered(plane, begin, first, 0, job.out.width);
            inside_rows(plane, first, last);
            gathered(plane, last, end, 0, job.out.width);
        } else {
            gathered(plane, begin, end, 0, job.out.width);
        }
    }

    // The rectangle of one plane whose first row and column are given, and the ends of both.
    void gathered(std::ptrdiff_t plane, std::ptrdiff_t begin, std::ptrdiff_t end, std::ptrdiff_t first,
                  std::ptrdiff_t last) {
        for (std::ptrdiff_t y = begin; y < end; y += scratch.rows) {
            for (std::ptrdiff_t x = first; x < last; x += scratch.columns) {
                gathered_tile(plane, y, x, min(scratch.rows, end - y), min(scratch.columns, last - x));
            }
        }
    }

    bool reads_in_place(std::ptrdiff_t plane) const { return is_native(job.image, plane); }

    bool writes_in_place(std::ptrdiff_t plane, std::ptrdiff_t columns) const {
        return is_native(job.out, plane) && columns >= lanes<T>;
    }
    T* out_at(std::ptrdiff_t plane, std::ptrdiff_t y, std::ptrdiff_t x) const {
        return reinterpret_cast<T*>(job.out.plane[plane] + y * job.out.row_stride + x * job.out.column_stride);
    }

    bool met_nan = false;

  private:
    static constexpr Pixel native = sizeof(T) == 4 ? Pixel::f32 : Pixel::f64;

    template <class Byte>
    static bool is_native(const Planes<Byte>& p, std::ptrdiff_t plane) {
        return p.pixel == native && !p.swapped && p.column_stride == sizeof(T) &&
               p.row_stride % std::ptrdiff_t(sizeof(T)) == 0 &&
               reinterpret_cast<std::uintptr_t>(p.plane[plane]) % sizeof(T) == 0;
    }
    Weights<T> weights(std::ptrdiff_t from, std::ptrdiff_t to) const {
        return {static_cast<const T*>(job.kernel) + from * job.kw, to - from, job.kw, job.kw};
    }

    // Rows whose windows lie inside the image: columns in the middle are read in place, those at both ends gathered.
    void inside_rows(std::ptrdiff_t plane, std::ptrdiff_t begin, std::ptrdiff_t end) {
        const std::ptrdiff_t width = job.out.width;
        const std::ptrdiff_t first = clamp(job.left, 0, width);
        const std::ptrdiff_t last = clamp(job.image.width - job.kw + 1 + job.left, first, width);
        if (last - first < lanes<T>) return gathered(plane, begin, end, 0, width);
        gathered(plane, begin, end, 0, first);
        in_place(plane, begin, end, first, last);
        gathered(plane, begin, end, last, width);
    }

    void in_place(std::ptrdiff_t plane, std::ptrdiff_t begin, std::ptrdiff_t end, std::ptrdiff_t first,
                  std::ptrdiff_t last) {
        const std::ptrdiff_t stride = job.image.row_stride / std::ptrdiff_t(sizeof(T));
        const T* image = reinterpret_cast<const T*>(job.image.plane[plane]);
        const auto pixels = [&](std::ptrdiff_t y, std::ptrdiff_t x) {
            return image + (y - job.top) * stride + (x - job.left);
        };
        if (writes_in_place(plane, last - first)) {
            correlate_block<T>({pixels(begin, first), stride, out_at(plane, begin, first),
                                job.out.row_stride / std::ptrdiff_t(sizeof(T)), end - begin, last - first, T(job.bias), nullptr, false},
                               weights(0, job.kh), groups);
            return;
        }
        for (std::ptrdiff_t y = begin; y < end; y += scratch.rows) {
            const std::ptrdiff_t rows = min(scratch.rows, end - y);
            for (std::ptrdiff_t x = first; x < last; x += scratch.columns) {
                const std::ptrdiff_t columns = min(scratch.columns, last - x);
                // A tile narrower than a vector starts further left, over pixels already done.
                const std::ptrdiff_t from = min(x, last - lanes<T>), count = x + columns - from;
                correlate_block<T>({pixels(y, from), stride, results, scratch.columns, rows, count, T(job.bias), nullptr, false},
                                   weights(0, job.kh), groups);
                write_results(plane, y, from, rows, count);
            }
        }
    }

    void gathered_tile(std::ptrdiff_t plane, std::ptrdiff_t y, std::ptrdiff_t x, std::ptrdiff_t rows,
                       std::ptrdiff_t columns) {
        const std::ptrdiff_t whole = round_up(columns, lanes<T>);
        for (std::ptrdiff_t v = 0; v < job.kh; v += scratch.kernel_rows) {
            const std::ptrdiff_t kernel_rows = min(scratch.kernel_rows, job.kh - v);
            const std::ptrdiff_t stride = round_up(whole + job.kw - 1, lanes<T>);
            gather(job, plane, y + v - job.top, x - job.left, rows + kernel_rows - 1, columns + job.kw - 1, window, stride);
            correlate_block<T>({window, stride, results, scratch.columns, rows, whole, T(job.bias), carry, v > 0},
                               weights(v, v + kernel_rows), groups);
        }
        write_results(plane, y, x, rows, columns);
    }

    void write_results(std::ptrdiff_t plane, std::ptrdiff_t y, std::ptrdiff_t x, std::ptrdiff_t rows,
                       std::ptrdiff_t columns) {
        for (std::ptrdiff_t i = 0; i < rows; ++i) {
            char* to = job.out.plane[plane] + (y + i) * job.out.row_stride + x * job.out.column_stride;
            met_nan |= write(results + i * scratch.columns, to, job.out.column_stride, columns);
        }
    }

    const Job& job;
    const Groups<T> groups;
    const Scratch<T> scratch;
    double* const carry;
    T* const results;
    T* const window;
    const WriteRun<T> write;
};

// A unit is a row of the output.
static std::ptrdiff_t row_units(const Job& job) { return job.planes * job.out.height; }
static std::size_t no_shared_bytes(const Job&) { return 0; }
static void no_prepare(const Job&, char*) {}

template <class T>
static std::size_t direct_scratch_bytes(const Job& job) {
    return Scratch<T>(job, Groups<T>(job.kh, job.kw)).bytes();
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
