// Pixels of any type, stride and byte order in and out of the contiguous tiles that the arithmetic runs on. A pixel is
// converted once per tile, and the border is made here, for the tiles that touch it.
#pragma once
#include <cstdint>

#include "job.hpp"
#include "vec.hpp"

namespace corr2d {
namespace CORR2D_ISA {

struct Half {
    std::uint16_t bits;
};
struct Bool {  // any byte but 0 is true: a mask of 0 and 255 may come as .view(bool)
    std::uint8_t byte;
};

static inline float widen(Half h) {
    const std::uint32_t sign = std::uint32_t(h.bits & 0x8000u) << 16, magnitude = h.bits & 0x7fffu;
    std::uint32_t bits;
    if (magnitude >= 0x7c00u) {  // inf, NaN
        bits = (magnitude << 13) | 0x7f800000u;
    } else if (magnitude >= 0x0400u) {  // normal: the exponent bias goes from 15 to 127
        bits = (magnitude << 13) + ((127u - 15u) << 23);
    } else {  // subnormal: a multiple of 2^-24, exact in float
        const float f = float(magnitude) * 0x1p-24f;
        __builtin_memcpy(&bits, &f, sizeof bits);
    }
    bits |= sign;
    float f;
    __builtin_memcpy(&f, &bits, sizeof f);
    return f;
}
static inline float widen(Bool b) { return b.byte != 0; }
template <class S>
static inline S widen(S s) {
    return s;
}

template <class S, bool swapped>
static inline S fetch(const char* p) {  // p need not be aligned
    unsigned char bytes[sizeof(S)];
    __builtin_memcpy(bytes, p, sizeof bytes);
    if constexpr (swapped) {
        for (std::size_t i = 0; i < sizeof(S) / 2; ++i) {
            const unsigned char b = bytes[i];
            bytes[i] = bytes[sizeof(S) - 1 - i];
            bytes[sizeof(S) - 1 - i] = b;
        }
    }
    S s;
    __builtin_memcpy(&s, bytes, sizeof s);
    return s;
}

// Pixels that lie `stride` bytes apart. Neighbours, and neighbours of one colour or phase, have loops that vectorise.
template <class S, bool swapped, int apart, class T>
static void read_apart(const char* __restrict from, std::ptrdiff_t stride, T* __restrict to, std::ptrdiff_t n) {
    if constexpr (apart > 0) stride = apart * std::ptrdiff_t(sizeof(S));
    // A number that the compiler knows becomes vectors without a tail: the last ones are read twice.
    constexpr std::ptrdiff_t some = vector_bytes;
    const auto read = [&](std::ptrdiff_t first, std::ptrdiff_t count) {
        for (std::ptrdiff_t i = first; i < first + count; ++i) to[i] = T(widen(fetch<S, swapped>(from + i * stride)));
    };
    if (n < some) return read(0, n);
    for (std::ptrdiff_t i = 0; i + some < n; i += some) read(i, some);
    read(n - some, some);
}
template <class S, bool swapped, class T>
static void read_run(const char* from, std::ptrdiff_t stride, T* to, std::ptrdiff_t n) {
    switch (stride) {
        case sizeof(S): return read_apart<S, swapped, 1>(from, stride, to, n);
        case 2 * sizeof(S): return read_apart<S, swapped, 2>(from, stride, to, n);
        case 3 * sizeof(S): return read_apart<S, swapped, 3>(from, stride, to, n);
        case 4 * sizeof(S): return read_apart<S, swapped, 4>(from, stride, to, n);
        default: return read_apart<S, swapped, 0>(from, stride, to, n);
    }
}

// Integer results whose sum lies so near to a tie are summed again: `exact` gives that of the i-th of a run.
template <class T>
struct NearTies {
    double within;  // 0: none are
    const void* run;
    double (*exact)(const void* run, std::ptrdiff_t i);
};

// Writes n values and says whether a NaN met an integer pixel, which is then of no account.
template <class T>
using WriteRun = bool (*)(const T* from, char* to, std::ptrdiff_t stride, std::ptrdiff_t n, const NearTies<T>& ties);

template <class T, class D>
static bool write_floats(const T* from, char* to, std::ptrdiff_t stride, std::ptrdiff_t n, const NearTies<T>&) {
    const auto write = [&](std::ptrdiff_t apart) {
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const D d = D(from[i]);
            __builtin_memcpy(to + i * apart, &d, sizeof d);
        }
    };
    if (stride == sizeof(D)) write(sizeof(D)); else write(stride);  // neighbours: vectors
    return false;
}

static inline float round_half_even(float a) { return __builtin_rintf(a); }
static inline double round_half_even(double a) { return __builtin_rint(a); }

template <class T, class D>
static inline D saturated(T a) {
    constexpr D lowest = D(-1) < D(0) ? D(D(1) << (8 * sizeof(D) - 1)) : D(0), highest = D(~lowest);
    // >=: T(highest) may round up to 2^63, which D cannot hold.
    return a >= T(highest) ? highest : a <= T(lowest) ? lowest : a == a ? D(a) : D(0);
}

// For |a| < 2^22: beyond `large` numbers are whole, and the last bits are those of the whole number. Every instruction set has
// this as vectors.
template <class T>
static constexpr T large = sizeof(T) == 4 ? T(0x1.8p23) : T(0x1.8p52);

// Of results first, first + 1, … those near a tie. Out of line, so that the loop of write_vectors() keeps its registers.
template <class T, class D>
[[gnu::noinline]] static void mend(const T* from, char* to, std::ptrdiff_t first, T far_squared, const NearTies<T>& ties) {
    constexpr std::ptrdiff_t some = 4 * lanes<T>;
    T off_squared[some];
    for (std::ptrdiff_t j = 0; j < some; ++j) {
        const T off = from[first + j] - round_half_even(from[first + j]);
        off_squared[j] = off * off;
    }
    for (std::ptrdiff_t j = 0; j < some; ++j) {
        if (!(off_squared[j] >= far_squared)) continue;
        const D d = saturated<double, D>(round_half_even(ties.exact(ties.run, first + j)));
        __builtin_memcpy(to + (first + j) * std::ptrdiff_t(sizeof d), &d, sizeof d);
    }
}

// All of n neighbours, if they fill vectors; gives the number written.
template <class T, class D, bool mends>
static std::ptrdiff_t write_vectors(const T* from, char* to, std::ptrdiff_t n, const NearTies<T>& ties, bool& met_nan) {
    constexpr std::ptrdiff_t some = 4 * lanes<T>;
    constexpr T lowest = T(D(-1) < D(0) ? D(D(1) << (8 * sizeof(D) - 1)) : D(0)), highest = T(D(~D(lowest)));
    if (n < some) return 0;
    const double far = 0.5 - ties.within;
    const T far_squared = T(far * far * (1 - 4e-7));  // rounded, it must not be larger
    Vec<T> sum{};                                     // NaN if one of them is
    for (std::ptrdiff_t next = 0; next < n; next += some) {
        const std::ptrdiff_t i = min(next, n - some);  // the last ones are written twice
        Lane<T> bits[some];
        Vec<T> farthest{};
        for (std::ptrdiff_t v = 0; v < 4; ++v) {
            Vec<T> a = load(from + i + v * lanes<T>);
            a = lesser(Vec<T>{} + highest, greater(Vec<T>{} + lowest, a));
            sum += a;
            const Vec<T> rounded = a + large<T>, off = a - (rounded - large<T>);
            if (mends) farthest = greater(farthest, off * off);
            __builtin_memcpy(bits + v * lanes<T>, &rounded, sizeof rounded);
        }
        D whole[some];
        for (std::ptrdiff_t j = 0; j < some; ++j) whole[j] = D(bits[j]);  // vectorises, unlike __builtin_convertvector
        __builtin_memcpy(to + i * std::ptrdiff_t(sizeof(D)), whole, sizeof whole);
        if (mends && any(farthest >= far_squared)) mend<T, D>(from, to, i, far_squared, ties);
    }
    met_nan |= any(sum != sum);
    return n;
}

template <class T, class D, bool mends>
static bool write_integers(const T* from, char* to, std::ptrdiff_t stride, std::ptrdiff_t n, const NearTies<T>& ties) {
    bool met_nan = false;
    std::ptrdiff_t i = 0;
    if constexpr (sizeof(D) <= 2) {
        if (stride == std::ptrdiff_t(sizeof(D))) i = write_vectors<T, D, mends>(from, to, n, ties, met_nan);
    }
    for (; i < n; ++i) {
        const T a = round_half_even(from[i]), off = from[i] - a;
        D d = saturated<T, D>(a);
        if (mends && __builtin_fabs(double(off)) >= 0.5 - ties.within) d = saturated<double, D>(round_half_even(ties.exact(ties.run, i)));
        met_nan |= a != a;
        __builtin_memcpy(to + i * stride, &d, sizeof d);
    }
    return met_nan;
}

template <class T, bool mends>
static WriteRun<T> writer_of(Pixel pixel) {
    switch (pixel) {
        case Pixel::u8: return write_integers<T, std::uint8_t, mends>;
        case Pixel::i8: return write_integers<T, std::int8_t, mends>;
        case Pixel::u16: return write_integers<T, std::uint16_t, mends>;
        case Pixel::i16: return write_integers<T, std::int16_t, mends>;
        case Pixel::u32: return write_integers<T, std::uint32_t, mends>;
        case Pixel::i32: return write_integers<T, std::int32_t, mends>;
        case Pixel::u64: return write_integers<T, std::uint64_t, mends>;
        case Pixel::i64: return write_integers<T, std::int64_t, mends>;
        case Pixel::f32: return write_floats<T, float>;
        case Pixel::f64: return write_floats<T, double>;
        case Pixel::b8: case Pixel::f16: break;  // refused by bindings.cpp
    }
    __builtin_unreachable();
}
template <class T>
static WriteRun<T> writer(const Job& job) {
    return job.near_tie > 0 ? writer_of<T, true>(job.out.pixel) : writer_of<T, false>(job.out.pixel);
}

// Where position i of an endless line finds its pixel among n real ones; -1: nowhere, the value is `cval`.
static inline std::ptrdiff_t border_index(std::ptrdiff_t i, std::ptrdiff_t n, Border border) {
    if (i >= 0 && i < n) return i;
    const auto modulo = [i](std::ptrdiff_t period) {
        if (i >= -period && i < 2 * period) return i < 0 ? i + period : i < period ? i : i - period;  // no division
        return (i % period + period) % period;
    };
    switch (border) {
        case Border::constant: return -1;
        case Border::nearest: return i < 0 ? 0 : n - 1;
        case Border::wrap: return modulo(n);
        case Border::reflect: {  // b a | a b c | c b
            const std::ptrdiff_t m = modulo(2 * n);
            return m < n ? m : 2 * n - 1 - m;
        }
        case Border::mirror: {  // c b | a b c | b a
            if (n == 1) return 0;
            const std::ptrdiff_t m = modulo(2 * n - 2);
            return m < n ? m : 2 * n - 2 - m;
        }
    }
    __builtin_unreachable();
}

// Pixel (0, 0) of a plane. Found when it is asked for: the addresses of a million small planes would fill megabytes.
template <class Byte>
static Byte* plane_at(const Planes<Byte>& planes, std::ptrdiff_t plane) {
    Byte* at = planes.first;
    for (std::ptrdiff_t axis = planes.axes - 1; axis >= 0; --axis) {
        at += plane % planes.axis_lengths[axis] * planes.axis_strides[axis];
        plane /= planes.axis_lengths[axis];
    }
    return at;
}

// The terms that make a plane of results, and the plane of pixels that one of them reads.
static inline const Term* terms_of(const Job& job, std::ptrdiff_t plane) {
    return job.terms + plane % job.channels_out * job.terms_each;
}
static inline const char* pixels_of(const Job& job, std::ptrdiff_t plane, const Term& term) {
    return plane_at(job.image, plane / job.channels_out * job.channels_in + term.channel);
}

struct Window {  // rows x columns of what a term reads, from (y, x) on; it may lie partly or wholly outside the image
    std::ptrdiff_t y, x, rows, columns;
};

// A window is some cache lines of each of many rows: too few for the processor to see what comes next.
static inline void prefetch(const char* from, std::ptrdiff_t bytes) {
    for (std::ptrdiff_t i = 0; i < bytes; i += 64) __builtin_prefetch(from + i);
}

// Copies a window of one plane of pixels into `to`; fills its rows up to `stride` with zeros, so that whole vectors can be read.
template <class T>
using Gather = void (*)(const Job& job, const Term& term, const char* pixels, const Window& window, T* to, std::ptrdiff_t stride);

template <class T, class S, bool swapped>
static void gather_as(const Job& job, const Term& term, const char* pixels, const Window& window, T* to, std::ptrdiff_t stride) {
    const auto& image = job.image;
    const std::ptrdiff_t step = job.column_step, x = window.x * step - term.left;  // of the image
    const std::ptrdiff_t inside = clamp((step - 1 - x) / step, 0, window.columns);
    const std::ptrdiff_t outside = clamp((image.width - x + step - 1) / step, inside, window.columns);
    for (std::ptrdiff_t i = 0; i < window.rows; ++i, to += stride) {
        const std::ptrdiff_t source = border_index((window.y + i) * job.row_step - term.top, image.height, job.border);
        if (source < 0) {
            for (std::ptrdiff_t j = 0; j < window.columns; ++j) to[j] = T(job.cval);
        } else {
            const char* const row = pixels + source * image.row_stride;
            const auto at_border = [&](std::ptrdiff_t j) {
                const std::ptrdiff_t s = border_index(x + j * step, image.width, job.border);
                to[j] = s < 0 ? T(job.cval) : T(widen(fetch<S, swapped>(row + s * image.column_stride)));
            };
            for (std::ptrdiff_t j = 0; j < inside; ++j) at_border(j);
            if (outside > inside) {
                const std::ptrdiff_t ahead = min(source + 4, image.height - 1) * image.row_stride;
                prefetch(pixels + ahead + (x + inside * step) * image.column_stride, (outside - inside) * step * image.column_stride);
                read_run<S, swapped>(row + (x + inside * step) * image.column_stride, step * image.column_stride, to + inside,
                                     outside - inside);
            }
            for (std::ptrdiff_t j = outside; j < window.columns; ++j) at_border(j);
        }
        for (std::ptrdiff_t j = window.columns; j < stride; ++j) to[j] = T(0);
    }
}

template <class T, bool swapped>
static Gather<T> gather_of(Pixel pixel) {
    switch (pixel) {
        case Pixel::b8: return gather_as<T, Bool, false>;
        case Pixel::u8: return gather_as<T, std::uint8_t, false>;
        case Pixel::i8: return gather_as<T, std::int8_t, false>;
        case Pixel::u16: return gather_as<T, std::uint16_t, swapped>;
        case Pixel::i16: return gather_as<T, std::int16_t, swapped>;
        case Pixel::u32: return gather_as<T, std::uint32_t, swapped>;
        case Pixel::i32: return gather_as<T, std::int32_t, swapped>;
        case Pixel::u64: return gather_as<T, std::uint64_t, swapped>;
        case Pixel::i64: return gather_as<T, std::int64_t, swapped>;
        case Pixel::f16: return gather_as<T, Half, swapped>;
        case Pixel::f32: return gather_as<T, float, swapped>;
        case Pixel::f64: return gather_as<T, double, swapped>;
    }
    __builtin_unreachable();
}
template <class T>
static Gather<T> gatherer(const Job& job) {
    return job.image.swapped ? gather_of<T, true>(job.image.pixel) : gather_of<T, false>(job.image.pixel);
}

}  // namespace CORR2D_ISA
}  // namespace corr2d
