// What the engine is asked to do, and the table of functions that one instruction set answers with.
// Plain data only: this header is shared by units that are compiled for different instruction sets.
#pragma once
#include <cstddef>

namespace corr2d {

enum class Pixel { b8, u8, i8, u16, i16, u32, i32, u64, i64, f16, f32, f64 };
enum class Border { constant, reflect, mirror, nearest, wrap };  // SciPy's names and rules

// One plane of a batch is `height` x `width` pixels; strides are in bytes and may be negative or zero.
template <class Byte>
struct Planes {
    Byte* const* plane;  // address of pixel (0, 0) of every plane
    std::ptrdiff_t height, width;
    std::ptrdiff_t row_stride, column_stride;
    Pixel pixel;
    bool swapped;  // byte order is not the machine's
};

// out[y, x] = bias + sum_v sum_u kernel[v, u] * image[y + v - top, x + u - left]
struct Job {
    Planes<const char> image;
    Planes<char> out;
    std::ptrdiff_t planes;
    const void* kernel;  // kh x kw, contiguous, of the type the sums are made in
    std::ptrdiff_t kh, kw;
    std::ptrdiff_t top, left;
    Border border;
    double cval, bias;
};

// `run` fills rows [begin, end) of the output, counted through all planes, and says whether a NaN met an integer
// pixel. `scratch` has `scratch_bytes` bytes, aligned to 64.
struct Direct {
    std::size_t (*scratch_bytes)(const Job&);
    bool (*run)(const Job&, std::ptrdiff_t begin, std::ptrdiff_t end, char* scratch);
};

struct Table {
    const char* name;
    Direct direct_f32, direct_f64;
};

}  // namespace corr2d
