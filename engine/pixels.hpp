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

template <class T>
using ReadRun = void (*)(const char* from, std::ptrdiff_t stride, T* to, std::ptrdiff_t n);

template <class S, bool swapped, class T>
static void read_run(const char* from, std::ptrdiff_t stride, T* to, std::ptrdiff_t n) {
    if (stride == std::ptrdiff_t(sizeof(S))) {  // the compiler vectorises this one
        for (std::ptrdiff_t i = 0; i < n; ++i) to[i] = T(widen(fetch<S, swapped>(from + i * std::ptrdiff_t(sizeof(S)))));
    } else {
        for (std::ptrdiff_t i = 0; i < n; ++i) to[i] = T(widen(fetch<S, swapped>(from + i * stride)));
    }
}

template <class T, bool swapped>
static ReadRun<T> reader(Pixel pixel) {
    switch (pixel) {
        case Pixel::b8: return read_run<Bool, false, T>;
        case Pixel::u8: return read_run<std::uint8_t, false, T>;
        case Pixel::i8: return read_run<std::int8_t, false, T>;
        case Pixel::u16: return read_run<std::uint16_t, swapped, T>;
        case Pixel::i16: return read_run<std::int16_t, swapped, T>;
        case Pixel::u32: return read_run<std::uint32_t, swapped, T>;
        case Pixel::i32: return read_run<std::int32_t, swapped, T>;
        case Pixel::u64: return read_run<std::uint64_t, swapped, T>;
        case Pixel::i64: return read_run<std::int64_t, swapped, T>;
        case Pixel::f16: return read_run<Half, swapped, T>;
        case Pixel::f32: return read_run<float, swapped, T>;
        case Pixel::f64: return read_run<double, swapped, T>;
    }
    __builtin_unreachable();
}

// Writes n values and says whether a NaN met an integer pixel (it becomes 0).
template <class T>
using WriteRun = bool (*)(const T* from, char* to, std::ptrdiff_t stride, std::ptrdiff_t n);

template <class T, class D>
static bool write_floats(const T* from, char* to, std::ptrdiff_t stride, std::ptrdiff_t n) {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        const D d = D(from[i]);
        __builtin_memcpy(to + i * stride, &d, sizeof d);
    }
    return false;
}

static inline float round_half_even(float a) { return __builtin_rintf(a); }
static inline double round_half_even(double a) { return __builtin_rint(a); }

template <class T, class D>
static bool write_integers(const T* from, char* to, std::ptrdiff_t stride, std::ptrdiff_t n) {
    constexpr D lowest = D(-1) < D(0) ? D(D(1) << (8 * sizeof(D) - 1)) : D(0), highest = D(~lowest);
    bool met_nan = false;
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        const T a = round_half_even(from[i]);
        // >=: T(highest) may round up to 2^63, which D cannot hold.
        const D d = a >= T(highest) ? highest : a <= T(lowest) ? lowest : a == a ? D(a) : D(0);
        met_nan |= a != a;
        __builtin_memcpy(to + i * stride, &d, sizeof d);
    }
    return met_nan;
}

template <class T>
static WriteRun<T> writer(Pixel pixel) {
    switch (pixel) {
        case Pixel::u8: return write_integers<T, std::uint8_t>;
        case Pixel::i8: return write_integers<T, std::int8_t>;
        case Pixel::u16: return write_integers<T, std::uint16_t>;
        case Pixel::i16: return write_integers<T, std::int16_t>;
        case Pixel::u32: return write_integers<T, std::uint32_t>;
        case Pixel::i32: return write_integers<T, std::int32_t>;
        case Pixel::u64: return write_integers<T, std::uint64_t>;
        case Pixel::i64: return write_integers<T, std::int64_t>;
        case Pixel::f32: return write_floats<T, float>;
        case Pixel::f64: return write_floats<T, double>;
        case Pixel::b8: case Pixel::f16: break;  // refused by bindings.cpp
    }
    __builtin_unreachable();
}

// Where position i of an endless line finds its pixel among n real ones; -1: nowhere, the value is `cval`.
static inline std::ptrdiff_t border_index(std::ptrdiff_t i, std::ptrdiff_t n, Border border) {
    if (i >= 0 && i < n) return i;
    const auto modulo = [i](std::ptrdiff_t period) { return (i % period + period) % period; };
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

// Copies the rows x columns window at (y, x) of one plane, which may lie partly or wholly outside, into `to`; fills up to
// `stride` with zeros, so that whole vectors can be read.
template <class T>
static void gather(const Job& job, std::ptrdiff_t plane, std::ptrdiff_t y, std::ptrdiff_t x, std::ptrdiff_t rows,
                   std::ptrdiff_t columns, T* to, std::ptrdiff_t stride) {
    const auto& image = job.image;
    const ReadRun<T> read = image.swapped ? reader<T, true>(image.pixel) : reader<T, false>(image.pixel);
    const std::ptrdiff_t inside = clamp(-x, 0, columns), outside = clamp(image.width - x, inside, columns);
    for (std::ptrdiff_t i = 0; i < rows; ++i, to += stride) {
        const std::ptrdiff_t source = border_index(y + i, image.height, job.border);
        const char* row = image.plane[plane] + source * image.row_stride;
        const auto at_border = [&](std::ptrdiff_t j) {
            const std::ptrdiff_t s = source < 0 ? -1 : border_index(x + j, image.width, job.border);
            if (s < 0) {
                to[j] = T(job.cval);
            } else {
                read(row + s * image.column_stride, image.column_stride, to + j, 1);
            }
        };
        for (std::ptrdiff_t j = 0; j < inside; ++j) at_border(j);
        if (source < 0) {
            for (std::ptrdiff_t j = inside; j < outside; ++j) to[j] = T(job.cval);
        } else if (outside > inside) {
            read(row + (x + inside) * image.column_stride, image.column_stride, to + inside, outside - inside);
        }
        for (std::ptrdiff_t j = outside; j < columns; ++j) at_border(j);
        for (std::ptrdiff_t j = columns; j < stride; ++j) to[j] = T(0);
    }
}

}  // namespace CORR2D_ISA
}  // namespace corr2d
