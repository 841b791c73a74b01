// What the engine is asked to do, and the table of functions that one instruction set answers with.
// Plain data only: this header is shared by units that are compiled for different instruction sets.
#pragma once
#include <cstddef>

namespace corr2d {

enum class Pixel { b8, u8, i8, u16, i16, u32, i32, u64, i64, f16, f32, f64 };
enum class Border { constant, reflect, mirror, nearest, wrap };  // SciPy's names and rules

// A batch of planes of `height` x `width` pixels; strides are in bytes and may be negative or zero.
template <class Byte>
struct Planes {
    Byte* first;                                           // pixel (0, 0) of the first plane
    std::ptrdiff_t axes;                                   // of the batch, the last one changing fastest
    const std::ptrdiff_t *axis_lengths, *axis_strides;
    std::ptrdiff_t height, width;
    std::ptrdiff_t row_stride, column_stride;
    Pixel pixel;
    bool swapped;  // byte order is not the machine's
};

// One dense correlation of the sum that makes a result. Weights and factors are of the type that the sums are made in.
struct Term {
    std::ptrdiff_t channel;  // of the image
    std::ptrdiff_t kh, kw;
    std::ptrdiff_t top, left;
    const void* weights;  // the kernel column by column: the weight (v, u) is number u * kh + v
    const double* exact;  // before rounding, row by row; null where `Job::near_tie` is 0
    // The kernel as a sum of `rank` columns (rank x kh) times rows (rank x kw), for the separable way.
    const void *columns, *rows;
    std::ptrdiff_t rank;
};

// out[y, x] = bias + sum over terms, v, u of weight[v, u] * image[(y + v) * row_step - top, (x + u) * column_step - left]
//
// Stride, dilation and kernels that mix channels all come as such sums: src/corr2d/phases.py.
struct Job {
    Planes<const char> image;
    Planes<char> out;
    std::ptrdiff_t planes;  // of out; channels change faster than pictures do, in the image too
    std::ptrdiff_t channels_in, channels_out;
    const Term* terms;       // channels_out x terms_each; those of all channels differ in their weights alone
    std::ptrdiff_t terms_each;
    std::ptrdiff_t kh, kw;  // of the largest term
    std::ptrdiff_t row_step, column_step;
    Border border;
    double cval, bias;
    double near_tie;      // integer results whose sum is so near to a tie are summed again in float64; 0: none
    std::ptrdiff_t tile;  // side of the square that the FFT transforms: `is_side`
};

// Whether squares of that side can be transformed: 2^m or 3 * 2^m, of whole cache lines.
static inline constexpr bool is_side(std::ptrdiff_t side) {
    const std::ptrdiff_t odd = side % 3 == 0 ? side / 3 : side;
    return side >= 32 && odd % 16 == 0 && (odd & (odd - 1)) == 0;
}

// One way to do a job. The work is counted in units, through all planes: any split of them over threads gives the same
// bits. `shared` and `scratch` have so many bytes, aligned to 64; `shared` is filled once and then only read.
struct Algorithm {
    std::ptrdiff_t (*units)(const Job&);
    std::size_t (*shared_bytes)(const Job&);
    void (*prepare)(const Job&, char* shared);
    std::size_t (*scratch_bytes)(const Job&);
    // Does units [begin, end), and says whether a NaN met an integer pixel.
    bool (*run)(const Job&, const char* shared, std::ptrdiff_t begin, std::ptrdiff_t end, char* scratch);
};

// Where a picture's pixels are, in units that monomials of the position are made of.
struct Frame {
    double middle_row, middle_column, per_row, per_column;
};

// What moments are made of: two pictures, of which `after` has the size of the places that a kh x kw window has in `before`. The
// window of the pixel (y, x) begins at (y * row_step, x * column_step), and its taps are so many pixels apart.
struct Pair {
    Planes<const char> before, after;
    std::ptrdiff_t channels;  // of `before`
    std::ptrdiff_t kh, kw;
    std::ptrdiff_t row_step, column_step, row_gap, column_gap;
    const double* centers;  // of each channel, then of `after`
    std::ptrdiff_t varying, background;  // degrees of the polynomials that the kernel and the bias are
    Frame frame_before, frame_after;
};

static inline constexpr std::ptrdiff_t monomial_count(std::ptrdiff_t degree) { return (degree + 1) * (degree + 2) / 2; }
static inline constexpr std::ptrdiff_t plane_count(const Pair& pair) { return monomial_count(pair.varying) * pair.channels; }
static inline constexpr std::ptrdiff_t target_count(const Pair& pair) { return monomial_count(pair.background); }

// Of z = (windows of all planes, background without its constant, 1, pixel).
static inline constexpr std::ptrdiff_t order_of(const Pair& pair) { return plane_count(pair) * pair.kh * pair.kw + target_count(pair) + 1; }

// Pixels of `after`.
struct Area {
    std::ptrdiff_t top, left, rows, columns;
};

// Those pixels whose mask is as wanted. Where there are weights, each counts so much: not among whole numbers.
struct Chosen {
    Planes<const char> mask;
    bool wanted;
    Planes<const char> weights;  // first is null where there are none
};

// What is summed of a tile: LagSums in lags.hpp.
static inline constexpr std::ptrdiff_t lag_count(const Pair& pair) {
    const std::ptrdiff_t planes = plane_count(pair), targets = target_count(pair);
    return (2 * planes + targets) * planes * pair.kh * pair.kw + planes + targets + targets * targets;
}

// Whether the lags of a window have room in a square: those within the strips of lags_fft.hpp, too.
static inline constexpr bool fits_lags(const Pair& pair, std::ptrdiff_t side) {
    return (side & (side - 1)) == 0 && side >= 32 && side <= 1024 && side >= pair.kh && side >= 3 * (pair.kw - 1);
}

// The Gram matrix of the windows of a block, in two steps: `add` sums over its tiles, `fill` makes the matrix of the sums. Both want
// steps and gaps of one pixel. Scratch memory is aligned to 64 bytes.
struct Lags {
    std::ptrdiff_t tile_rows, tile_columns;
    std::size_t (*add_bytes)(const Pair&);
    void (*add)(const Pair&, const Area& tile, double* sums, char* scratch);
    // The same by FFTs of squares, over larger tiles: `part` gives the first of a block, whose size the others have. The side is a power
    // of two that `fits_lags`.
    Area (*part)(const Pair&, const Area& block, std::ptrdiff_t side);
    std::size_t (*add_by_fft_bytes)(const Pair&, std::ptrdiff_t side);
    void (*add_by_fft)(const Pair&, const Area& tile, std::ptrdiff_t side, double* sums, char* scratch);
    std::size_t (*fill_bytes)(const Pair&);
    void (*fill)(const Pair&, const Area&, const double* sums, double* gram, char* scratch);
    // The same over some pixels, one by one: rows [first, last) of the matrix are added to, from the diagonal on.
    std::size_t (*patch_bytes)(const Pair&);
    void (*add_patches)(const Pair&, const Area&, const Chosen&, std::ptrdiff_t first, std::ptrdiff_t last, double* gram, char* scratch);
};

enum class Way { direct, separable, fft };

struct Table {
    const char* name;
    Algorithm f32[3], f64[3];  // by Way
    Lags whole_lags, real_lags;  // of two pictures of 8 bits about whole centres; of any others
};

}  // namespace corr2d
