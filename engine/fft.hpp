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

// Where the tiles lie, and how terms that are too large for one tile are cut: into blocks whose results are added up, like
// those of several terms, in the frequency domain.
struct FftLayout {
    std::ptrdiff_t side;                       // of the square that is transformed
    std::ptrdiff_t block_height, block_width;  // of a kernel
    std::ptrdiff_t blocks;                     // of all terms of one channel
    std::ptrdiff_t tile_height, tile_width;    // of results
    std::ptrdiff_t tiles_down, tiles_across;

    explicit FftLayout(const Job& job)
        : side(job.tile),
          block_height(min(job.kh, side / 2)),
          block_width(min(job.kw, side / 2)),
          blocks(0),
          tile_height(min(side - block_height + 1, job.out.height)),
          tile_width(min(side - block_width + 1, job.out.width)),
          tiles_down((job.out.height + tile_height - 1) / tile_height),
          tiles_across((job.out.width + tile_width - 1) / tile_width) {
        for_blocks(job.terms, job.terms_each, [this](auto...) { ++blocks; });
    }

    // Calls visit(term, v, u, kh, kw) for every block, in order.
    template <class Visit>
    void for_blocks(const Term* terms, std::ptrdiff_t n, const Visit& visit) const {
        for (std::ptrdiff_t t = 0; t < n; ++t) {
            for (std::ptrdiff_t v = 0; v < terms[t].kh; v += block_height) {
                for (std::ptrdiff_t u = 0; u < terms[t].kw; u += block_width) {
                    visit(terms[t], v, u, min(block_height, terms[t].kh - v), min(block_width, terms[t].kw - u));
                }
            }
        }
    }

    // The tiles of all pictures, for one channel of the results: only those have a kernel in common, and can be paired.
    std::ptrdiff_t tiles(const Job& job) const { return job.planes / job.channels_out * tiles_down * tiles_across; }
    std::ptrdiff_t pairs(const Job& job) const { return (tiles(job) + 1) / 2; }

    // Rows are longer than they need be: with 2^n bytes between them, all would want the same cache set.
    template <class T>
    std::ptrdiff_t stride() const {
        return side + line<T>;
    }
    template <class T>
    std::ptrdiff_t plane() const {  // numbers in one real or imaginary part
        return side * stride<T>();
    }

    // Spectra of the blocks are kept if they take little memory; else they are made again for every pair.
    template <class T>
    std::ptrdiff_t kept(const Job& job) const {
        constexpr std::ptrdiff_t most_bytes = 16 << 20;
        const std::ptrdiff_t all = job.channels_out * blocks;
        return all == 1 || all * 2 * plane<T>() * std::ptrdiff_t(sizeof(T)) <= most_bytes ? all : 0;
    }
    // Scratch: the pair's real and imaginary part; of several blocks also those of one block; and of its spectrum.
    template <class T>
    std::ptrdiff_t scratch_planes(const Job& job) const {
        return blocks == 1 && kept<T>(job) ? 2 : kept<T>(job) ? 4 : 6;
    }
};

// A unit is a pair of tiles.
static std::ptrdiff_t fft_units(const Job& job) { return job.channels_out * FftLayout(job).pairs(job); }

// Shared: cosines, sines, and the spectra that are kept.
template <class T>
static std::size_t fft_shared_bytes(const Job& job) {
    const FftLayout layout(job);
    return std::size_t(2 * layout.side + 2 * layout.kept<T>(job) * layout.plane<T>()) * sizeof(T);
}

template <class T>
static Roots<T> fft_roots(const Job& job, const char* shared) {
    const T* cosine = reinterpret_cast<const T*>(shared);
    return {cosine, cosine + job.tile, job.tile};
}

// Puts one block of a kernel, scaled for the inverse transform, into re and transforms it.
template <class T>
static void fft_kernel(const FftLayout& layout, const Roots<T>& roots, const Term& term, std::ptrdiff_t v, std::ptrdiff_t u,
                       std::ptrdiff_t kh, std::ptrdiff_t kw, T* re) {
    const T* weights = static_cast<const T*>(term.weights);
    const std::ptrdiff_t stride = layout.stride<T>();
    T* const im = re + layout.plane<T>();
    const T scale = T(1) / T(layout.side * layout.side);
    __builtin_memset(re, 0, 2 * std::size_t(layout.plane<T>()) * sizeof(T));
    for (std::ptrdiff_t i = 0; i < kh; ++i) {
        for (std::ptrdiff_t j = 0; j < kw; ++j) re[i * stride + j] = weights[(u + j) * term.kh + v + i] * scale;
    }
    transform<T, true>(re, im, stride, roots);
}

template <class T>
static void fft_prepare(const Job& job, char* shared) {
    const FftLayout layout(job);
    fill_roots(layout.side, reinterpret_cast<T*>(shared));
    if (layout.kept<T>(job) == 0) return;
    T* spectrum = reinterpret_cast<T*>(shared) + 2 * layout.side;
    layout.for_blocks(job.terms, job.channels_out * job.terms_each, [&](const Term& term, auto... block) {
        fft_kernel(layout, fft_roots<T>(job, shared), term, block..., spectrum);
        spectrum += 2 * layout.plane<T>();
    });
}

// Scratch: see above; and what direct.hpp needs for tiles that are not finite.
template <class T>
static std::size_t fft_scratch_bytes(const Job& job) {
    const FftLayout layout(job);
    return std::size_t(layout.scratch_planes<T>(job) * layout.plane<T>()) * sizeof(T) + direct_scratch_bytes<T>(job);
}

template <class T>
class FftTiles {
  public:
    FftTiles(const Job& job, const char* shared, char* memory)
        : job(job),
          layout(job),
          roots(fft_roots<T>(job, shared)),
          spectra(layout.kept<T>(job) ? roots.sine + layout.side : nullptr),
          plane(layout.plane<T>()),
          stride(layout.stride<T>()),
          sum(reinterpret_cast<T*>(memory)),
          part(sum + 2 * plane),
          own_spectrum(part + 2 * plane),
          band(job, memory + std::size_t(layout.scratch_planes<T>(job) * plane) * sizeof(T)),
          gather(gatherer<T>(job)),
          write(writer<T>(job.out.pixel)) {}

    void run(std::ptrdiff_t unit) {
        const std::ptrdiff_t channel = unit / layout.pairs(job), pair = unit % layout.pairs(job);
        const Tile tiles[2] = {tile(channel, 2 * pair), tile(channel, 2 * pair + 1)};
        double offsets[2] = {job.bias, job.bias};
        if (!correlate(channel, tiles, offsets)) {  // NaN and inf must not spread over the tile
            for (const Tile& t : tiles) {
                if (t.height > 0) band.gathered(t.plane, t.y, t.y + t.height, t.x, t.x + t.width);
            }
            return;
        }
        transform<T, false>(sum, sum + plane, stride, roots);
        put(tiles[0], sum, offsets[0]);
        put(tiles[1], sum + plane, offsets[1]);
    }

    bool met_nan() const { return nan_met || band.met_nan; }

  private:
    struct Tile {
        std::ptrdiff_t plane, y, x, height, width;  // height 0: there is no such tile
    };

    Tile tile(std::ptrdiff_t channel, std::ptrdiff_t i) const {
        if (i >= layout.tiles(job)) return {0, 0, 0, 0, 0};
        const std::ptrdiff_t in_plane = layout.tiles_down * layout.tiles_across, t = i % in_plane;
        const std::ptrdiff_t y = t / layout.tiles_across * layout.tile_height, x = t % layout.tiles_across * layout.tile_width;
        return {i / in_plane * job.channels_out + channel, y, x, min(layout.tile_height, job.out.height - y),
                min(layout.tile_width, job.out.width - x)};
    }

    // Leaves the spectrum of both tiles' results in `sum`, but for what `offsets` are to be added. False: a pixel is not
    // finite, or so large that a sum on the way might not be.
    bool correlate(std::ptrdiff_t channel, const Tile (&tiles)[2], double (&offsets)[2]) {
        std::ptrdiff_t n = 0;
        bool finite = true;
        layout.for_blocks(job.terms + channel * job.terms_each, job.terms_each, [&](const Term& term, auto... at) {
            T* const to = n == 0 ? sum : part;
            finite = finite && take_tiles(tiles, term, at..., to, offsets);
            if (finite) {
                const T* spectrum = spectra ? spectra + (channel * layout.blocks + n) * 2 * plane : own_spectrum;
                if (!spectra) fft_kernel(layout, roots, term, at..., own_spectrum);
                transform<T, true>(to, to + plane, stride, roots);
                multiply(to, spectrum);
                for (std::ptrdiff_t j = 0; n > 0 && j < 2 * plane; ++j) sum[j] += part[j];
            }
            ++n;
        });
        return finite;
    }

    // The pixels that one block of a kernel sees, of the first tile as real and of the second as imaginary part. The mean of
    // each is taken out, for the digits; what it contributes to every result goes to `offsets`.
    bool take_tiles(const Tile (&tiles)[2], const Term& term, std::ptrdiff_t v, std::ptrdiff_t u, std::ptrdiff_t kh, std::ptrdiff_t kw,
                    T* to, double (&offsets)[2]) const {
        double kernel_sum = 0, square = 0;
        for (std::ptrdiff_t j = u; j < u + kw; ++j) {
            for (std::ptrdiff_t i = v; i < v + kh; ++i) {
                const double weight = double(static_cast<const T*>(term.weights)[j * term.kh + i]);
                kernel_sum += weight;
                square += weight * weight;
            }
        }
        for (int i = 0; i < 2; ++i, to += plane) {
            const Tile& t = tiles[i];
            if (t.height == 0) {
                __builtin_memset(to, 0, std::size_t(plane) * sizeof(T));
                continue;
            }
            const std::ptrdiff_t rows = t.height + kh - 1, columns = t.width + kw - 1;
            gather(job, term, pixels_of(job, t.plane, term), {t.y + v, t.x + u, rows, columns}, to, stride);
            T mean;
            if (!mean_of(to, rows, columns, __builtin_sqrt(square), mean)) return false;
            for (std::ptrdiff_t r = 0; r < rows; ++r) {
                for (std::ptrdiff_t c = 0; c < columns; ++c) to[r * stride + c] -= mean;
            }
            __builtin_memset(to + rows * stride, 0, std::size_t((layout.side - rows) * stride) * sizeof(T));
            offsets[i] += double(mean) * kernel_sum;
        }
        return true;
    }

    void multiply(T* re, const T* spectrum) const {  // by the conjugate
        for (std::ptrdiff_t i = 0; i < layout.side; ++i) {
            for (std::ptrdiff_t j = i * stride; j < i * stride + layout.side; j += lanes<T>) {
                const Vec<T> a = load(re + j), b = load(re + plane + j), c = load(spectrum + j), d = load(spectrum + plane + j);
                store(re + j, a * c + b * d);
                store(re + plane + j, b * c - a * d);
            }
        }
    }

    // Near enough: what is taken out here is added again. False: a pixel is not finite, or a sum of the transforms could
    // overflow. None is larger than the lengths of tile and kernel, as vectors, allow (Cauchy and Schwarz).
    bool mean_of(const T* pixels, std::ptrdiff_t rows, std::ptrdiff_t columns, double kernel_length, T& mean) const {
        Vec<T> total_of{}, squares{};
        for (std::ptrdiff_t r = 0; r < rows; ++r) {
            for (std::ptrdiff_t c = 0; c < columns; c += lanes<T>) {  // zeros follow
                const Vec<T> p = load(pixels + r * stride + c);
                total_of += p;
                squares += p * p;
            }
        }
        T total = 0, square = 0;
        for (std::ptrdiff_t i = 0; i < lanes<T>; ++i) {
            total += total_of[i];
            square += squares[i];
        }
        mean = total / T(rows * columns);
        constexpr double most = sizeof(T) == 4 ? 0x1p125 : 0x1p1021;
        return square - square == 0 && __builtin_sqrt(double(square)) * kernel_length < most / double(layout.blocks);
    }

    void put(const Tile& t, T* results, double offset) {
        if (t.height == 0) return;
        char* to = plane_at(job.out, t.plane) + t.y * job.out.row_stride + t.x * job.out.column_stride;
        for (std::ptrdiff_t i = 0; i < t.height; ++i, to += job.out.row_stride) {
            T* const row = results + i * stride;
            for (std::ptrdiff_t j = 0; j < t.width; ++j) row[j] += T(offset);
            nan_met |= write(row, to, job.out.column_stride, t.width);
        }
    }

    const Job& job;
    const FftLayout layout;
    const Roots<T> roots;
    const T* const spectra;
    const std::ptrdiff_t plane, stride;
    T *const sum, *const part, *const own_spectrum;
    Band<T> band;
    const Gather<T> gather;
    const WriteRun<T> write;
    bool nan_met = false;
};

template <class T>
static bool fft_run(const Job& job, const char* shared, std::ptrdiff_t begin, std::ptrdiff_t end, char* memory) {
    FftTiles<T> tiles(job, shared, memory);
    for (std::ptrdiff_t unit = begin; unit < end; ++unit) tiles.run(unit);
    return tiles.met_nan();
}

}  // namespace CORR2D_ISA
}  // namespace corr2d
