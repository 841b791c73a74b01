// Correlation with a kernel that is a short sum of columns times rows: each window is summed along its rows, and those
// sums down the columns, kh + kw multiply-adds a term in place of kh * kw.
//
// Both passes run over one tile of results while its row sums are in cache. The row pass has many vectors and one row in
// registers (each load is used once, so loads are the limit); the column pass is the register tile of direct.hpp.
#pragma once
#include "direct.hpp"
#include "job.hpp"
#include "pixels.hpp"
#include "vec.hpp"

namespace corr2d {
namespace CORR2D_ISA {

// to[i, j] = sum_u row[u] * x[i, j + u]; `columns` is a multiple of one vector.
template <class T, int C>
static std::ptrdiff_t sum_rows(const T* x, std::ptrdiff_t x_stride, const T* row, std::ptrdiff_t kw, T* to, std::ptrdiff_t to_stride,
                               std::ptrdiff_t rows, std::ptrdiff_t columns, std::ptrdiff_t column) {
    for (; column + C * lanes<T> <= columns; column += C * lanes<T>) {
        for (std::ptrdiff_t i = 0; i < rows; ++i) {
            const T* from = x + i * x_stride + column;
            Vec<T> sum[C];
#pragma GCC unroll 8
            for (int c = 0; c < C; ++c) sum[c] = Vec<T>{};
            for (std::ptrdiff_t u = 0; u < kw; ++u) {
#pragma GCC unroll 8
                for (int c = 0; c < C; ++c) sum[c] += load(from + u + c * lanes<T>) * row[u];
            }
#pragma GCC unroll 8
            for (int c = 0; c < C; ++c) store(to + i * to_stride + column + c * lanes<T>, sum[c]);
        }
    }
    return column;
}

// The size of a tile of results. Its row sums reach kh - 1 rows further, so it is taller for tall kernels; together they
// stay in half an L2 cache.
struct SeparableLayout {
    std::ptrdiff_t rows, columns, stride;  // stride: of the window of pixels

    template <class T>
    static SeparableLayout of(const Job& job) {
        const std::ptrdiff_t rows = min(clamp(4 * job.kh, 24, 120), job.out.height);
        const std::ptrdiff_t columns = round_up(min(256, job.out.width), lanes<T>);
        return {rows, columns, round_up(columns + job.kw - 1, lanes<T>)};
    }
};

// A unit is a row of the output, as in direct.hpp.
template <class T>
static std::size_t separable_scratch_bytes(const Job& job) {
    const SeparableLayout layout = SeparableLayout::of<T>(job);
    const std::ptrdiff_t height = layout.rows + job.kh - 1;
    return std::size_t(height * (layout.stride + layout.columns) + 2 * layout.rows * layout.columns) * sizeof(T) +
           direct_scratch_bytes<T>(job);
}

template <class T>
class SeparableBand {
  public:
    SeparableBand(const Job& job, char* memory)
        : job(job),
          layout(SeparableLayout::of<T>(job)),
          groups(job.kh, 1),
          window(reinterpret_cast<T*>(memory)),
          row_sums(window + (layout.rows + job.kh - 1) * layout.stride),
          results(row_sums + (layout.rows + job.kh - 1) * layout.columns),
          term(results + layout.rows * layout.columns),
          band(job, reinterpret_cast<char*>(term + layout.rows * layout.columns)),
          write(writer<T>(job.out.pixel)) {}

    void run(std::ptrdiff_t plane, std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t y = begin; y < end; y += layout.rows) {
            for (std::ptrdiff_t x = 0; x < job.out.width; x += layout.columns) {
                tile(plane, y, x, min(layout.rows, end - y), min(layout.columns, job.out.width - x));
            }
        }
    }

    bool met_nan() const { return nan_met || band.met_nan; }

  private:
    void tile(std::ptrdiff_t plane, std::ptrdiff_t y, std::ptrdiff_t x, std::ptrdiff_t rows, std::ptrdiff_t columns) {
        const std::ptrdiff_t height = rows + job.kh - 1, whole = round_up(columns, lanes<T>);
        const std::ptrdiff_t top = y - job.top, left = x - job.left, width = columns + job.kw - 1;
        const T* pixels = window;
        std::ptrdiff_t stride = layout.stride;
        const bool inside = top >= 0 && top + height <= job.image.height && left >= 0 && left + whole + job.kw - 1 <= job.image.width;
        if (inside && band.reads_in_place(plane)) {
            stride = job.image.row_stride / std::ptrdiff_t(sizeof(T));
            pixels = reinterpret_cast<const T*>(job.image.plane[plane]) + top * stride + left;
        } else {
            gather(job, plane, top, left, height, width, window, stride);
        }
        const bool in_place = band.writes_in_place(plane, columns) && whole == columns;
        T* const to = in_place ? band.out_at(plane, y, x) : results;
        const std::ptrdiff_t to_stride = in_place ? job.out.row_stride / std::ptrdiff_t(sizeof(T)) : layout.columns;
        for (std::ptrdiff_t r = 0; r < job.rank; ++r) {
            const T* row = static_cast<const T*>(job.rows) + r * job.kw;
            std::ptrdiff_t done = sum_rows<T, 8>(pixels, stride, row, job.kw, row_sums, layout.columns, height, whole, 0);
            done = sum_rows<T, 2>(pixels, stride, row, job.kw, row_sums, layout.columns, height, whole, done);
            sum_rows<T, 1>(pixels, stride, row, job.kw, row_sums, layout.columns, height, whole, done);
            const Weights<T> column{static_cast<const T*>(job.columns) + r * job.kh, job.kh, 1, 1};
            if (r == 0) {
                correlate_block<T>({row_sums, layout.columns, to, to_stride, rows, whole, T(job.bias), nullptr, false}, column, groups);
                continue;
            }
            correlate_block<T>({row_sums, layout.columns, term, layout.columns, rows, whole, T(0), nullptr, false}, column, groups);
            for (std::ptrdiff_t i = 0; i < rows; ++i) {
                for (std::ptrdiff_t j = 0; j < whole; ++j) to[i * to_stride + j] += term[i * layout.columns + j];
            }
        }
        // Of several terms, inf - inf would make NaN of what the whole kernel leaves infinite: rows that see such a pixel go
        // direct. Row by row, so that they are the same ones however the rows are split over threads.
        std::ptrdiff_t seen = 0, bad = -1, direct = 0;  // rows of pixels; the last that is not finite; results direct owes
        for (std::ptrdiff_t i = 0; i < rows; ++i) {
            for (; job.rank > 1 && seen < i + job.kh; ++seen) {
                if (!all_finite(pixels + seen * stride, width)) bad = seen;
            }
            if (bad >= i) {
                ++direct;
                continue;
            }
            band.gathered(plane, y + i - direct, y + i, x, x + columns);
            direct = 0;
            if (in_place) continue;
            char* place = job.out.plane[plane] + (y + i) * job.out.row_stride + x * job.out.column_stride;
            nan_met |= write(results + i * layout.columns, place, job.out.column_stride, columns);
        }
        band.gathered(plane, y + rows - direct, y + rows, x, x + columns);
    }

    static bool all_finite(const T* pixels, std::ptrdiff_t n) {
        T zeros = 0;  // 0 * x is 0 for every finite x
        for (std::ptrdiff_t j = 0; j < n; ++j) zeros += T(0) * pixels[j];
        return zeros == 0;
    }

    const Job& job;
    const SeparableLayout layout;
    const Groups<T> groups;
    T *const window, *const row_sums, *const results, *const term;
    Band<T> band;
    const WriteRun<T> write;
    bool nan_met = false;
};

template <class T>
static bool separable_run(const Job& job, const char*, std::ptrdiff_t begin, std::ptrdiff_t end, char* memory) {
    SeparableBand<T> band(job, memory);
    run_planes(job, begin, end, [&](auto... rows) { band.run(rows...); });
    return band.met_nan();
}

}  // namespace CORR2D_ISA
}  // namespace corr2d
