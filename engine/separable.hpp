// Correlation with a kernel that is a short sum of columns times rows: each window is summed along its rows, and those
// sums down the columns, kh + kw multiply-adds in place of kh * kw.
//
// Both passes run over one tile of results while its row sums are in cache. The row pass has many vectors of one row in
// registers (each load is used once, so loads are the limit); the column pass is the register tile of direct.hpp.
#pragma once
#include "direct.hpp"
#include "job.hpp"
#include "pixels.hpp"
#include "vec.hpp"

namespace corr2d {
namespace CORR2D_ISA {

// to[j] = sum_u row[u] * x[j + u], from `column` on, C vectors at a time.
template <class T, int C>
static CORR2D_INLINE std::ptrdiff_t sum_row(const T* x, const T* row, std::ptrdiff_t kw, T* to, std::ptrdiff_t columns,
                                            std::ptrdiff_t column) {
    for (; column + C * lanes<T> <= columns; column += C * lanes<T>) {
        const T* from = x + column;
        Vec<T> sum[C];
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) sum[c] = Vec<T>{};
        for (std::ptrdiff_t u = 0; u < kw; ++u, ++from) {
#pragma GCC unroll 8
            for (int c = 0; c < C; ++c) sum[c] += load(from + c * lanes<T>) * row[u];
        }
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) store(to + column + c * lanes<T>, sum[c]);
    }
    return column;
}

// The same for a block; `columns` is a multiple of one vector.
template <class T>
static void sum_rows(const T* x, std::ptrdiff_t x_stride, const T* row, std::ptrdiff_t kw, T* to, std::ptrdiff_t to_stride,
                     std::ptrdiff_t rows, std::ptrdiff_t columns) {
    for (std::ptrdiff_t i = 0; i < rows; ++i, x += x_stride, to += to_stride) {
        std::ptrdiff_t done = sum_row<T, 8>(x, row, kw, to, columns, 0);
        done = sum_row<T, 2>(x, row, kw, to, columns, done);
        sum_row<T, 1>(x, row, kw, to, columns, done);
    }
}

// The size of a tile of results, whose row sums reach kh - 1 rows further. Where there is one column times one row, a tile takes
// those from the tile above: it is low and wide, and runs along rows of pixels, which are converted one at a time. Else it is taller
// for tall kernels, and has a window of pixels. The row sums stay in half an L2 cache.
struct SeparableLayout {
    static constexpr std::ptrdiff_t most_rows = 192;
    std::ptrdiff_t rows, columns;
    std::ptrdiff_t window_stride, sums_stride;  // of the pixels and of their row sums
    bool takes_from_above;

    template <class T>
    static SeparableLayout of(const Job& job) {
        const bool takes_from_above = job.terms_each == 1 && job.terms[0].rank == 1;
        const std::ptrdiff_t most_columns = !takes_from_above ? 128 : job.kh <= 16 ? 1024 : job.kh <= 48 ? 512 : 256;
        const std::ptrdiff_t rows = min(takes_from_above ? 4 * tile_rows : clamp(4 * job.kh, 96, most_rows), job.out.height);
        const std::ptrdiff_t columns = round_up(min(most_columns * 4 / std::ptrdiff_t(sizeof(T)), job.out.width), lanes<T>);
        // A vector more than a power of two: rows would else share a few sets of the cache.
        return {rows, columns, round_up(columns + job.kw - 1, lanes<T>), columns + lanes<T>, takes_from_above};
    }

    std::ptrdiff_t window_size(const Job& job) const { return (takes_from_above ? 1 : rows + job.kh - 1) * window_stride; }
    std::ptrdiff_t sums_size(const Job& job) const { return (rows + job.kh - 1) * sums_stride; }
};

// A unit is a row of the output, as in direct.hpp.
template <class T>
static std::size_t separable_scratch_bytes(const Job& job) {
    const SeparableLayout layout = SeparableLayout::of<T>(job);
    return std::size_t(layout.window_size(job) + layout.sums_size(job)) * sizeof(T) +
           std::size_t(layout.rows * layout.columns) * (sizeof(T) + sizeof(double)) + direct_scratch_bytes<T>(job);
}

template <class T>
class SeparableBand {
  public:
    SeparableBand(const Job& job, char* memory)
        : job(job),
          layout(SeparableLayout::of<T>(job)),
          sums(reinterpret_cast<T*>(memory + layout.rows * layout.columns * std::ptrdiff_t(sizeof(double))),
               reinterpret_cast<double*>(memory), layout.columns),
          window(sums.results + layout.rows * layout.columns),
          row_sums(window + layout.window_size(job)),
          band(job, reinterpret_cast<char*>(row_sums + layout.sums_size(job))),
          gather(gatherer<T>(job)) {}

    void run(std::ptrdiff_t plane, std::ptrdiff_t begin, std::ptrdiff_t end) {
        const Window& inside = band.where_inside();
        const std::ptrdiff_t width = job.out.width;
        if (!band.reads_in_place(plane) || inside.columns < lanes<T>) return tiles(plane, begin, end, 0, width, false);
        const std::ptrdiff_t first = clamp(inside.y, begin, end), last = clamp(inside.y + inside.rows, first, end);
        tiles(plane, begin, first, 0, width, false);
        tiles(plane, first, last, 0, inside.x, false);
        tiles(plane, first, last, inside.x, inside.x + inside.columns, true);
        tiles(plane, first, last, inside.x + inside.columns, width, false);
        tiles(plane, last, end, 0, width, false);
    }

    bool met_nan() const { return band.met_nan; }

  private:
    void tiles(std::ptrdiff_t plane, std::ptrdiff_t begin, std::ptrdiff_t end, std::ptrdiff_t first, std::ptrdiff_t last,
               bool reads_in_place) {
        for (std::ptrdiff_t x = first, columns; x < last; x += columns) {
            columns = min(layout.columns, last - x);
            if (columns > lanes<T>) columns -= columns % lanes<T>;  // the rest is a tile of one vector, which may begin further left
            for (std::ptrdiff_t y = begin; y < end; y += layout.rows) {
                Tile tile{plane, y, x, min(layout.rows, end - y), columns, round_up(columns, lanes<T>), reads_in_place};
                if (tile.reads_in_place) {  // whole vectors: from further left, over results already there
                    tile.reads_in_place = x + columns - tile.whole >= band.where_inside().x;
                    if (tile.reads_in_place) {
                        tile.x += columns - tile.whole;
                        tile.columns = tile.whole;
                    }
                }
                if (layout.takes_from_above) low_tile(tile, y == begin); else high_tile(tile);
            }
        }
    }

    struct Tile {
        std::ptrdiff_t plane, y, x, rows, columns;
        std::ptrdiff_t whole;  // columns in whole vectors
        bool reads_in_place;
    };

    // One column times one row.
    void low_tile(const Tile& t, bool is_first) {
        const Term& term = *terms_of(job, t.plane);
        std::ptrdiff_t known = 0;  // row sums, of the tile above: all of those are `layout.rows` high
        if (!is_first) {
            known = job.kh - 1;
            __builtin_memmove(row_sums, row_sums + layout.rows * layout.sums_stride, std::size_t(known * layout.sums_stride) * sizeof(T));
        }
        const T* const row = static_cast<const T*>(term.rows);
        const std::ptrdiff_t height = t.rows + job.kh - 1;
        if (t.reads_in_place) {
            sum_rows(band.pixels_at(t.plane, term, t.y + known, t.x), band.x_stride(), row, term.kw,
                     row_sums + known * layout.sums_stride, layout.sums_stride, height - known, t.whole);
        } else {
            const char* const pixels = pixels_of(job, t.plane, term);
            for (std::ptrdiff_t i = known; i < height; ++i) {
                gather(job, term, pixels, {t.y + i, t.x, 1, t.columns + term.kw - 1}, window, layout.window_stride);
                sum_rows(window, 0, row, term.kw, row_sums + i * layout.sums_stride, layout.sums_stride, 1, t.whole);
            }
        }
        const Weights<T> column{static_cast<const T*>(term.columns), term.kh, 1, term.kh};
        if (job.kh <= most_taps<T> && t.whole == t.columns && band.writes_in_place(t.plane, t.columns)) {
            correlate_block<T>({row_sums, layout.sums_stride, band.out_at(t.plane, t.y, t.x), job.out.row_stride / std::ptrdiff_t(sizeof(T)),
                                t.rows, t.whole, false, T(job.bias)},
                               column);
            return;
        }
        for (std::ptrdiff_t first = 0; first < t.rows; first += tile_rows) {  // few at a time, so that they are written from the L1 cache
            const std::ptrdiff_t rows = min(tile_rows, t.rows - first);
            sums.start(rows, t.whole, job.bias);
            sums.add(row_sums + first * layout.sums_stride, layout.sums_stride, column, Parts<T>(term.kh, 1));
            sums.finish();
            for (std::ptrdiff_t i = 0; i < rows; ++i) {
                band.write_row(t.plane, t.y + first + i, t.x, t.columns, sums.results + i * sums.stride);
            }
        }
    }

    // A sum of some.
    void high_tile(const Tile& t) {
        bool goes_direct[SeparableLayout::most_rows] = {};
        sums.start(t.rows, t.whole, job.bias);
        for (std::ptrdiff_t i = 0; i < job.terms_each; ++i) {
            const Term& term = terms_of(job, t.plane)[i];
            const std::ptrdiff_t height = t.rows + term.kh - 1, width = t.columns + term.kw - 1;
            const T* pixels = window;
            std::ptrdiff_t stride = layout.window_stride;
            if (t.reads_in_place) {
                pixels = band.pixels_at(t.plane, term, t.y, t.x);
                stride = band.x_stride();
            } else {
                gather(job, term, pixels_of(job, t.plane, term), {t.y, t.x, height, width}, window, stride);
            }
            for (std::ptrdiff_t r = 0; r < term.rank; ++r) {
                const Weights<T> column{static_cast<const T*>(term.columns) + r * term.kh, term.kh, 1, term.kh};
                sum_rows(pixels, stride, static_cast<const T*>(term.rows) + r * term.kw, term.kw, row_sums, layout.sums_stride, height, t.whole);
                sums.add(row_sums, layout.sums_stride, column, Parts<T>(term.kh, 1));
            }
            if (term.rank > 1) mark_infinite(pixels, stride, t.rows, width, term.kh, goes_direct);
        }
        sums.finish();
        for (std::ptrdiff_t i = 0, end = 0; i < t.rows; ++i) {
            if (goes_direct[i]) {
                for (end = i + 1; end < t.rows && goes_direct[end];) ++end;
                band.gathered(t.plane, t.y + i, t.y + end, t.x, t.x + t.columns);
                i = end - 1;
            } else {
                band.write_row(t.plane, t.y + i, t.x, t.columns, sums.results + i * sums.stride);
            }
        }
    }

    // Of several columns times rows, inf - inf would make NaN of what the whole kernel leaves infinite: rows that see such a
    // pixel go direct. Row by row, so that they are the same ones however the rows are split over threads.
    static void mark_infinite(const T* pixels, std::ptrdiff_t stride, std::ptrdiff_t rows, std::ptrdiff_t width, std::ptrdiff_t kh,
                              bool* goes_direct) {
        std::ptrdiff_t bad = -1;  // the last row of pixels that is not finite
        for (std::ptrdiff_t v = 0; v < rows + kh - 1; ++v) {
            if (!all_finite(pixels + v * stride, width)) bad = v;
            const std::ptrdiff_t i = v - kh + 1;
            if (i >= 0 && bad >= i) goes_direct[i] = true;
        }
    }

    static bool all_finite(const T* pixels, std::ptrdiff_t n) {
        T zeros = 0;  // 0 * x is 0 for every finite x
        for (std::ptrdiff_t j = 0; j < n; ++j) zeros += T(0) * pixels[j];
        return zeros == 0;
    }

    const Job& job;
    const SeparableLayout layout;
    Sums<T> sums;
    T *const window, *const row_sums;
    Band<T> band;
    const Gather<T> gather;
};

template <class T>
static bool separable_run(const Job& job, const char*, std::ptrdiff_t begin, std::ptrdiff_t end, char* memory) {
    SeparableBand<T> band(job, memory);
    run_planes(job, begin, end, [&](auto... rows) { band.run(rows...); });
    return band.met_nan();
}

}  // namespace CORR2D_ISA
}  // namespace corr2d
