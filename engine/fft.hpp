// Correlation by overlap-save tiles in the frequency domain.
//
// A tile of T x T pixels gives (T - kh + 1) x (T - kw + 1) results. Two real tiles ride in one complex transform: the kernel
// is real, so their results come out as the real and the imaginary part. The forward transform is decimation in frequency, the
// inverse decimation in time, so that no bit reversal is needed in between. Both run down columns, a cache line of them at a time;
// a cache line's worth of rows is turned into columns where they fit the L1 cache, and there they are transformed, multiplied and transformed
// back. Rows are padded, since 2^n of them would fight for the same cache sets.
#pragma once
#include <utility>

#include "direct.hpp"
#include "job.hpp"
#include "pixels.hpp"
#include "vec.hpp"

namespace corr2d {
namespace CORR2D_ISA {

// In-register transpose of a square of vectors: log2(lanes) rounds of exchanging halves.
template <class T, int step, std::size_t... lane>
static inline void exchange(Vec<T>& a, Vec<T>& b, std::index_sequence<lane...>) {
    constexpr int n = int(sizeof...(lane));
    const Vec<T> low = __builtin_shufflevector(a, b, (int(lane) & step ? n + int(lane) - step : int(lane))...);
    b = __builtin_shufflevector(a, b, (int(lane) & step ? n + int(lane) : int(lane) + step)...);
    a = low;
}
template <class T, int step = lanes<T> / 2>
static inline void transpose_registers(Vec<T> (&row)[lanes<T>]) {
    if constexpr (step > 0) {
#pragma GCC unroll 16
        for (int i = 0; i < int(lanes<T>); ++i) {
            if (!(i & step)) exchange<T, step>(row[i], row[i + step], std::make_index_sequence<lanes<T>>());
        }
        transpose_registers<T, step / 2>(row);
    }
}

// A square of vectors.
template <class T>
static inline void transpose(const T* from, std::ptrdiff_t from_stride, T* to, std::ptrdiff_t to_stride) {
    Vec<T> row[lanes<T>];
#pragma GCC unroll 16
    for (int r = 0; r < int(lanes<T>); ++r) row[r] = load(from + r * from_stride);
    transpose_registers<T>(row);
#pragma GCC unroll 16
    for (int r = 0; r < int(lanes<T>); ++r) store(to + r * to_stride, row[r]);
}

// cos and sin of 2 pi i / n for i < n.
template <class T>
struct Roots {
    const T *cosine, *sine;
    std::ptrdiff_t n;
};

// Into the memory of 2 * n numbers.
template <class T>
static Roots<T> fill_roots(std::ptrdiff_t n, T* memory) {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        const double angle = 2 * 3.14159265358979323846 * double(i) / double(n);
        memory[i] = T(__builtin_cos(angle));
        memory[n + i] = T(__builtin_sin(angle));
    }
    return {memory, memory + n, n};
}

template <class T>
struct Complex {
    Vec<T> re, im;
};
template <class T>
static inline Complex<T> operator+(Complex<T> a, Complex<T> b) { return {a.re + b.re, a.im + b.im}; }
template <class T>
static inline Complex<T> operator-(Complex<T> a, Complex<T> b) { return {a.re - b.re, a.im - b.im}; }
template <class T>
static inline Complex<T> plus_times(Complex<T> a, T b, Complex<T> c) { return {a.re + b * c.re, a.im + b * c.im}; }

// By an angle, clockwise for sign -1: `a` times cosine + sign * i * sine.
template <class T, int sign>
static inline Complex<T> turn(Complex<T> a, T cosine, T sine) {
    if (sign > 0) return {a.re * cosine - a.im * sine, a.im * cosine + a.re * sine};
    return {a.re * cosine + a.im * sine, a.im * cosine - a.re * sine};
}
template <class T, int sign>
static inline Complex<T> quarter_turn(Complex<T> a) {
    if (sign > 0) return {-a.im, a.re};
    return {a.im, -a.re};
}

// Columns of one cache line: n rows of `width` numbers, real and imaginary parts apart.
template <class T>
struct Columns {
    T *re, *im;
    std::ptrdiff_t stride;
    Columns from(std::ptrdiff_t row) const { return {re + row * stride, im + row * stride, stride}; }
    Complex<T> get(std::ptrdiff_t row, std::ptrdiff_t c) const { return {load(re + row * stride + c), load(im + row * stride + c)}; }
    void put(std::ptrdiff_t row, std::ptrdiff_t c, Complex<T> a) const {
        store(re + row * stride + c, a.re);
        store(im + row * stride + c, a.im);
    }
};

template <class T>
static constexpr std::ptrdiff_t line = 64 / sizeof(T) < lanes<T> ? lanes<T> : 64 / sizeof(T);

// Fourier sums of 3, 4 and 8 numbers, without a factor in front.
template <class T, int sign>
static CORR2D_INLINE void butterfly(Complex<T> (&a)[3]) {
    constexpr T root = T(0.86602540378443864676);  // of 3/4
    const Complex<T> sum = a[1] + a[2], turned = quarter_turn<T, sign>(a[1] - a[2]), low = plus_times(a[0], T(-0.5), sum);
    a[0] = a[0] + sum;
    a[1] = plus_times(low, root, turned);
    a[2] = plus_times(low, -root, turned);
}
template <class T, int sign>
static CORR2D_INLINE void butterfly(Complex<T> (&a)[4]) {
    const Complex<T> even = a[0] + a[2], odd = a[1] + a[3], low = a[0] - a[2], turned = quarter_turn<T, sign>(a[1] - a[3]);
    a[0] = even + odd;
    a[1] = low + turned;
    a[2] = even - odd;
    a[3] = low - turned;
}
template <class T, int sign>
static CORR2D_INLINE void butterfly(Complex<T> (&a)[8]) {
    constexpr T root = T(0.70710678118654752440);
    Complex<T> even[4] = {a[0] + a[4], a[1] + a[5], a[2] + a[6], a[3] + a[7]};
    const Complex<T> o0 = a[0] - a[4], o1 = a[1] - a[5], o2 = quarter_turn<T, sign>(a[2] - a[6]), o3 = a[3] - a[7];
    butterfly<T, sign>(even);
    // Turned by an eighth and by three, but for the root of a half.
    const Complex<T> one = o1 + quarter_turn<T, sign>(o1), three = quarter_turn<T, sign>(o3) - o3;
    const Complex<T> low = o0 + o2, high = o0 - o2, sum = one + three, turned = quarter_turn<T, sign>(one - three);
    a[0] = even[0];
    a[1] = plus_times(low, root, sum);
    a[2] = even[1];
    a[3] = plus_times(high, root, turned);
    a[4] = even[2];
    a[5] = plus_times(low, -root, sum);
    a[6] = even[3];
    a[7] = plus_times(high, -root, turned);
}

// Rows row, row + apart, …; sign -1 turns what the butterfly gives, +1 what it takes.
template <class T, int sign, int radix, bool turns>
static CORR2D_INLINE void radix_rows(const Columns<T>& x, std::ptrdiff_t row, std::ptrdiff_t apart, const T (&cosine)[radix],
                                     const T (&sine)[radix]) {
#pragma GCC unroll 4
    for (std::ptrdiff_t c = 0; c < line<T>; c += lanes<T>) {
        Complex<T> a[radix];
#pragma GCC unroll 8
        for (int i = 0; i < radix; ++i) {
            a[i] = x.get(row + i * apart, c);
            if (turns && sign > 0 && i > 0) a[i] = turn<T, 1>(a[i], cosine[i], sine[i]);
        }
        butterfly<T, sign>(a);
#pragma GCC unroll 8
        for (int i = 0; i < radix; ++i) {
            if (turns && sign < 0 && i > 0) a[i] = turn<T, -1>(a[i], cosine[i], sine[i]);
            x.put(row + i * apart, c, a[i]);
        }
    }
}

// One step of all transforms of n rows among `rows` of them.
template <class T, int sign, int radix>
static inline void radix_step(const Columns<T>& x, const Roots<T>& roots, std::ptrdiff_t n, std::ptrdiff_t rows) {
    const std::ptrdiff_t apart = n / radix, step = roots.n / n;
    T cosine[radix] = {}, sine[radix] = {};
    for (std::ptrdiff_t row = 0; row < rows; row += n) radix_rows<T, sign, radix, false>(x, row, apart, cosine, sine);
    for (std::ptrdiff_t k = 1; k < apart; ++k) {
        for (int i = 1; i < radix; ++i) {
            cosine[i] = roots.cosine[i * k * step];
            sine[i] = roots.sine[i * k * step];
        }
        for (std::ptrdiff_t row = k; row < rows; row += n) radix_rows<T, sign, radix, true>(x, row, apart, cosine, sine);
    }
}

// What a transform of n = 2^m or 3 * 2^m rows is parted by first, if forward, or last: three, then fours until eights go into the rest. By
// eight but once where registers are few.
static inline std::ptrdiff_t radix_of(std::ptrdiff_t n) {
    constexpr std::ptrdiff_t powers_of_eight = 0111111111;
    return n % 3 == 0 ? 3 : (many_registers ? (n & powers_of_eight) != 0 : n == 8) ? 8 : 4;
}
template <class T, int sign>
static inline void step_of(const Columns<T>& x, const Roots<T>& roots, std::ptrdiff_t n, std::ptrdiff_t rows) {
    switch (radix_of(n)) {
        case 3: return radix_step<T, sign, 3>(x, roots, n, rows);
        case 4: return radix_step<T, sign, 4>(x, roots, n, rows);
        default: return radix_step<T, sign, 8>(x, roots, n, rows);
    }
}

// Down all of n rows. Forward: natural order in, digit-reversed out; inverse, unscaled: the other way round. Steps go over so many rows as the
// L1 cache has room for; more of them are first parted, or put together last.
static constexpr std::ptrdiff_t rows_at_once = 256;

template <class T>
static void forward_columns(const Columns<T>& x, const Roots<T>& roots, std::ptrdiff_t n) {
    if (n <= rows_at_once) {
        for (std::ptrdiff_t rows = n; n > 1; n /= radix_of(n)) step_of<T, -1>(x, roots, n, rows);
        return;
    }
    step_of<T, -1>(x, roots, n, n);
    const std::ptrdiff_t part = n / radix_of(n);
    for (std::ptrdiff_t row = 0; row < n; row += part) forward_columns(x.from(row), roots, part);
}
template <class T>
static void inverse_columns(const Columns<T>& x, const Roots<T>& roots, std::ptrdiff_t n) {
    if (n <= rows_at_once) {
        std::ptrdiff_t sizes[16], steps = 0;
        for (std::ptrdiff_t size = n; size > 1; size /= radix_of(size)) sizes[steps++] = size;
        while (steps > 0) step_of<T, 1>(x, roots, sizes[--steps], n);
        return;
    }
    const std::ptrdiff_t part = n / radix_of(n);
    for (std::ptrdiff_t row = 0; row < n; row += part) inverse_columns(x.from(row), roots, part);
    step_of<T, 1>(x, roots, n, n);
}

// Transforms of squares of n x n numbers, in place. Spectra lie strip by strip: for `line` columns of them, which were rows of the square, n lines
// are one after the other; then comes what the rows of the square are padded by.
template <class T>
class Fourier {
  public:
    // `strip` is memory of strip_numbers(n).
    Fourier(const Roots<T>& roots, T* strip) : roots(roots), strip{strip, strip + roots.n * line<T>, line<T>} {}

    static constexpr std::ptrdiff_t strip_numbers(std::ptrdiff_t n) { return 2 * n * line<T>; }

    void forward(T* re, T* im, std::ptrdiff_t stride) const {
        columns<true>(re, im, stride);
        for (std::ptrdiff_t at = 0; at < roots.n * stride; at += line<T> * stride) {
            take_rows(re + at, im + at, stride);
            copy(strip.re, re + at);
            copy(strip.im, im + at);
        }
    }
    void inverse(T* re, T* im, std::ptrdiff_t stride) const {
        for (std::ptrdiff_t at = 0; at < roots.n * stride; at += line<T> * stride) {
            copy(re + at, strip.re);
            copy(im + at, strip.im);
            put_rows(re + at, im + at, stride);
        }
        columns<false>(re, im, stride);
    }
    // Both, with change(re, im, at) in between: a strip of the spectrum, and where it would lie.
    template <class Change>
    void there_and_back(T* re, T* im, std::ptrdiff_t stride, const Change& change) const {
        columns<true>(re, im, stride);
        for (std::ptrdiff_t at = 0; at < roots.n * stride; at += line<T> * stride) {
            take_rows(re + at, im + at, stride);
            change(strip.re, strip.im, at);
            put_rows(re + at, im + at, stride);
        }
        columns<false>(re, im, stride);
    }
    // Calls visit(at) for all of a spectrum, n numbers at a time.
    template <class Visit>
    static void for_runs(std::ptrdiff_t n, std::ptrdiff_t stride, const Visit& visit) {
        for (std::ptrdiff_t at = 0; at < n * stride; at += line<T> * stride) {
            for (std::ptrdiff_t run = at; run < at + n * line<T>; run += n) visit(run);
        }
    }

  private:
    template <bool is_forward>
    void columns(T* re, T* im, std::ptrdiff_t stride) const {
        for (std::ptrdiff_t j = 0; j < roots.n; j += line<T>) {
            const Columns<T> x{re + j, im + j, stride};
            if (is_forward) forward_columns(x, roots, roots.n); else inverse_columns(x, roots, roots.n);
        }
    }
    void copy(const T* from, T* to) const { __builtin_memcpy(to, from, std::size_t(roots.n * line<T>) * sizeof(T)); }
    // Rows of the square into the strip, and transforms them; the other way round.
    void take_rows(const T* re, const T* im, std::ptrdiff_t stride) const {
        for_blocks([&](std::ptrdiff_t r, std::ptrdiff_t c) {
            const std::ptrdiff_t from = r * stride + c, to = c * line<T> + r;
            transpose(re + from, stride, strip.re + to, line<T>);
            transpose(im + from, stride, strip.im + to, line<T>);
        });
        forward_columns(strip, roots, roots.n);
    }
    void put_rows(T* re, T* im, std::ptrdiff_t stride) const {
        inverse_columns(strip, roots, roots.n);
        for_blocks([&](std::ptrdiff_t r, std::ptrdiff_t c) {
            const std::ptrdiff_t from = c * line<T> + r, to = r * stride + c;
            transpose(strip.re + from, line<T>, re + to, stride);
            transpose(strip.im + from, line<T>, im + to, stride);
        });
    }
    template <class Visit>
    void for_blocks(const Visit& visit) const {
        for (std::ptrdiff_t c = 0; c < roots.n; c += lanes<T>) {
            for (std::ptrdiff_t r = 0; r < line<T>; r += lanes<T>) visit(r, c);
        }
    }

    const Roots<T> roots;
    const Columns<T> strip;
};

// How one axis is cut. A kernel of up to half a square leaves the other half to results. A longer one is cut into blocks, whose results
// are added up in the frequency domain; then tiles are as long as blocks, so that the block v of a kernel sees for the tile i
// what the block v - 1 sees for the tile i + 1: each square of pixels is transformed once.
struct Cut {
    std::ptrdiff_t block, blocks;  // of the kernel
    std::ptrdiff_t tile, tiles;    // of the results
    std::ptrdiff_t squares;        // of pixels: the square i begins with the first pixel of the tile i

    Cut(std::ptrdiff_t taps, std::ptrdiff_t results, std::ptrdiff_t side)
        : block(taps <= side / 2 + 1 ? taps : side / 2),
          blocks((taps + block - 1) / block),
          tile(blocks == 1 ? side - taps + 1 : block),
          tiles((results + tile - 1) / tile),
          squares(tiles + blocks - 1) {}
};

// Where tiles, blocks of kernels and squares of pixels lie. Tiles of all pictures are counted row by row; the first half of them rides with
// the second, tile by tile.
template <class T>
struct FftLayout {
    static constexpr std::ptrdiff_t most_of_kernels = 16 << 20, most_of_pixels = 8 << 20;  // bytes of spectra
    std::ptrdiff_t side, stride, plane;  // of a square: its rows, and the numbers of its real or imaginary part
    Cut down, across;
    std::ptrdiff_t blocks;              // of all terms of one channel
    std::ptrdiff_t tiles, pairs;        // of one channel of the results
    std::ptrdiff_t kernels, pixels;     // spectra of kernels that are kept, all or none; of pixels, by each thread
    std::ptrdiff_t columns;             // of spectra of pixels, in a row of them
    std::ptrdiff_t unit_rows, unit_columns, units_down, units_across;  // a unit is a rectangle of pairs

    // Rows are longer than they need be: with 2^n bytes between them, all would want the same cache set.
    explicit FftLayout(const Job& job)
        : side(job.tile),
          stride(side + line<T>),
          plane(side * stride),
          down(job.kh, job.out.height, side),
          across(job.kw, job.out.width, side),
          blocks(job.terms_each * down.blocks * across.blocks),
          tiles(job.planes / job.channels_out * down.tiles * across.tiles),
          pairs((tiles + 1) / 2) {
        const std::ptrdiff_t bytes = 2 * plane * std::ptrdiff_t(sizeof(T)), all = job.channels_out * blocks;
        kernels = all == 1 || all * bytes <= most_of_kernels ? all : 0;
        const std::ptrdiff_t rows = (pairs + across.tiles - 1) / across.tiles;
        // Wide and high, so that few squares are seen by two units; not so large that there are few units, or that one takes long.
        const bool is_cut = down.blocks * across.blocks > 1;
        const std::ptrdiff_t of_column = job.terms_each * down.blocks * bytes;
        unit_columns = is_cut ? clamp(most_of_pixels / of_column - across.blocks + 1, 1, min(16, across.tiles)) : 1;
        unit_rows = is_cut ? clamp((std::ptrdiff_t(1) << 22) / (side * side * unit_columns), 1, min(16, rows)) : 1;
        const auto count = [&] {
            units_down = (rows + unit_rows - 1) / unit_rows;
            units_across = (across.tiles + unit_columns - 1) / unit_columns;
            return units_down * units_across;
        };
        while (count() < 8 && max(unit_rows, unit_columns) > 4) {
            if (unit_rows >= unit_columns) unit_rows = (unit_rows + 1) / 2; else unit_columns = (unit_columns + 1) / 2;
        }
        columns = unit_columns + across.blocks - 1;
        pixels = is_cut || job.channels_out > 1 ? job.terms_each * down.blocks * columns : 1;
        if (pixels * bytes > most_of_pixels) pixels = 1;
    }

    // What is seen once is multiplied where it lies.
    bool in_place(const Job& job) const { return job.channels_out * blocks == 1; }
    std::ptrdiff_t scratch_planes(const Job& job) const { return 2 * (pixels + !in_place(job) + (kernels == 0)); }
};

template <class T>
static std::ptrdiff_t fft_units(const Job& job) {
    const FftLayout<T> layout(job);
    return layout.units_down * layout.units_across;
}

// What is known of a block of a kernel beside its spectrum: the sum of its weights, and their length as a vector.
struct BlockSums {
    double sum, length;
};

static constexpr std::ptrdiff_t whole_lines(std::ptrdiff_t bytes) { return (bytes + 63) / 64 * 64; }

// What all threads read: sums of all blocks; cosines and sines; the spectra that are kept.
template <class T>
struct FftShared {
    const BlockSums* sums;
    Roots<T> roots;
    const T* spectra;
    const T* strip;  // for those who transform the kernels

    static std::ptrdiff_t sums_bytes(const Job& job, const FftLayout<T>& layout) {
        return whole_lines(job.channels_out * layout.blocks * std::ptrdiff_t(sizeof(BlockSums)));
    }
    static std::size_t bytes(const Job& job, const FftLayout<T>& layout) {
        const std::ptrdiff_t strip = Fourier<T>::strip_numbers(layout.side);
        return std::size_t(sums_bytes(job, layout)) + std::size_t(2 * layout.side + 2 * layout.kernels * layout.plane + strip) * sizeof(T);
    }
    FftShared(const Job& job, const FftLayout<T>& layout, const char* memory)
        : sums(reinterpret_cast<const BlockSums*>(memory)),
          roots{reinterpret_cast<const T*>(memory + sums_bytes(job, layout)), nullptr, layout.side},
          spectra(roots.cosine + 2 * layout.side),
          strip(spectra + 2 * layout.kernels * layout.plane) {
        roots.sine = roots.cosine + layout.side;
    }
};

template <class T>
static std::size_t fft_shared_bytes(const Job& job) {
    return FftShared<T>::bytes(job, FftLayout<T>(job));
}

// Calls visit(block, term, t, v, u) for every block of a channel's kernels: the number v downwards and u across of the term t. Those that
// a smaller term does not have are left out of the visits, but counted. Ends when a visit says false.
template <class T, class Visit>
static bool for_blocks(const Job& job, const FftLayout<T>& layout, std::ptrdiff_t channel, const Visit& visit) {
    for (std::ptrdiff_t t = 0; t < job.terms_each; ++t) {
        const Term& term = job.terms[channel * job.terms_each + t];
        for (std::ptrdiff_t v = 0; v * layout.down.block < term.kh; ++v) {
            for (std::ptrdiff_t u = 0; u * layout.across.block < term.kw; ++u) {
                const std::ptrdiff_t block = ((channel * job.terms_each + t) * layout.down.blocks + v) * layout.across.blocks + u;
                if (!visit(block, term, t, v, u)) return false;
            }
        }
    }
    return true;
}

template <class T, class Visit>
static void for_weights(const FftLayout<T>& layout, const Term& term, std::ptrdiff_t v, std::ptrdiff_t u, const Visit& visit) {
    const std::ptrdiff_t y = v * layout.down.block, x = u * layout.across.block;
    const std::ptrdiff_t rows = min(layout.down.block, term.kh - y), columns = min(layout.across.block, term.kw - x);
    const T* weights = static_cast<const T*>(term.weights) + x * term.kh + y;
    for (std::ptrdiff_t j = 0; j < columns; ++j, weights += term.kh) {
        for (std::ptrdiff_t i = 0; i < rows; ++i) visit(i, j, weights[i]);
    }
}

// Puts one block of a kernel, scaled for the inverse transform, into re and transforms it.
template <class T>
static void fft_kernel(const FftLayout<T>& layout, const Fourier<T>& fourier, const Term& term, std::ptrdiff_t v, std::ptrdiff_t u, T* re) {
    const T scale = T(1) / T(layout.side * layout.side);
    __builtin_memset(re, 0, 2 * std::size_t(layout.plane) * sizeof(T));
    for_weights(layout, term, v, u, [&](std::ptrdiff_t i, std::ptrdiff_t j, T weight) { re[i * layout.stride + j] = weight * scale; });
    fourier.forward(re, re + layout.plane, layout.stride);
}

template <class T>
static void fft_prepare(const Job& job, char* memory) {
    const FftLayout<T> layout(job);
    const FftShared<T> shared(job, layout, memory);
    fill_roots(layout.side, const_cast<T*>(shared.roots.cosine));
    const Fourier<T> fourier(shared.roots, const_cast<T*>(shared.strip));
    for (std::ptrdiff_t channel = 0; channel < job.channels_out; ++channel) {
        for_blocks(job, layout, channel, [&](std::ptrdiff_t block, const Term& term, std::ptrdiff_t, std::ptrdiff_t v, std::ptrdiff_t u) {
            double sum = 0, square = 0;
            for_weights(layout, term, v, u, [&](std::ptrdiff_t, std::ptrdiff_t, T weight) {
                sum += double(weight);
                square += double(weight) * double(weight);
            });
            const_cast<BlockSums*>(shared.sums)[block] = {sum, __builtin_sqrt(square)};
            if (layout.kernels) fft_kernel(layout, fourier, term, v, u, const_cast<T*>(shared.spectra) + 2 * block * layout.plane);
            return true;
        });
    }
}

// Two squares of pixels as the real and the imaginary part of one, transformed. The mean of each is taken out, for the digits.
struct Square {
    std::ptrdiff_t term, first, second;  // which they are
    double means[2];
    double length;  // of both, as a vector; not finite if a pixel is not, and then nothing was transformed
};

// Scratch: what is known of the squares, and they; the spectrum of results; that of a block, where none are kept; and what direct.hpp
// needs for tiles that are not finite.
template <class T>
static std::ptrdiff_t fft_planes_bytes(const Job& job, const FftLayout<T>& layout) {
    return whole_lines(layout.pixels * std::ptrdiff_t(sizeof(Square))) +
           (layout.scratch_planes(job) * layout.plane + Fourier<T>::strip_numbers(layout.side)) * std::ptrdiff_t(sizeof(T));
}
template <class T>
static std::size_t fft_scratch_bytes(const Job& job) {
    return std::size_t(fft_planes_bytes(job, FftLayout<T>(job))) + direct_scratch_bytes<T>(job);
}

template <class T>
class FftTiles {
  public:
    FftTiles(const Job& job, const char* shared, char* memory)
        : job(job),
          layout(job),
          shared(job, layout, shared),
          plane(layout.plane),
          stride(layout.stride),
          squares(reinterpret_cast<Square*>(memory)),
          pixels(reinterpret_cast<T*>(memory + whole_lines(layout.pixels * std::ptrdiff_t(sizeof(Square))))),
          sum(layout.in_place(job) ? pixels : pixels + 2 * layout.pixels * plane),
          own_spectrum(sum + 2 * plane),
          fourier(this->shared.roots, pixels + layout.scratch_planes(job) * plane),
          band(job, memory + fft_planes_bytes(job, layout)),
          gather(gatherer<T>(job)) {
        for (std::ptrdiff_t i = 0; i < layout.pixels; ++i) squares[i].term = -1;
    }

    void run(std::ptrdiff_t unit) {
        const std::ptrdiff_t top = unit / layout.units_across * layout.unit_rows, left = unit % layout.units_across * layout.unit_columns;
        for (std::ptrdiff_t row = top; row < top + layout.unit_rows; ++row) {
            for (std::ptrdiff_t column = left; column < min(left + layout.unit_columns, layout.across.tiles); ++column) {
                const std::ptrdiff_t first = row * layout.across.tiles + column;
                if (first >= layout.pairs) return;
                const Tile tiles[2] = {tile(first), tile(first + layout.pairs)};
                for (std::ptrdiff_t channel = 0; channel < job.channels_out; ++channel) fill(tiles, channel, row, column - left);
            }
        }
    }

    bool met_nan() const { return band.met_nan; }

  private:
    struct Tile {
        std::ptrdiff_t picture, row, column;  // picture -1: there is no such tile
        std::ptrdiff_t y, x, height, width;
    };

    Tile tile(std::ptrdiff_t i) const {
        if (i >= layout.tiles) return {-1, 0, 0, 0, 0, 0, 0};
        const std::ptrdiff_t in_picture = layout.down.tiles * layout.across.tiles;
        const std::ptrdiff_t row = i % in_picture / layout.across.tiles, column = i % layout.across.tiles;
        const std::ptrdiff_t y = row * layout.down.tile, x = column * layout.across.tile;
        return {i / in_picture, row, column, y, x, min(layout.down.tile, job.out.height - y), min(layout.across.tile, job.out.width - x)};
    }

    void fill(const Tile (&tiles)[2], std::ptrdiff_t channel, std::ptrdiff_t row, std::ptrdiff_t column) {
        double offsets[2] = {job.bias, job.bias};
        const bool finite = correlate(tiles, channel, row, column, offsets);
        for (int i = 0; i < 2; ++i) {
            const Tile& t = tiles[i];
            if (t.picture < 0) continue;
            const std::ptrdiff_t of = t.picture * job.channels_out + channel;
            if (finite) {
                put(t, of, sum + i * plane, T(offsets[i]));
            } else {  // NaN and inf must not spread over the tile
                band.gathered(of, t.y, t.y + t.height, t.x, t.x + t.width);
            }
        }
    }

    // Leaves both tiles' results in `sum`, but for what `offsets` are to be added. False: a pixel is not
    // finite, or so large that a sum on the way might not be: none is larger than the lengths of squares and kernels, as vectors,
    // allow (Cauchy and Schwarz).
    bool correlate(const Tile (&tiles)[2], std::ptrdiff_t channel, std::ptrdiff_t row, std::ptrdiff_t column, double (&offsets)[2]) {
        constexpr double most = sizeof(T) == 4 ? 0x1p125 : 0x1p1021;
        bool begun = false;
        const bool finite = for_blocks(job, layout, channel, [&](std::ptrdiff_t block, const Term& term, std::ptrdiff_t t, std::ptrdiff_t v,
                                                    std::ptrdiff_t u) {
            const std::ptrdiff_t place = (t * layout.down.blocks + (row + v) % layout.down.blocks) * layout.columns + column + u;
            const std::ptrdiff_t at = layout.pixels > 1 ? place : 0;
            const Square& square = take(tiles, t, term, v, u, at);
            const BlockSums& weights = shared.sums[block];
            if (!(square.length * weights.length < most / double(layout.blocks))) return false;
            for (int i = 0; i < 2; ++i) offsets[i] += square.means[i] * weights.sum;
            const T* spectrum = layout.kernels ? shared.spectra + 2 * block * plane : own_spectrum;
            if (!layout.kernels) fft_kernel(layout, fourier, term, v, u, own_spectrum);
            if (layout.in_place(job)) {
                fourier.there_and_back(sum, sum + plane, stride, [&](T* re, T* im, std::ptrdiff_t i) {
                    multiply<false>(re, im, spectrum + i, re, im, layout.side * line<T>);
                });
                return true;
            }
            const T* const seen = pixels + 2 * at * plane;
            Fourier<T>::for_runs(layout.side, stride, [&](std::ptrdiff_t i) {
                T *const re = sum + i, *const im = sum + plane + i;
                if (begun) {
                    multiply<true>(seen + i, seen + plane + i, spectrum + i, re, im, layout.side);
                } else {
                    multiply<false>(seen + i, seen + plane + i, spectrum + i, re, im, layout.side);
                }
            });
            begun = true;
            return true;
        });
        if (finite && !layout.in_place(job)) fourier.inverse(sum, sum + plane, stride);
        return finite;
    }

    // The square that a block of a kernel sees for both tiles; from the place `at`, if it is there. Transformed, if it is seen again.
    const Square& take(const Tile (&tiles)[2], std::ptrdiff_t t, const Term& term, std::ptrdiff_t v, std::ptrdiff_t u, std::ptrdiff_t at) {
        std::ptrdiff_t numbers[2];
        for (int i = 0; i < 2; ++i) {
            const Tile& of = tiles[i];
            numbers[i] = of.picture < 0 ? -1 : (of.picture * layout.down.squares + of.row + v) * layout.across.squares + of.column + u;
        }
        Square& square = squares[at];
        if (square.term == t && square.first == numbers[0] && square.second == numbers[1]) return square;
        square = {t, numbers[0], numbers[1], {0, 0}, 0};
        double squared = 0;
        T* to = pixels + 2 * at * plane;
        for (int i = 0; i < 2; ++i) {
            if (tiles[i].picture < 0) {
                __builtin_memset(to + i * plane, 0, std::size_t(plane) * sizeof(T));
            } else {
                squared += read(tiles[i], term, v, u, to + i * plane, square.means[i]);
            }
        }
        square.length = __builtin_sqrt(squared);
        if (squared - squared == 0 && !layout.in_place(job)) fourier.forward(to, to + plane, stride);
        return square;
    }

    // One square of pixels, less their mean or about that. Gives the sum of their squares.
    double read(const Tile& tile, const Term& term, std::ptrdiff_t v, std::ptrdiff_t u, T* to, double& mean) const {
        const std::ptrdiff_t y = tile.y + v * layout.down.block, x = tile.x + u * layout.across.block;
        const std::ptrdiff_t rows = min(layout.down.tile + layout.down.block - 1, job.out.height + term.kh - 1 - y);
        const std::ptrdiff_t columns = min(layout.across.tile + layout.across.block - 1, job.out.width + term.kw - 1 - x);
        gather(job, term, pixels_of(job, tile.picture * job.channels_out, term), {y, x, rows, columns}, to, stride);
        const T about = mean_of_some(to, rows, columns);
        Vec<T> squares_of{};
        T rest = 0;
        for (T* row = to; row < to + rows * stride; row += stride) {
            std::ptrdiff_t c = 0;
            for (; c + lanes<T> <= columns; c += lanes<T>) {
                const Vec<T> pixel = load(row + c) - about;
                store(row + c, pixel);
                squares_of += pixel * pixel;
            }
            for (; c < columns; ++c) {
                row[c] -= about;
                rest += row[c] * row[c];
            }
        }
        __builtin_memset(to + rows * stride, 0, std::size_t((layout.side - rows) * stride) * sizeof(T));
        mean = double(about);
        return double(rest) + double(total(squares_of));
    }

    // Of every eighth row. What is taken out is added again, so any number will do that is not far away.
    T mean_of_some(const T* pixels, std::ptrdiff_t rows, std::ptrdiff_t columns) const {
        Vec<T> sums{};
        for (std::ptrdiff_t r = 0; r < rows; r += 8) {
            for (std::ptrdiff_t c = 0; c < columns; c += lanes<T>) sums += load(pixels + r * stride + c);  // zeros follow
        }
        return total(sums) / T((rows + 7) / 8 * columns);
    }

    static T total(Vec<T> sums) {
        T all = 0;
        for (std::ptrdiff_t i = 0; i < lanes<T>; ++i) all += sums[i];
        return all;
    }

    // By the conjugate of n numbers of a kernel's spectrum.
    template <bool adds>
    void multiply(const T* re, const T* im, const T* spectrum, T* to_re, T* to_im, std::ptrdiff_t n) const {
        for (std::ptrdiff_t j = 0; j < n; j += lanes<T>) {
            const Vec<T> a = load(re + j), b = load(im + j), c = load(spectrum + j), d = load(spectrum + plane + j);
            Vec<T> product_re = a * c + b * d, product_im = b * c - a * d;
            if (adds) {
                product_re += load(to_re + j);
                product_im += load(to_im + j);
            }
            store(to_re + j, product_re);
            store(to_im + j, product_im);
        }
    }

    void put(const Tile& t, std::ptrdiff_t of, T* results, T offset) {
        if (band.writes_in_place(of, t.width)) {
            T* to = band.out_at(of, t.y, t.x);
            for (std::ptrdiff_t i = 0; i < t.height; ++i, results += stride, to += job.out.row_stride / std::ptrdiff_t(sizeof(T))) {
                for (std::ptrdiff_t j = 0; j < t.width; j += lanes<T>) {
                    const std::ptrdiff_t c = min(j, t.width - lanes<T>);
                    store(to + c, load(results + c) + offset);
                }
            }
            return;
        }
        for (std::ptrdiff_t i = 0; i < t.height; ++i) {
            T* const row = results + i * stride;
            for (std::ptrdiff_t j = 0; j < t.width; ++j) row[j] += offset;
            band.write_row(of, t.y + i, t.x, t.width, row);
        }
    }

    const Job& job;
    const FftLayout<T> layout;
    const FftShared<T> shared;
    const std::ptrdiff_t plane, stride;
    Square* const squares;
    T *const pixels, *const sum, *const own_spectrum;
    const Fourier<T> fourier;
    Band<T> band;
    const Gather<T> gather;
};

template <class T>
static bool fft_run(const Job& job, const char* shared, std::ptrdiff_t begin, std::ptrdiff_t end, char* memory) {
    FftTiles<T> tiles(job, shared, memory);
    for (std::ptrdiff_t unit = begin; unit < end; ++unit) tiles.run(unit);
    return tiles.met_nan();
}

}  // namespace CORR2D_ISA
}  // namespace corr2d
