// Correlation by overlap-save tiles in the frequency domain.
//
// A tile of T x T pixels gives (T - kh + 1) x (T - kw + 1) results. Two real tiles ride in one complex transform: the kernel
// is real, so their results come out as the real and the imaginary part. The forward transform is decimation in frequency, the
// inverse decimation in time, so that no bit reversal is needed in between. Both run down the columns, a cache
// line of them at a time; for the rows the tile is transposed. Rows are padded, since 2^n of them would fight for
// the same cache sets.
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

template <class T>
static void transpose(T* a, std::ptrdiff_t n, std::ptrdiff_t stride) {
    constexpr std::ptrdiff_t b = lanes<T>;
    for (std::ptrdiff_t i = 0; i < n; i += b) {
        for (std::ptrdiff_t j = i; j < n; j += b) {
            Vec<T> upper[b], lower[b];
#pragma GCC unroll 16
            for (int r = 0; r < b; ++r) upper[r] = load(a + (i + r) * stride + j);
            transpose_registers<T>(upper);
            if (i != j) {
#pragma GCC unroll 16
                for (int r = 0; r < b; ++r) lower[r] = load(a + (j + r) * stride + i);
                transpose_registers<T>(lower);
#pragma GCC unroll 16
                for (int r = 0; r < b; ++r) store(a + (i + r) * stride + j, lower[r]);
            }
#pragma GCC unroll 16
            for (int r = 0; r < b; ++r) store(a + (j + r) * stride + i, upper[r]);
        }
    }
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
static inline Complex<T> times(Complex<T> a, T c, T s) { return {a.re * c - a.im * s, a.re * s + a.im * c}; }
template <class T>
static inline Complex<T> times_i(Complex<T> a) { return {-a.im, a.re}; }

// Columns of one cache line: n rows of `width` numbers, real and imaginary parts apart.
template <class T>
struct Columns {
    T *re, *im;
    std::ptrdiff_t stride;
    Complex<T> get(std::ptrdiff_t row, std::ptrdiff_t c) const { return {load(re + row * stride + c), load(im + row * stride + c)}; }
    void put(std::ptrdiff_t row, std::ptrdiff_t c, Complex<T> a) const {
        store(re + row * stride + c, a.re);
        store(im + row * stride + c, a.im);
    }
};

template <class T>
static constexpr std::ptrdiff_t line = 64 / sizeof(T) < lanes<T> ? lanes<T> : 64 / sizeof(T);

// sign -1: forward, decimation in frequency: natural order in, digit-reversed out. +1: inverse, the other way round, unscaled.
template <class T, int sign>
static inline void radix4(const Columns<T>& x, const Roots<T>& roots, std::ptrdiff_t n) {
    const std::ptrdiff_t quarter = n / 4, step = roots.n / n;
    for (std::ptrdiff_t k = 0; k < quarter; ++k) {
        const std::ptrdiff_t i1 = k * step, i2 = 2 * i1, i3 = 3 * i1;
        const T c1 = roots.cosine[i1], c2 = roots.cosine[i2], c3 = roots.cosine[i3];
        const T s1 = sign * roots.sine[i1], s2 = sign * roots.sine[i2], s3 = sign * roots.sine[i3];
        for (std::ptrdiff_t row = k; row < roots.n; row += n) {
#pragma GCC unroll 4
            for (std::ptrdiff_t c = 0; c < line<T>; c += lanes<T>) {
                Complex<T> a0 = x.get(row, c), a1 = x.get(row + quarter, c), a2 = x.get(row + 2 * quarter, c),
                           a3 = x.get(row + 3 * quarter, c);
                if (sign > 0) {
                    a1 = times(a1, c1, s1);
                    a2 = times(a2, c2, s2);
                    a3 = times(a3, c3, s3);
                }
                const Complex<T> even = a0 + a2, odd = a1 + a3, low = a0 - a2;
                const Complex<T> turned = sign > 0 ? times_i(a1 - a3) : times_i(a3 - a1);
                Complex<T> b1 = low + turned, b2 = even - odd, b3 = low - turned;
                if (sign < 0) {
                    b1 = times(b1, c1, s1);
                    b2 = times(b2, c2, s2);
                    b3 = times(b3, c3, s3);
                }
                x.put(row, c, even + odd);
                x.put(row + quarter, c, b1);
                x.put(row + 2 * quarter, c, b2);
                x.put(row + 3 * quarter, c, b3);
            }
        }
    }
}
template <class T>
static inline void radix2(const Columns<T>& x, const Roots<T>& roots) {  // the last step of an odd power of two: no factors
    for (std::ptrdiff_t row = 0; row < roots.n; row += 2) {
#pragma GCC unroll 4
        for (std::ptrdiff_t c = 0; c < line<T>; c += lanes<T>) {
            const Complex<T> a = x.get(row, c), b = x.get(row + 1, c);
            x.put(row, c, a + b);
            x.put(row + 1, c, a - b);
        }
    }
}

template <class T>
static void forward_columns(const Columns<T>& x, const Roots<T>& roots) {
    std::ptrdiff_t n = roots.n;
    for (; n >= 4; n /= 4) radix4<T, -1>(x, roots, n);
    if (n == 2) radix2(x, roots);
}
template <class T>
static void inverse_columns(const Columns<T>& x, const Roots<T>& roots) {
    std::ptrdiff_t n = roots.n;
    while (n >= 4) n /= 4;
    if (n == 2) radix2(x, roots);
    for (n = n == 2 ? 8 : 4; n <= roots.n; n *= 4) radix4<T, 1>(x, roots, n);
}

template <class T, bool forward>
static void transform(T* re, T* im, std::ptrdiff_t stride, const Roots<T>& roots) {
    const auto columns = [&] {
        for (std::ptrdiff_t j = 0; j < roots.n; j += line<T>) {
            const Columns<T> x{re + j, im + j, stride};
            if (forward) forward_columns(x, roots); else inverse_columns(x, roots);
        }
    };
    columns();
    transpose(re, roots.n, stride);
    transpose(im, roots.n, stride);
    columns();
}

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

    static std::ptrdiff_t sums_bytes(const Job& job, const FftLayout<T>& layout) {
        return whole_lines(job.channels_out * layout.blocks * std::ptrdiff_t(sizeof(BlockSums)));
    }
    static std::size_t bytes(const Job& job, const FftLayout<T>& layout) {
        return std::size_t(sums_bytes(job, layout)) + std::size_t(2 * layout.side + 2 * layout.kernels * layout.plane) * sizeof(T);
    }
    FftShared(const Job& job, const FftLayout<T>& layout, const char* memory)
        : sums(reinterpret_cast<const BlockSums*>(memory)),
          roots{reinterpret_cast<const T*>(memory + sums_bytes(job, layout)), nullptr, layout.side},
          spectra(roots.cosine + 2 * layout.side) {
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
static void fft_kernel(const FftLayout<T>& layout, const Roots<T>& roots, const Term& term, std::ptrdiff_t v, std::ptrdiff_t u, T* re) {
    const T scale = T(1) / T(layout.side * layout.side);
    __builtin_memset(re, 0, 2 * std::size_t(layout.plane) * sizeof(T));
    for_weights(layout, term, v, u, [&](std::ptrdiff_t i, std::ptrdiff_t j, T weight) { re[i * layout.stride + j] = weight * scale; });
    transform<T, true>(re, re + layout.plane, layout.stride, roots);
}

template <class T>
static void fft_prepare(const Job& job, char* memory) {
    const FftLayout<T> layout(job);
    const FftShared<T> shared(job, layout, memory);
    fill_roots(layout.side, const_cast<T*>(shared.roots.cosine));
    for (std::ptrdiff_t channel = 0; channel < job.channels_out; ++channel) {
        for_blocks(job, layout, channel, [&](std::ptrdiff_t block, const Term& term, std::ptrdiff_t, std::ptrdiff_t v, std::ptrdiff_t u) {
            double sum = 0, square = 0;
            for_weights(layout, term, v, u, [&](std::ptrdiff_t, std::ptrdiff_t, T weight) {
                sum += double(weight);
                square += double(weight) * double(weight);
            });
            const_cast<BlockSums*>(shared.sums)[block] = {sum, __builtin_sqrt(square)};
            if (layout.kernels) fft_kernel(layout, shared.roots, term, v, u, const_cast<T*>(shared.spectra) + 2 * block * layout.plane);
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
           layout.scratch_planes(job) * layout.plane * std::ptrdiff_t(sizeof(T));
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
        if (finite) transform<T, false>(sum, sum + plane, stride, shared.roots);
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

    // Leaves the spectrum of both tiles' results in `sum`, but for what `offsets` are to be added. False: a pixel is not
    // finite, or so large that a sum on the way might not be: none is larger than the lengths of squares and kernels, as vectors,
    // allow (Cauchy and Schwarz).
    bool correlate(const Tile (&tiles)[2], std::ptrdiff_t channel, std::ptrdiff_t row, std::ptrdiff_t column, double (&offsets)[2]) {
        constexpr double most = sizeof(T) == 4 ? 0x1p125 : 0x1p1021;
        bool begun = false;
        return for_blocks(job, layout, channel, [&](std::ptrdiff_t block, const Term& term, std::ptrdiff_t t, std::ptrdiff_t v,
                                                    std::ptrdiff_t u) {
            const std::ptrdiff_t place = (t * layout.down.blocks + (row + v) % layout.down.blocks) * layout.columns + column + u;
            const std::ptrdiff_t at = layout.pixels > 1 ? place : 0;
            const Square& square = take(tiles, t, term, v, u, at);
            const BlockSums& weights = shared.sums[block];
            if (!(square.length * weights.length < most / double(layout.blocks))) return false;
            for (int i = 0; i < 2; ++i) offsets[i] += square.means[i] * weights.sum;
            const T* spectrum = layout.kernels ? shared.spectra + 2 * block * plane : own_spectrum;
            if (!layout.kernels) fft_kernel(layout, shared.roots, term, v, u, own_spectrum);
            if (begun) multiply<true>(pixels + 2 * at * plane, spectrum); else multiply<false>(pixels + 2 * at * plane, spectrum);
            begun = true;
            return true;
        });
    }

    // The square that a block of a kernel sees for both tiles, transformed; from the place `at`, if it is there.
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
        if (squared - squared == 0) transform<T, true>(to, to + plane, stride, shared.roots);
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

    template <bool adds>
    void multiply(const T* pixels_spectrum, const T* spectrum) const {  // by the conjugate
        for (std::ptrdiff_t i = 0; i < layout.side; ++i) {
            for (std::ptrdiff_t j = i * stride; j < i * stride + layout.side; j += lanes<T>) {
                const Vec<T> a = load(pixels_spectrum + j), b = load(pixels_spectrum + plane + j);
                const Vec<T> c = load(spectrum + j), d = load(spectrum + plane + j);
                Vec<T> re = a * c + b * d, im = b * c - a * d;
                if (adds) {
                    re += load(sum + j);
                    im += load(sum + plane + j);
                }
                store(sum + j, re);
                store(sum + plane + j, im);
            }
        }
    }

    void put(const Tile& t, std::ptrdiff_t of, T* results, T offset) {
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
