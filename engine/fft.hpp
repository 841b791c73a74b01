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

// Where the tiles lie, and how a kernel that is too large for one tile is cut: into blocks whose results are added up in the
// frequency domain.
struct FftLayout {
    std::ptrdiff_t side;                         // of the square that is transformed
    std::ptrdiff_t block_height, block_width;    // of the kernel
    std::ptrdiff_t blocks_down, blocks_across;
    std::ptrdiff_t tile_height, tile_width;      // of results
    std::ptrdiff_t tiles_down, tiles_across;

    explicit FftLayout(const Job& job)
        : side(job.tile),
          block_height(min(job.kh, side / 2)),
          block_width(min(job.kw, side / 2)),
          blocks_down((job.kh + block_height - 1) / block_height),
          blocks_across((job.kw + block_width - 1) / block_width),
          tile_height(min(side - block_height + 1, job.out.height)),
          tile_width(min(side - block_width + 1, job.out.width)),
          tiles_down((job.out.height + tile_height - 1) / tile_height),
          tiles_across((job.out.width + tile_width - 1) / tile_width) {}

    std::ptrdiff_t tiles(const Job& job) const { return job.planes * tiles_down * tiles_across; }
    bool whole() const { return blocks_down * blocks_across == 1; }
    // Rows are longer than they need be: with 2^n bytes between them, all would want the same cache set.
    template <class T>
    std::ptrdiff_t stride() const {
        return side + line<T>;
    }
    template <class T>
    std::ptrdiff_t plane() const {  // numbers in one real or imaginary part
        return side * stride<T>();
    }
};

// A unit is a pair of tiles.
static std::ptrdiff_t fft_units(const Job& job) { return (FftLayout(job).tiles(job) + 1) / 2; }

// Shared: cosines, sines, and the spectrum of a kernel that is one block.
template <class T>
static std::size_t fft_shared_bytes(const Job& job) {
    const FftLayout layout(job);
    return std::size_t(2 * layout.side + (layout.whole() ? 2 * layout.plane<T>() : 0)) * sizeof(T);
}

template <class T>
static Roots<T> fft_roots(const Job& job, const char* shared) {
    const T* cosine = reinterpret_cast<const T*>(shared);
    return {cosine, cosine + job.tile, job.tile};
}

// Puts one block of the kernel, scaled for the inverse transform, into re and transforms it.
template <class T>
static void fft_kernel(const Job& job, const FftLayout& layout, const Roots<T>& roots, std::ptrdiff_t v, std::ptrdiff_t u, T* re,
                       T* im) {
    const T* kernel = static_cast<const T*>(job.kernel);
    const std::ptrdiff_t stride = layout.stride<T>();
    const T scale = T(1) / T(layout.side * layout.side);
    __builtin_memset(re, 0, std::size_t(layout.plane<T>()) * sizeof(T));
    __builtin_memset(im, 0, std::size_t(layout.plane<T>()) * sizeof(T));
    for (std::ptrdiff_t i = 0; i < min(layout.block_height, job.kh - v); ++i) {
        for (std::ptrdiff_t j = 0; j < min(layout.block_width, job.kw - u); ++j) {
            re[i * stride + j] = kernel[(v + i) * job.kw + u + j] * scale;
        }
    }
    transform<T, true>(re, im, stride, roots);
}

template <class T>
static void fft_prepare(const Job& job, char* shared) {
    const FftLayout layout(job);
    T* const cosine = reinterpret_cast<T*>(shared);
    T* const sine = cosine + layout.side;
    for (std::ptrdiff_t i = 0; i < layout.side; ++i) {
        const double angle = 2 * 3.14159265358979323846 * double(i) / double(layout.side);
        cosine[i] = T(__builtin_cos(angle));
        sine[i] = T(__builtin_sin(angle));
    }
    T* const spectrum = sine + layout.side;
    if (layout.whole()) fft_kernel(job, layout, fft_roots<T>(job, shared), 0, 0, spectrum, spectrum + layout.plane<T>());
}

// Scratch: the tile's real and imaginary part; for a kernel in blocks also the block's spectrum and the sum over blocks;
// and what direct.hpp needs for tiles that are not finite.
template <class T>
static std::size_t fft_scratch_bytes(const Job& job) {
    const FftLayout layout(job);
    return std::size_t((layout.whole() ? 2 : 6) * layout.plane<T>()) * sizeof(T) + direct_scratch_bytes<T>(job);
}

template <class T>
class FftTiles {
  public:
    FftTiles(const Job& job, const char* shared, char* memory)
        : job(job),
          layout(job),
          roots(fft_roots<T>(job, shared)),
          shared_spectrum(roots.sine + layout.side),
          plane(layout.plane<T>()),
          stride(layout.stride<T>()),
          re(reinterpret_cast<T*>(memory)),
          im(re + plane),
          band(job, memory + std::size_t((layout.whole() ? 2 : 6) * plane) * sizeof(T)),
          write(writer<T>(job.out.pixel)),
          whole_sum(kernel_sum(0, 0, job.kh, job.kw)),
          kernel_norm(norm_of_kernel()) {}

    void run(std::ptrdiff_t pair) {
        const Tile tiles[2] = {tile(2 * pair), tile(2 * pair + 1)};
        double offsets[2] = {job.bias, job.bias};
        const bool finite = layout.whole() ? correlate(tiles, 0, 0, shared_spectrum, re, im, offsets) : correlate_blocks(tiles, offsets);
        if (!finite) {  // NaN and inf must not spread over the tile
            for (const Tile& t : tiles) {
                if (t.height > 0) band.gathered(t.plane, t.y, t.y + t.height, t.x, t.x + t.width);
            }
            return;
        }
        transform<T, false>(re, im, stride, roots);
        put(tiles[0], re, offsets[0]);
        put(tiles[1], im, offsets[1]);
    }

    bool met_nan() const { return nan_met || band.met_nan; }

  private:
    struct Tile {
        std::ptrdiff_t plane, y, x, height, width;  // height 0: there is no such tile
    };

    Tile tile(std::ptrdiff_t i) const {
        if (i >= layout.tiles(job)) return {0, 0, 0, 0, 0};
        const std::ptrdiff_t in_plane = layout.tiles_down * layout.tiles_across, t = i % in_plane;
        const std::ptrdiff_t y = t / layout.tiles_across * layout.tile_height, x = t % layout.tiles_across * layout.tile_width;
        return {i / in_plane, y, x, min(layout.tile_height, job.out.height - y), min(layout.tile_width, job.out.width - x)};
    }

    // Leaves the spectrum of (one block of the kernel over) both tiles in to_re, to_im. The mean of each is taken out first, for
    // the digits, and what it contributes to every result is added to `offsets`. False: a pixel is not finite, or so large
    // that a sum on the way might not be.
    bool correlate(const Tile (&tiles)[2], std::ptrdiff_t v, std::ptrdiff_t u, const T* spectrum, T* to_re, T* to_im,
                   double (&offsets)[2]) {
        const std::ptrdiff_t kh = min(layout.block_height, job.kh - v), kw = min(layout.block_width, job.kw - u);
        T* const parts[2] = {to_re, to_im};
        for (int i = 0; i < 2; ++i) {
            const Tile& t = tiles[i];
            if (t.height == 0) {
                __builtin_memset(parts[i], 0, std::size_t(plane) * sizeof(T));
                continue;
            }
            const std::ptrdiff_t rows = t.height + kh - 1, columns = t.width + kw - 1;
            gather(job, t.plane, t.y + v - job.top, t.x + u - job.left, rows, columns, parts[i], stride);
            T mean;
            if (!mean_of(parts[i], rows, columns, mean)) return false;
            for (std::ptrdiff_t r = 0; r < rows; ++r) {
                for (std::ptrdiff_t c = 0; c < columns; ++c) parts[i][r * stride + c] -= mean;
            }
            __builtin_memset(parts[i] + rows * stride, 0, std::size_t((layout.side - rows) * stride) * sizeof(T));
            offsets[i] += double(mean) * (layout.whole() ? whole_sum : kernel_sum(v, u, kh, kw));
        }
        transform<T, true>(to_re, to_im, stride, roots);
        const T* const other = spectrum + plane;
        for (std::ptrdiff_t i = 0; i < layout.side; ++i) {
            for (std::ptrdiff_t j = i * stride; j < i * stride + layout.side; j += lanes<T>) {  // times the conjugate
                const Vec<T> a = load(to_re + j), b = load(to_im + j), c = load(spectrum + j), d = load(other + j);
                store(to_re + j, a * c + b * d);
                store(to_im + j, b * c - a * d);
            }
        }
        return true;
    }

    bool correlate_blocks(const Tile (&tiles)[2], double (&offsets)[2]) {
        T* const block = im + plane;
        T* const part = block + 2 * plane;
        __builtin_memset(re, 0, 2 * std::size_t(plane) * sizeof(T));
        for (std::ptrdiff_t v = 0; v < job.kh; v += layout.block_height) {
            for (std::ptrdiff_t u = 0; u < job.kw; u += layout.block_width) {
                fft_kernel(job, layout, roots, v, u, block, block + plane);
                if (!correlate(tiles, v, u, block, part, part + plane, offsets)) return false;
                for (std::ptrdiff_t j = 0; j < 2 * plane; ++j) re[j] += part[j];
            }
        }
        return true;
    }

    // Near enough: what is taken out here is added again. False: a pixel is not finite, or a sum of the transforms could
    // overflow. None is larger than the lengths of tile and kernel, as vectors, allow (Cauchy and Schwarz).
    bool mean_of(const T* pixels, std::ptrdiff_t rows, std::ptrdiff_t columns, T& mean) const {
        Vec<T> sum{}, squares{};
        for (std::ptrdiff_t r = 0; r < rows; ++r) {
            for (std::ptrdiff_t c = 0; c < columns; c += lanes<T>) {  // zeros follow
                const Vec<T> p = load(pixels + r * stride + c);
                sum += p;
                squares += p * p;
            }
        }
        T total = 0, square = 0;
        for (std::ptrdiff_t i = 0; i < lanes<T>; ++i) {
            total += sum[i];
            square += squares[i];
        }
        mean = total / T(rows * columns);
        constexpr double most = sizeof(T) == 4 ? 0x1p125 : 0x1p1021;
        return square - square == 0 && __builtin_sqrt(double(square)) * kernel_norm < most;
    }

    double norm_of_kernel() const {
        const T* kernel = static_cast<const T*>(job.kernel);
        double square = 0;
        for (std::ptrdiff_t i = 0; i < job.kh * job.kw; ++i) square += double(kernel[i]) * double(kernel[i]);
        return __builtin_sqrt(square);
    }

    double kernel_sum(std::ptrdiff_t v, std::ptrdiff_t u, std::ptrdiff_t kh, std::ptrdiff_t kw) const {
        const T* kernel = static_cast<const T*>(job.kernel);
        double sum = 0;
        for (std::ptrdiff_t i = v; i < v + kh; ++i) {
            for (std::ptrdiff_t j = u; j < u + kw; ++j) sum += double(kernel[i * job.kw + j]);
        }
        return sum;
    }

    void put(const Tile& t, T* part, double offset) {
        for (std::ptrdiff_t i = 0; i < t.height; ++i) {
            T* const row = part + i * stride;
            for (std::ptrdiff_t j = 0; j < t.width; ++j) row[j] += T(offset);
            char* const to = job.out.plane[t.plane] + (t.y + i) * job.out.row_stride + t.x * job.out.column_stride;
            nan_met |= write(row, to, job.out.column_stride, t.width);
        }
    }

    const Job& job;
    const FftLayout layout;
    const Roots<T> roots;
    const T* const shared_spectrum;
    const std::ptrdiff_t plane, stride;
    T *const re, *const im;
    Band<T> band;
    const WriteRun<T> write;
    const double whole_sum, kernel_norm;
    bool nan_met = false;
};

template <class T>
static bool fft_run(const Job& job, const char* shared, std::ptrdiff_t begin, std::ptrdiff_t end, char* memory) {
    FftTiles<T> tiles(job, shared, memory);
    for (std::ptrdiff_t pair = begin; pair < end; ++pair) tiles.run(pair);
    return tiles.met_nan();
}

}  // namespace CORR2D_ISA
}  // namespace corr2d
