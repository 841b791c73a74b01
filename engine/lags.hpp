// The Gram matrix of all windows of a block, from one sum per lag.
//
// With the taps i = (a, b) and j = (c, d) of a kh x kw window that stands on each pixel of a block,
//
//     G[i, j] = sum over the block's (y, x) of X[y + a, x + b] * X[y + c, x + d].
//
// Two pairs of taps that are as far apart sum the same products, but for the rows and columns that one of them reaches and the
// other does not. So one sum is made for each lag, over all pixels; from it the others follow tap by tap: a row lower, the products
// along the block's first row leave and those along the row below its last come in; a column further right, likewise. The products
// along such a row (or column) are themselves made from one sum for each pair of rows and shift, and four corners' pixels. What
// takes (kh * kw)^2 multiply-adds a pixel by matrices of patches takes 2 * kh * kw. The products with `after` are one sum for
// each tap.
//
// Sums are about a centre. Those of two 8-bit pictures are made of whole numbers and are exact.
#pragma once
#include "job.hpp"
#include "pixels.hpp"
#include "vec.hpp"

namespace corr2d {
namespace CORR2D_ISA {

// The two kinds of numbers: how they are kept, added up, and how large a tile may be (so that it stays in an L2 cache, and whole
// numbers below 2^31).
struct Real {
    typedef double Number;
    typedef Vec<double> Factor;
    typedef Vec<double> Sum;
    static constexpr std::ptrdiff_t tile_rows = 64, tile_columns = 256;
    static CORR2D_INLINE void add(Sum& sum, Factor p, Factor q) { sum += p * q; }
};

struct Whole {
    typedef std::int16_t Number;
    typedef Number Factor __attribute__((vector_size(vector_bytes)));
    typedef std::int32_t Sum __attribute__((vector_size(vector_bytes)));
    static constexpr std::ptrdiff_t tile_rows = 128, tile_columns = 512;
    static CORR2D_INLINE void add(Sum& sum, Factor p, Factor q) { sum += multiply_pairs(p, q); }

    // The sums of two neighbouring products each: one instruction on x86.
    static CORR2D_INLINE Sum multiply_pairs(Factor p, Factor q) {
#if defined(__AVX512BW__)
        return Sum(__builtin_ia32_pmaddwd512_mask(Words(p), Words(q), Sum{}, 0xffff));
#elif defined(__AVX2__)
        return Sum(__builtin_ia32_pmaddwd256(p, q));
#elif defined(__SSE2__)
        return Sum(__builtin_ia32_pmaddwd128(p, q));
#else
        Sum a, b, c, d;  // the even and the odd ones, widened by shifts
        __builtin_memcpy(&a, &p, sizeof a);
        __builtin_memcpy(&b, &q, sizeof b);
        c = a >> 16;
        d = b >> 16;
        a = (a << 16) >> 16;
        b = (b << 16) >> 16;
        return a * b + c * d;
#endif
    }

  private:
#if defined(__AVX512BW__)
    typedef Number Words __attribute__((vector_size(64)));
#endif
};

template <class Kind>
static constexpr std::ptrdiff_t lanes_of = vector_bytes / std::ptrdiff_t(sizeof(typename Kind::Number));

template <class V, class Number>
static CORR2D_INLINE V load_as(const Number* p) {
    V v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

template <class Kind>
static double total(const typename Kind::Sum& sum) {
    constexpr std::ptrdiff_t n = vector_bytes / std::ptrdiff_t(sizeof(sum[0]));
    double all = 0;
    for (std::ptrdiff_t i = 0; i < n; ++i) all += double(sum[i]);
    return all;
}

// sums[r * stride + c] += p[r][j] * q[j + c * apart] for all j < n, which is a multiple of a vector.
template <class Kind, int R, int C>
static CORR2D_INLINE void add_products(const typename Kind::Number* const* p, const typename Kind::Number* q, std::ptrdiff_t apart,
                                       std::ptrdiff_t n, typename Kind::Sum* sums, std::ptrdiff_t stride) {
    typedef typename Kind::Factor Factor;
    typename Kind::Sum sum[R][C];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) sum[r][c] = sums[r * stride + c];
    }
    for (std::ptrdiff_t j = 0; j < n; j += lanes_of<Kind>) {
        Factor a[R];
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) a[r] = load_as<Factor>(p[r] + j);
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) {
            const Factor b = load_as<Factor>(q + j + c * apart);
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) Kind::add(sum[r][c], a[r], b);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) sums[r * stride + c] = sum[r][c];
    }
}

// The accumulators, one number of each of a few rows, and one more must fit the registers.
static constexpr int lag_rows = 3, lag_shifts = vector_bytes == 64 || tile_vectors == 4 ? 8 : 4;

// Calls some(first, count) for parts of [0, n), as equal as can be, of at most `most`.
template <class Some>
static CORR2D_INLINE void in_parts(std::ptrdiff_t n, std::ptrdiff_t most, const Some& some) {
    std::ptrdiff_t first = 0;
    for (std::ptrdiff_t parts = (n + most - 1) / most; parts > 0; --parts) {
        const std::ptrdiff_t count = (n - first + parts - 1) / parts;
        some(first, count);
        first += count;
    }
}

template <class Kind, int R, int C = lag_shifts>
static CORR2D_INLINE void add_products_of(const typename Kind::Number* const* p, const typename Kind::Number* q,
                                          std::ptrdiff_t apart, std::ptrdiff_t n, std::ptrdiff_t count, typename Kind::Sum* sums,
                                          std::ptrdiff_t stride) {
    if (count == C) return add_products<Kind, R, C>(p, q, apart, n, sums, stride);
    if constexpr (C > 1) add_products_of<Kind, R, C - 1>(p, q, apart, n, count, sums, stride);
}

// sums[r * stride + s] += p(r)[j] * q[j + s] for rows r in [first, last), shifts s, and j < n.
template <class Kind, class Row>
static void add_shifts(const Row& p, std::ptrdiff_t first, std::ptrdiff_t last, const typename Kind::Number* q, std::ptrdiff_t n,
                     std::ptrdiff_t shifts, typename Kind::Sum* sums, std::ptrdiff_t stride) {
    in_parts(last - first, lag_rows, [&](std::ptrdiff_t r, std::ptrdiff_t rows) {
        const typename Kind::Number* some[lag_rows];
        for (std::ptrdiff_t i = 0; i < rows; ++i) some[i] = p(first + r + i);
        in_parts(shifts, lag_shifts, [&](std::ptrdiff_t s, std::ptrdiff_t count) {
            typename Kind::Sum* const to = sums + (first + r) * stride + s;
            switch (rows) {
                case 1: return add_products_of<Kind, 1>(some, q + s, 1, n, count, to, stride);
                case 2: return add_products_of<Kind, 2>(some, q + s, 1, n, count, to, stride);
                default: return add_products_of<Kind, lag_rows>(some, q + s, 1, n, count, to, stride);
            }
        });
    });
}

// Reads pixels of one picture about a centre, in rows and columns, and fills up with zeros.
template <class Kind>
class Reader;

// Those that are not finite become 0: their windows do not count.
template <>
class Reader<Real> {
  public:
    Reader(const Planes<const char>& picture, double center) : center(center) {
        job.image = picture;
        job.row_step = job.column_step = 1;
        job.border = Border::constant;
        job.cval = 0;
        term.top = term.left = 0;
        gather = gatherer<double>(job);
    }

    void row(std::ptrdiff_t y, std::ptrdiff_t x, std::ptrdiff_t n, double* to, std::ptrdiff_t filled) const {
        gather(job, term, job.image.first, {y, x, 1, n}, to, filled);
        about_center(to, n);
    }

    void column(std::ptrdiff_t y, std::ptrdiff_t x, std::ptrdiff_t n, double* to, std::ptrdiff_t filled) const {
        gather(job, term, job.image.first, {y, x, n, 1}, to, 1);
        about_center(to, n);
        for (std::ptrdiff_t i = n; i < filled; ++i) to[i] = 0;
    }

  private:
    void about_center(double* pixels, std::ptrdiff_t n) const {
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const double a = pixels[i] - center;
            pixels[i] = a - a == 0 ? a : 0;
        }
    }

    double center;
    Job job{};
    Term term{};
    Gather<double> gather;
};

// Bytes: unsigned ones about 128, which is their first bit turned, signed ones about 0.
template <>
class Reader<Whole> {
  public:
    Reader(const Planes<const char>& picture, double) : picture(picture), turned(picture.pixel == Pixel::u8 ? 0x80 : 0) {}

    void row(std::ptrdiff_t y, std::ptrdiff_t x, std::ptrdiff_t n, std::int16_t* to, std::ptrdiff_t filled) const {
        const std::ptrdiff_t stride = picture.column_stride;
        const char* const from = picture.first + y * picture.row_stride + x * stride;
        if (stride == 1) {
            line(from, 1, n, to, filled);
        } else {
            line(from, stride, n, to, filled);
        }
    }

    void column(std::ptrdiff_t y, std::ptrdiff_t x, std::ptrdiff_t n, std::int16_t* to, std::ptrdiff_t filled) const {
        line(picture.first + y * picture.row_stride + x * picture.column_stride, picture.row_stride, n, to, filled);
    }

  private:
    CORR2D_INLINE void line(const char* from, std::ptrdiff_t stride, std::ptrdiff_t n, std::int16_t* to, std::ptrdiff_t filled) const {
        for (std::ptrdiff_t i = 0; i < n; ++i) to[i] = std::int8_t(std::uint8_t(from[i * stride]) ^ turned);
        for (std::ptrdiff_t i = n; i < filled; ++i) to[i] = 0;
    }

    const Planes<const char>& picture;
    const std::uint8_t turned;
};

// Sums over the pixels of a block, in this order, as doubles; those of several blocks add up:
// forward[dy * kw + dx]: of X[y, x] * X[y + dy, x + dx]; backward: of X[y + dy, x] * X[y, x + dx]; cross: of Y[y, x] * X[y + dy, x + dx];
// then those of X, Y, Y * Y.

template <class Kind>
struct LagTile {
    std::ptrdiff_t rows, columns, n, stride;

    LagTile(const Pair& pair, const Area& block)
        : rows(block.rows),
          columns(block.columns),
          n(round_up(columns, lanes_of<Kind>)),
          stride(round_up(n + pair.kw - 1, lanes_of<Kind>) + lanes_of<Kind>) {}

    // The pixels of X with zeros beyond the block's columns, those of X, those of Y.
    std::size_t bytes(const Pair& pair) const {
        return sizeof(typename Kind::Number) * std::size_t((rows + pair.kh - 1) * (n + stride) + rows * n);
    }
};

template <class Kind>
static std::size_t lags_bytes(const Pair& pair) {
    const LagTile<Kind> tile(pair, {0, 0, Kind::tile_rows, Kind::tile_columns});
    return sizeof(typename Kind::Sum) * std::size_t(3 * pair.kh * pair.kw) + tile.bytes(pair);
}

template <class Kind>
static void add_lags(const Pair& pair, const Area& block, double* sums, char* memory) {
    typedef typename Kind::Number Number;
    typedef typename Kind::Sum Sum;
    const std::ptrdiff_t kh = pair.kh, kw = pair.kw, rows = block.rows + kh - 1;
    const LagTile<Kind> tile(pair, block);
    const std::ptrdiff_t n = tile.n;
    Sum* const forward = reinterpret_cast<Sum*>(memory);
    Sum *const backward = forward + kh * kw, *const cross = backward + kh * kw;
    Number* const x = reinterpret_cast<Number*>(cross + kh * kw);
    Number *const wide = x + rows * n, *const y = wide + rows * tile.stride;
    __builtin_memset(forward, 0, std::size_t(3 * kh * kw) * sizeof(Sum));

    const Reader<Kind> before(pair.before, pair.center_before), after(pair.after, pair.center_after);
    for (std::ptrdiff_t r = 0; r < rows; ++r) {
        Number* const to = wide + r * tile.stride;
        before.row(block.top + r, block.left, block.columns + kw - 1, to, tile.stride);
        for (std::ptrdiff_t j = 0; j < n; ++j) x[r * n + j] = j < block.columns ? to[j] : Number(0);
    }
    for (std::ptrdiff_t r = 0; r < block.rows; ++r) after.row(block.top + r, block.left, block.columns, y + r * n, n);

    for (std::ptrdiff_t r = 0; r < rows; ++r) {
        const Number* const q = wide + r * tile.stride;
        // The rows r - dy that lie in the block.
        const std::ptrdiff_t first = max(0, r - block.rows + 1), last = min(kh, r + 1);
        add_shifts<Kind>([&](std::ptrdiff_t dy) { return x + (r - dy) * n; }, first, last, q, n, kw, forward, kw);
        add_shifts<Kind>([&](std::ptrdiff_t dy) { return y + (r - dy) * n; }, first, last, q, n, kw, cross, kw);
        if (r < block.rows && kw > 1) {
            add_shifts<Kind>([&](std::ptrdiff_t dy) { return x + (r + dy) * n; }, 1, kh, q + 1, n, kw - 1, backward + 1, kw);
        }
    }
    for (std::ptrdiff_t i = 0; i < 3 * kh * kw; ++i) sums[i] += total<Kind>(forward[i]);
    double of_x = 0, of_y = 0, squares = 0;
    for (std::ptrdiff_t i = 0; i < block.rows * n; ++i) {
        of_x += double(x[i]);
        of_y += double(y[i]);
        squares += double(y[i]) * double(y[i]);
    }
    double* const rest = sums + 3 * kh * kw;
    rest[0] += of_x;
    rest[1] += of_y;
    rest[2] += squares;
}

// For m lines of a picture, each `length` + shifts - 1 long: products(i, j, s) = sum over t < length of line i[t] * line j[t + s],
// and sums(i) of the first `length`.
template <class Kind>
class Lines {
  public:
    Lines(std::ptrdiff_t m, std::ptrdiff_t length, std::ptrdiff_t shifts, double* products, double* sums)
        : m(m), length(length), shifts(shifts), products(products), sums(sums) {}

    static std::ptrdiff_t doubles(std::ptrdiff_t m, std::ptrdiff_t shifts) { return m * m * shifts + m; }

    // Bytes of memory for a part of the lines.
    static std::size_t bytes(std::ptrdiff_t m, std::ptrdiff_t shifts) {
        const std::ptrdiff_t stride = round_up(part + shifts - 1, lanes_of<Kind>) + lanes_of<Kind>;
        return std::size_t(m * (part + stride)) * sizeof(typename Kind::Number) + std::size_t(m * shifts) * sizeof(typename Kind::Sum);
    }

    // `read(line, first, count, to, filled)` gives pixels of a line. What is found is multiplied by `sign` and added.
    template <class Read>
    void add(const Read& read, double sign, char* memory) {
        typedef typename Kind::Number Number;
        const std::ptrdiff_t stride = round_up(part + shifts - 1, lanes_of<Kind>) + lanes_of<Kind>;
        typename Kind::Sum* const found = reinterpret_cast<typename Kind::Sum*>(memory);
        Number *const exact = reinterpret_cast<Number*>(found + m * shifts), *const wide = exact + m * part;
        for (std::ptrdiff_t t = 0; t < length; t += part) {
            const std::ptrdiff_t count = min(part, length - t), n = round_up(count, lanes_of<Kind>);
            for (std::ptrdiff_t i = 0; i < m; ++i) {
                Number* const to = wide + i * stride;
                read(i, t, count + shifts - 1, to, stride);
                for (std::ptrdiff_t j = 0; j < n; ++j) {
                    exact[i * part + j] = j < count ? to[j] : Number(0);
                    sums[i] += sign * double(exact[i * part + j]);
                }
            }
            for (std::ptrdiff_t j = 0; j < m; ++j) {
                __builtin_memset(found, 0, std::size_t(m * shifts) * sizeof found[0]);
                add_shifts<Kind>([&](std::ptrdiff_t i) { return exact + i * part; }, 0, m, wide + j * stride, n, shifts, found, shifts);
                for (std::ptrdiff_t i = 0; i < m; ++i) {
                    for (std::ptrdiff_t s = 0; s < shifts; ++s) {
                        products[(i * m + j) * shifts + s] += sign * total<Kind>(found[i * shifts + s]);
                    }
                }
            }
        }
    }

    double of(std::ptrdiff_t i, std::ptrdiff_t j, std::ptrdiff_t s) const { return products[(i * m + j) * shifts + s]; }
    double sum(std::ptrdiff_t i) const { return sums[i]; }

  private:
    static constexpr std::ptrdiff_t part = 512;
    const std::ptrdiff_t m, length, shifts;
    double *const products, *const sums;
};

template <class Kind>
static std::size_t fill_bytes(const Pair& pair) {
    const std::ptrdiff_t kh = pair.kh, kw = pair.kw;
    const std::size_t rows = Lines<Kind>::bytes(kh - 1, kw), columns = Lines<Kind>::bytes(kw - 1, kh);
    return std::size_t(Lines<Kind>::doubles(kh - 1, kw) + Lines<Kind>::doubles(kw - 1, kh) + 4 * kh * kw) * sizeof(double) + 128 +
           (rows < columns ? columns : rows);
}

// Fills the matrix of sums of z z^T, z = (window, 1, pixel), of a block from its `lags`.
template <class Kind>
static void fill_gram(const Pair& pair, const Area& block, const double* lags, double* gram, char* memory) {
    const std::ptrdiff_t kh = pair.kh, kw = pair.kw, taps = kh * kw, order = taps + 2;
    const std::ptrdiff_t bottom = block.top + block.rows, right = block.left + block.columns;
    const Reader<Kind> before(pair.before, pair.center_before);

    // What comes in at the far side of the block, less what leaves at the near one: rows, columns, and the pixels of the corners.
    double* numbers = reinterpret_cast<double*>(memory);
    const std::ptrdiff_t row_numbers = Lines<Kind>::doubles(kh - 1, kw), column_numbers = Lines<Kind>::doubles(kw - 1, kh);
    for (std::ptrdiff_t i = 0; i < row_numbers + column_numbers; ++i) numbers[i] = 0;
    Lines<Kind> rows(kh - 1, block.columns, kw, numbers, numbers + row_numbers - (kh - 1));
    numbers += row_numbers;
    Lines<Kind> columns(kw - 1, block.rows, kh, numbers, numbers + column_numbers - (kw - 1));
    numbers += column_numbers;
    double *const top_left = numbers, *const top_right = numbers + taps, *const bottom_left = numbers + 2 * taps,
           *const bottom_right = numbers + 3 * taps;
    char* const rest = memory + round_up(reinterpret_cast<char*>(numbers + 4 * taps) - memory, 64);
    for (const std::ptrdiff_t y : {block.top, bottom}) {
        rows.add([&](std::ptrdiff_t i, std::ptrdiff_t t, std::ptrdiff_t count, typename Kind::Number* to,
                     std::ptrdiff_t filled) { before.row(y + i, block.left + t, count, to, filled); },
                 y == bottom ? 1 : -1, rest);
    }
    for (const std::ptrdiff_t x : {block.left, right}) {
        columns.add([&](std::ptrdiff_t i, std::ptrdiff_t t, std::ptrdiff_t count, typename Kind::Number* to,
                        std::ptrdiff_t filled) { before.column(block.top + t, x + i, count, to, filled); },
                    x == right ? 1 : -1, rest);
    }
    const auto corner = [&](std::ptrdiff_t y, std::ptrdiff_t x, double* to) {
        typename Kind::Number pixel;
        for (std::ptrdiff_t v = 0; v + 1 < kh; ++v) {
            for (std::ptrdiff_t u = 0; u + 1 < kw; ++u) {
                before.row(y + v, x + u, 1, &pixel, 1);
                to[v * kw + u] = double(pixel);
            }
        }
    };
    corner(block.top, block.left, top_left);
    corner(block.top, right, top_right);
    corner(bottom, block.left, bottom_left);
    corner(bottom, right, bottom_right);

    const auto at = [&](std::ptrdiff_t a, std::ptrdiff_t b, std::ptrdiff_t c, std::ptrdiff_t d) -> double& {
        return gram[(a * kw + b) * order + c * kw + d];
    };
    const double *const forward = lags, *const backward = lags + taps, *const cross = lags + 2 * taps, *const single = lags + 3 * taps;
    // Pairs of taps of which one is in the first row of the window.
    for (std::ptrdiff_t c = 0; c < kh; ++c) {
        for (std::ptrdiff_t b = 0; b < kw; ++b) {
            for (std::ptrdiff_t d = 0; d < kw; ++d) {
                if (b == 0) {
                    at(0, b, c, d) = forward[c * kw + d];
                } else if (d == 0) {
                    at(0, b, c, d) = c == 0 ? forward[b] : backward[c * kw + b];
                } else {
                    at(0, b, c, d) = at(0, b - 1, c, d - 1) + columns.of(b - 1, d - 1, c);
                }
            }
        }
    }
    // All others: first what they differ by from the pair a row higher, then the sums of that.
    for (std::ptrdiff_t a = 1; a < kh; ++a) {
        for (std::ptrdiff_t b = 0; b < kw; ++b) {
            for (std::ptrdiff_t c = a; c < kh; ++c) {
                for (std::ptrdiff_t d = 0; d < kw; ++d) {
                    if (b == 0) {
                        at(a, b, c, d) = rows.of(a - 1, c - 1, d);
                    } else if (d == 0) {
                        at(a, b, c, d) = rows.of(c - 1, a - 1, b);
                    } else {
                        const std::ptrdiff_t i = (a - 1) * kw + b - 1, j = (c - 1) * kw + d - 1;
                        at(a, b, c, d) = at(a, b - 1, c, d - 1) + (bottom_right[i] * bottom_right[j] - bottom_left[i] * bottom_left[j]) -
                                         (top_right[i] * top_right[j] - top_left[i] * top_left[j]);
                    }
                }
            }
        }
    }
    for (std::ptrdiff_t a = 1; a < kh; ++a) {
        for (std::ptrdiff_t b = 0; b < kw; ++b) {
            for (std::ptrdiff_t c = a; c < kh; ++c) {
                for (std::ptrdiff_t d = 0; d < kw; ++d) at(a, b, c, d) += at(a - 1, b, c - 1, d);
            }
        }
    }
    // Their sums, and products with `after`.
    double* const ones = gram + taps * order;
    double* const after = ones + order;
    for (std::ptrdiff_t a = 0; a < kh; ++a) {
        for (std::ptrdiff_t b = 0; b < kw; ++b) {
            double& sum = ones[a * kw + b];
            if (a == 0) {
                sum = b == 0 ? single[0] : ones[b - 1] + columns.sum(b - 1);
            } else {
                // How the row's share differs, from column to column.
                sum = rows.sum(a - 1);
                for (std::ptrdiff_t u = 0; u < b; ++u) {
                    const std::ptrdiff_t i = (a - 1) * kw + u;
                    sum += (bottom_right[i] - bottom_left[i]) - (top_right[i] - top_left[i]);
                }
                sum += ones[(a - 1) * kw + b];
            }
            after[a * kw + b] = cross[a * kw + b];
        }
    }
    ones[taps] = double(block.rows) * double(block.columns);
    after[taps] = single[1];
    after[taps + 1] = single[2];
    // The other half.
    for (std::ptrdiff_t i = 0; i < order; ++i) {
        for (std::ptrdiff_t j = 0; j < i; ++j) {
            if (i < taps) {
                gram[i * order + j] = gram[j * order + i];
            } else {
                gram[j * order + i] = gram[i * order + j];
            }
        }
    }
}

// Windows one by one: as many at once as stay in an L2 cache, each tap a line of its own.
template <class Kind>
struct Patches {
    static constexpr std::ptrdiff_t count = 512;

    std::ptrdiff_t rows, columns;  // of a tile: fewer where the windows are steps apart
    std::ptrdiff_t height, width;  // of what its windows reach

    explicit Patches(const Pair& pair)
        : rows(max(1, Kind::tile_rows / pair.row_step)),
          columns(max(1, Kind::tile_columns / pair.column_step)),
          height((rows - 1) * pair.row_step + (pair.kh - 1) * pair.row_gap + 1),
          width((columns - 1) * pair.column_step + (pair.kw - 1) * pair.column_gap + 1) {}

    static std::size_t bytes(const Pair& pair) {
        const Patches tile(pair);
        return std::size_t(2 * tile.rows * tile.columns) * sizeof(std::int32_t) +
               std::size_t(tile.height * tile.width + tile.rows * tile.columns + (pair.kh * pair.kw + 2) * count) *
                   sizeof(typename Kind::Number);
    }
};

// Adds sum z z^T over the pixels of an area whose mask is as wanted to the rows [first, last) of `gram`, from the diagonal on.
template <class Kind>
static void add_patches(const Pair& pair, const Area& area, const Planes<const char>& mask, bool wanted,
                        std::ptrdiff_t first, std::ptrdiff_t last, double* gram, char* memory) {
    typedef typename Kind::Number Number;
    constexpr std::ptrdiff_t some = Patches<Kind>::count;
    const Patches<Kind> tile(pair);
    const std::ptrdiff_t kw = pair.kw, taps = pair.kh * kw, order = taps + 2, size = tile.rows * tile.columns;
    std::int32_t *const in_before = reinterpret_cast<std::int32_t*>(memory), *const in_after = in_before + size;
    Number *const x = reinterpret_cast<Number*>(in_after + size), *const y = x + tile.height * tile.width, *const z = y + size;
    const Reader<Kind> before(pair.before, pair.center_before), after(pair.after, pair.center_after);

    const auto add = [&](const std::int32_t* at_x, const std::int32_t* at_y, std::ptrdiff_t count) {
        const std::ptrdiff_t n = round_up(count, lanes_of<Kind>);
        for (std::ptrdiff_t tap = first; tap < taps; ++tap) {
            const Number* const from = x + tap / kw * pair.row_gap * tile.width + tap % kw * pair.column_gap;
            Number* const to = z + tap * some;
            for (std::ptrdiff_t i = 0; i < count; ++i) to[i] = from[at_x[i]];
        }
        for (std::ptrdiff_t i = 0; i < count; ++i) {
            z[taps * some + i] = 1;
            z[(taps + 1) * some + i] = y[at_y[i]];
        }
        for (std::ptrdiff_t tap = first; tap < order; ++tap) {
            for (std::ptrdiff_t i = count; i < n; ++i) z[tap * some + i] = 0;
        }
        in_parts(last - first, lag_rows, [&](std::ptrdiff_t r, std::ptrdiff_t rows) {
            const std::ptrdiff_t row = first + r;
            const Number* p[lag_rows];
            for (std::ptrdiff_t i = 0; i < rows; ++i) p[i] = z + (row + i) * some;
            in_parts(order - row, lag_shifts, [&](std::ptrdiff_t c, std::ptrdiff_t columns) {
                typename Kind::Sum sums[lag_rows * lag_shifts] = {};
                const Number* const q = z + (row + c) * some;
                switch (rows) {
                    case 1: add_products_of<Kind, 1>(p, q, some, n, columns, sums, lag_shifts); break;
                    case 2: add_products_of<Kind, 2>(p, q, some, n, columns, sums, lag_shifts); break;
                    default: add_products_of<Kind, lag_rows>(p, q, some, n, columns, sums, lag_shifts);
                }
                for (std::ptrdiff_t i = 0; i < rows; ++i) {
                    for (std::ptrdiff_t j = 0; j < columns; ++j) {
                        gram[(row + i) * order + row + c + j] += total<Kind>(sums[i * lag_shifts + j]);
                    }
                }
            });
        });
    };

    for (std::ptrdiff_t v = 0; v < area.rows; v += tile.rows) {
        for (std::ptrdiff_t u = 0; u < area.columns; u += tile.columns) {
            const std::ptrdiff_t top = area.top + v, left = area.left + u;
            const std::ptrdiff_t rows = min(tile.rows, area.rows - v), columns = min(tile.columns, area.columns - u);
            std::ptrdiff_t found = 0;
            for (std::ptrdiff_t i = 0; i < rows; ++i) {
                const char* const row = mask.first + (top + i) * mask.row_stride + left * mask.column_stride;
                for (std::ptrdiff_t j = 0; j < columns; ++j) {
                    in_before[found] = std::int32_t(i * pair.row_step * tile.width + j * pair.column_step);
                    in_after[found] = std::int32_t(i * tile.columns + j);
                    found += (row[j * mask.column_stride] != 0) == wanted;
                }
            }
            if (found == 0) continue;
            const std::ptrdiff_t height = (rows - 1) * pair.row_step + (pair.kh - 1) * pair.row_gap + 1;
            const std::ptrdiff_t width = (columns - 1) * pair.column_step + (kw - 1) * pair.column_gap + 1;
            for (std::ptrdiff_t i = 0; i < height; ++i) {
                before.row(top * pair.row_step + i, left * pair.column_step, width, x + i * tile.width, width);
            }
            for (std::ptrdiff_t i = 0; i < rows; ++i) after.row(top + i, left, columns, y + i * tile.columns, columns);
            for (std::ptrdiff_t i = 0; i < found; i += some) add(in_before + i, in_after + i, min(some, found - i));
        }
    }
}

}  // namespace CORR2D_ISA
}  // namespace corr2d
