// Direct correlation in registers.
//
// A register tile holds R output rows x C vectors. An input row is loaded once per kernel column and serves all R output
// rows, so the multiply-add units are the limit and not the load ports. Every output pixel is summed in the same order
// (kernel row by row, left to right) whatever tile it falls into: any split into bands and tiles gives the same bits.
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
struct Weights {  // kernel rows [0, kh) of width kw, contiguous
    const T* at;
    std::ptrdiff_t kh, kw;
};

// Adds what one input row x, the r-th below the tile's first, gives to the output rows first..last.
template <class T, int R, int C, int first, int last>
static inline void add_row(Vec<T> (&sum)[R][C], const T* x, const Weights<T>& k, std::ptrdiff_t r) {
    const T* weights = k.at + (r - first) * k.kw;
    for (std::ptrdiff_t u = 0; u < k.kw; ++u) {
        Vec<T> pixels[C];
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) pixels[c] = load(x + u + c * lanes<T>);
#pragma GCC unroll 8
        for (int i = first; i <= last; ++i) {
            const T w = weights[(first - i) * k.kw + u];
#pragma GCC unroll 8
            for (int c = 0; c < C; ++c) sum[i][c] += pixels[c] * w;
        }
    }
}

template <class T>
struct Block {  // what to compute: rows x columns outputs at y from the pixels at x
    const T* x;
    std::ptrdiff_t x_stride;
    T* y;
    std::ptrdiff_t y_stride;
    std::ptrdiff_t rows, columns;
    T bias;
    bool resume;  // go on from the sums that y already holds
};

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

// KH: the kernel's rows where it has fewer than R; 0 where it has R or more.
template <class T, int R, int C, int KH>
static void correlate_tile(const Block<T>& b, const Weights<T>& k, std::ptrdiff_t row, std::ptrdiff_t column) {
    const T* x = b.x + row * b.x_stride + column;
    T* y = b.y + row * b.y_stride + column;
    Vec<T> sum[R][C];
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) sum[i][c] = b.resume ? load(y + i * b.y_stride + c * lanes<T>) : Vec<T>{} + b.bias;
    }
    if constexpr (KH > 0) {
        add_rows<T, R, C, KH>(sum, x, b.x_stride, k);
    } else {
        add_many_rows<T, R, C>(sum, x, b.x_stride, k);
    }
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) store(y + i * b.y_stride + c * lanes<T>, sum[i][c]);
    }
}

// R rows across the block. The last vector overlaps the one before: no scalar tail, the same bits twice.
template <class T, int R, int KH>
static void correlate_rows(const Block<T>& b, const Weights<T>& k, std::ptrdiff_t row) {
    std::ptrdiff_t column = 0;
    for (; column + tile_vectors * lanes<T> <= b.columns; column += tile_vectors * lanes<T>) {
        correlate_tile<T, R, tile_vectors, KH>(b, k, row, column);
    }
    for (; column < b.columns; column += lanes<T>) {
        correlate_tile<T, R, 1, KH>(b, k, row, min(column, b.columns - lanes<T>));
    }
}

// From `row` on, as many times R rows as there are.
template <class T, int R, int KH = R - 1>
static std::ptrdiff_t correlate_all(const Block<T>& b, const Weights<T>& k, std::ptrdiff_t row) {
    if constexpr (KH > 0) {
        if (k.kh != KH) return correlate_all<T, R, KH - 1>(b, k, row);
    }
    for (; row + R <= b.rows; row += R) correlate_rows<T, R, KH>(b, k, row);
    return row;
}

template <class T>
static void correlate_block(const Block<T>& b, const Weights<T>& k) {  // columns >= one vector
    std::ptrdiff_t row = correlate_all<T, tile_rows>(b, k, 0);
    row = correlate_all<T, 2>(b, k, row);
    correlate_all<T, 1>(b, k, row);
}

// Scratch memory: a tile of results, and under it the window of pixels that it needs. A kernel too tall for
// `window_bytes` is taken a few rows at a time; the sums wait in the tile of results.
template <class T>
struct Scratch {
    static constexpr std::ptrdiff_t window_bytes = 512 << 10;  // half an L2 cache
    std::ptrdiff_t rows, columns;                              // of results
    std::ptrdiff_t kernel_rows;                                // at a time
    std::ptrdiff_t stride;                                     // of the window

    explicit Scratch(const Job& job)
        : rows(min(8 * tile_rows, job.out.height)),
          columns(round_up(min(512, job.out.width), lanes<T>)),
          kernel_rows(job.kh),
          stride(round_up(columns + job.kw - 1, lanes<T>)) {
        const std::ptrdiff_t window_rows = window_bytes / (stride * std::ptrdiff_t(sizeof(T)));
        if (rows + kernel_rows - 1 > window_rows) rows = min(rows, tile_rows);
        if (rows + kernel_rows - 1 > window_rows) kernel_rows = clamp(window_rows - rows + 1, 1, kernel_rows);
    }
    std::size_t bytes() const {
        return std::size_t(rows * columns + (rows + kernel_rows - 1) * stride) * sizeof(T);
    }
};

template <class T>
class Band {
  public:
    Band(const Job& job, char* memory)
        : job(job),
          scratch(job),
          results(reinterpret_cast<T*>(memory)),
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

    bool met_nan = false;

  private:
    static constexpr Pixel native = sizeof(T) == 4 ? Pixel::f32 : Pixel::f64;

    template <class Byte>
    static bool is_native(const Planes<Byte>& p, std::ptrdiff_t plane) {
        return p.pixel == native && !p.swapped && p.column_stride == sizeof(T) &&
               p.row_stride % std::ptrdiff_t(sizeof(T)) == 0 &&
               reinterpret_cast<std::uintptr_t>(p.plane[plane]) % sizeof(T) == 0;
    }
    bool reads_in_place(std::ptrdiff_t plane) const { return is_native(job.image, plane); }
    bool writes_in_place(std::ptrdiff_t plane, std::ptrdiff_t columns) const {
        return is_native(job.out, plane) && columns >= lanes<T>;
    }

    T* out_at(std::ptrdiff_t plane, std::ptrdiff_t y, std::ptrdiff_t x) const {
        return reinterpret_cast<T*>(job.out.plane[plane] + y * job.out.row_stride + x * job.out.column_stride);
    }
    Weights<T> weights(std::ptrdiff_t from, std::ptrdiff_t to) const {
        return {static_cast<const T*>(job.kernel) + from * job.kw, to - from, job.kw};
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
                                job.out.row_stride / std::ptrdiff_t(sizeof(T)), end - begin, last - first, T(job.bias), false},
                               weights(0, job.kh));
            return;
        }
        for (std::ptrdiff_t y = begin; y < end; y += scratch.rows) {
            const std::ptrdiff_t rows = min(scratch.rows, end - y);
            for (std::ptrdiff_t x = first; x < last; x += scratch.columns) {
                const std::ptrdiff_t columns = min(scratch.columns, last - x);
                // A tile narrower than a vector starts further left, over pixels already done.
                const std::ptrdiff_t from = min(x, last - lanes<T>), count = x + columns - from;
                correlate_block<T>({pixels(y, from), stride, results, scratch.columns, rows, count, T(job.bias), false},
                                   weights(0, job.kh));
                write_results(plane, y, from, rows, count);
            }
        }
    }

    void gathered(std::ptrdiff_t plane, std::ptrdiff_t begin, std::ptrdiff_t end, std::ptrdiff_t first,
                  std::ptrdiff_t last) {
        for (std::ptrdiff_t y = begin; y < end; y += scratch.rows) {
            for (std::ptrdiff_t x = first; x < last; x += scratch.columns) {
                gathered_tile(plane, y, x, min(scratch.rows, end - y), min(scratch.columns, last - x));
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
            correlate_block<T>({window, stride, results, scratch.columns, rows, whole, T(job.bias), v > 0},
                               weights(v, v + kernel_rows));
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
    const Scratch<T> scratch;
    T* const results;
    T* const window;
    const WriteRun<T> write;
};

template <class T>
static std::size_t direct_scratch_bytes(const Job& job) {
    return Scratch<T>(job).bytes();
}

template <class T>
static bool direct_run(const Job& job, std::ptrdiff_t begin, std::ptrdiff_t end, char* memory) {
    Band<T> band(job, memory);
    const std::ptrdiff_t height = job.out.height;
    while (begin < end) {
        const std::ptrdiff_t plane = begin / height, start = plane * height, stop = min(end, start + height);
        band.run(plane, begin - start, stop - start);
        begin = stop;
    }
    return band.met_nan;
}

}  // namespace CORR2D_ISA
}  // namespace corr2d
