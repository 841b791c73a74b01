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
// each tap. Of several planes each pair, in either order, is summed in this way.
//
// The planes are the channels of `before`, and each channel times the monomials of the position: sum_m w_m * (m(position) X) is a
// kernel w that varies across the picture as a polynomial does. Beside `after`, products are made with the monomials of a background.
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
        return Sum(_mm512_madd_epi16(__m512i(p), __m512i(q)));
#elif defined(__AVX2__)
        return Sum(_mm256_madd_epi16(__m256i(p), __m256i(q)));
#elif defined(__SSE2__)
        return Sum(_mm_madd_epi16(__m128i(p), __m128i(q)));
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
};

template <class Kind>
static constexpr std::ptrdiff_t lanes_of = vector_bytes / std::ptrdiff_t(sizeof(typename Kind::Number));

template <class V, class Number>
static CORR2D_INLINE V load_as(const Number* p) {
    V v;
    __builtin_memcpy(&v, p, sizeof v);
    return keep(v);
}

template <class Kind>
static double total(const typename Kind::Sum& sum) {
    constexpr std::ptrdiff_t n = vector_bytes / std::ptrdiff_t(sizeof(sum[0]));
    double all = 0;
    for (std::ptrdiff_t i = 0; i < n; ++i) all += double(sum[i]);
    return all;
}

// sums[r * stride + c] += sum over i < lines, j < n of p[i * p_line + r * p_apart + j] * q[i * q_line + c * q_apart + j].
// n is a multiple of a vector.
template <class Kind>
struct Products {
    const typename Kind::Number *p, *q;
    std::ptrdiff_t p_apart, q_apart, p_line, q_line, lines, n;
    typename Kind::Sum* sums;
    std::ptrdiff_t stride;

    // Of `count` lines from the i-th on, the r-th of p, and the c-th of q.
    Products from(std::ptrdiff_t i, std::ptrdiff_t count, std::ptrdiff_t r, std::ptrdiff_t c) const {
        return {p + i * p_line + r * p_apart, q + i * q_line + c * q_apart, p_apart, q_apart, p_line, q_line, count, n,
                sums + r * stride + c, stride};
    }
};

template <class Kind, int R, int C>
[[gnu::noinline]] static void add_products(const Products<Kind>& of) {
    typedef typename Kind::Factor Factor;
    typename Kind::Sum sum[R][C];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) sum[r][c] = of.sums[r * of.stride + c];
    }
    for (std::ptrdiff_t i = 0; i < of.lines; ++i) {
        const typename Kind::Number *const p = of.p + i * of.p_line, *const q = of.q + i * of.q_line;
        for (std::ptrdiff_t j = 0; j < of.n; j += lanes_of<Kind>) {
            Factor a[R];
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) a[r] = load_as<Factor>(p + j + r * of.p_apart);
#pragma GCC unroll 8
            for (int c = 0; c < C; ++c) {
                const Factor b = load_as<Factor>(q + j + c * of.q_apart);
#pragma GCC unroll 8
                for (int r = 0; r < R; ++r) Kind::add(sum[r][c], a[r], b);
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) of.sums[r * of.stride + c] = sum[r][c];
    }
}

// The accumulators, a vector of each of a few rows, and one more must fit the registers.
static constexpr int lag_rows = many_registers ? 5 : 3, lag_shifts = many_registers ? 5 : 4;
static constexpr std::ptrdiff_t lag_lines = 4;  // at once: they stay in an L1 cache while all columns meet them

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

template <class Kind, int R = lag_rows, int C = lag_shifts>
static void add_part(const Products<Kind>& of, std::ptrdiff_t rows, std::ptrdiff_t columns) {
    if (rows == R && columns == C) return add_products<Kind, R, C>(of);
    if constexpr (R > 1) {
        if (rows < R) return add_part<Kind, R - 1, C>(of, rows, columns);
    }
    if constexpr (C > 1) return add_part<Kind, R, C - 1>(of, rows, columns);
}

// All of rows x columns.
template <class Kind>
static void add_all(const Products<Kind>& of, std::ptrdiff_t rows, std::ptrdiff_t columns) {
    in_parts(rows, lag_rows, [&](std::ptrdiff_t r, std::ptrdiff_t some) {
        for (std::ptrdiff_t i = 0; i < of.lines; i += lag_lines) {
            const std::ptrdiff_t lines = min(lag_lines, of.lines - i);
            in_parts(columns, lag_shifts, [&](std::ptrdiff_t c, std::ptrdiff_t count) {
                add_part<Kind>(of.from(i, lines, r, c), some, count);
            });
        }
    });
}

// (row - frame.middle_row)^i * (column - frame.middle_column)^j, in units of the frame. The monomials of degree 0, 1, 2, … come in
// this order: 1, y, x, yy, yx, xx, …
struct Monomial {
    std::ptrdiff_t of_row = 0, of_column = 0;

    explicit Monomial(std::ptrdiff_t number) {
        std::ptrdiff_t degree = 0;
        for (; number > degree; ++degree) number -= degree + 1;
        of_row = degree - number;
        of_column = number;
    }

    static CORR2D_INLINE double power(double a, std::ptrdiff_t n) {
        double product = 1;
        for (; n > 0; --n) product *= a;
        return product;
    }

    double at(const Frame& frame, std::ptrdiff_t y, std::ptrdiff_t x) const {
        return power((double(y) - frame.middle_row) * frame.per_row, of_row) *
               power((double(x) - frame.middle_column) * frame.per_column, of_column);
    }
};

// Reads pixels of one plane about a centre, in rows and columns, and fills up with zeros.
template <class Kind>
class Reader;

// Those that are not finite become 0: their windows do not count.
template <>
class Reader<Real> {
  public:
    Reader(const Planes<const char>& picture, double center, const Frame& frame, Monomial factor)
        : center(center), frame(frame), factor(factor) {
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
        multiply(to, n, y, x, 0, 1);
    }

    void column(std::ptrdiff_t y, std::ptrdiff_t x, std::ptrdiff_t n, double* to, std::ptrdiff_t filled) const {
        gather(job, term, job.image.first, {y, x, n, 1}, to, 1);
        about_center(to, n);
        multiply(to, n, y, x, 1, 0);
        for (std::ptrdiff_t i = n; i < filled; ++i) to[i] = 0;
    }

  private:
    void about_center(double* pixels, std::ptrdiff_t n) const {
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const double a = pixels[i] - center;
            pixels[i] = a - a == 0 ? a : 0;
        }
    }

    void multiply(double* pixels, std::ptrdiff_t n, std::ptrdiff_t y, std::ptrdiff_t x, std::ptrdiff_t down, std::ptrdiff_t along) const {
        if (factor.of_row + factor.of_column == 0) return;
        for (std::ptrdiff_t i = 0; i < n; ++i) pixels[i] *= factor.at(frame, y + i * down, x + i * along);
    }

    double center;
    Frame frame;
    Monomial factor;
    Job job{};
    Term term{};
    Gather<double> gather;
};

// Bytes: unsigned ones about 128, which is their first bit turned, signed ones about 0. There are no monomials among whole numbers.
template <>
class Reader<Whole> {
  public:
    Reader(const Planes<const char>& picture, double, const Frame&, Monomial)
        : picture(picture), turned(picture.pixel == Pixel::u8 ? 0x80 : 0) {}

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

    Planes<const char> picture;
    std::uint8_t turned;
};

// Plane number `plane` of `before`: all channels times the first monomial, all times the second, …
template <class Kind>
static Reader<Kind> plane_of(const Pair& pair, std::ptrdiff_t plane) {
    Planes<const char> picture = pair.before;
    const std::ptrdiff_t channel = plane % pair.channels;
    if (picture.axes > 0) picture.first += channel * picture.axis_strides[0];
    return Reader<Kind>(picture, pair.centers[channel], pair.frame_before, Monomial(plane / pair.channels));
}

// What windows are multiplied with: the monomials of the background, and `after`, the last.
template <class Kind>
class Targets {
  public:
    explicit Targets(const Pair& pair)
        : count(target_count(pair)), frame(pair.frame_after), after(pair.after, pair.centers[pair.channels], frame, Monomial(0)) {}

    void row(std::ptrdiff_t target, std::ptrdiff_t y, std::ptrdiff_t x, std::ptrdiff_t n, typename Kind::Number* to,
             std::ptrdiff_t filled) const {
        if (target == count - 1) return after.row(y, x, n, to, filled);
        const Monomial monomial(target + 1);
        for (std::ptrdiff_t i = 0; i < filled; ++i) {
            to[i] = i < n ? typename Kind::Number(monomial.at(frame, y, x + i)) : typename Kind::Number(0);
        }
    }

    const std::ptrdiff_t count;

  private:
    Frame frame;
    Reader<Kind> after;
};

// Sums over the pixels of a block, as doubles; those of several blocks add up. For planes p and q, and a target t:
// forward(p, q)[dy * kw + dx]: of X_p[y, x] * X_q[y + dy, x + dx]; backward(p, q): of X_p[y + dy, x] * X_q[y, x + dx];
// cross(t, p): of T_t[y, x] * X_p[y + dy, x + dx]; then those of each X_p, of each T_t, and of T_t * T_s.
template <class Number>
struct LagSums {
    std::ptrdiff_t planes, targets, taps;
    Number* first;

    LagSums(const Pair& pair, Number* first) : planes(plane_count(pair)), targets(target_count(pair)), taps(pair.kh * pair.kw), first(first) {}

    std::ptrdiff_t by_tap() const { return (2 * planes + targets) * planes * taps; }
    Number* forward(std::ptrdiff_t p, std::ptrdiff_t q) const { return first + (p * planes + q) * taps; }
    Number* backward(std::ptrdiff_t p, std::ptrdiff_t q) const { return first + ((planes + p) * planes + q) * taps; }
    Number* cross(std::ptrdiff_t t, std::ptrdiff_t p) const { return first + ((2 * planes + t) * planes + p) * taps; }
    Number& of_plane(std::ptrdiff_t p) const { return first[by_tap() + p]; }
    Number& of_target(std::ptrdiff_t t) const { return first[by_tap() + planes + t]; }
    Number& of_targets(std::ptrdiff_t t, std::ptrdiff_t s) const { return first[by_tap() + planes + targets * (t + 1) + s]; }
};

template <class Kind>
struct LagTile {
    std::ptrdiff_t rows, columns, n, stride;

    LagTile(const Pair& pair, const Area& block)
        : rows(block.rows),
          columns(block.columns),
          n(round_up(columns, lanes_of<Kind>)),
          stride(round_up(n + pair.kw - 1, lanes_of<Kind>) + lanes_of<Kind>) {}

    // The pixels of each plane with zeros beyond the block's columns, those of the plane, those of each target, and a row of ones.
    std::size_t bytes(const Pair& pair) const {
        return sizeof(typename Kind::Number) *
               std::size_t(plane_count(pair) * (rows + pair.kh - 1) * (n + stride) + target_count(pair) * rows * n + n);
    }
};

template <class Kind>
static std::size_t lags_bytes(const Pair& pair) {
    const LagTile<Kind> tile(pair, {0, 0, Kind::tile_rows, Kind::tile_columns});
    return sizeof(typename Kind::Sum) * std::size_t(lag_count(pair)) + tile.bytes(pair);
}

template <class Kind>
static void add_lags(const Pair& pair, const Area& block, double* to_sums, char* memory) {
    typedef typename Kind::Number Number;
    typedef typename Kind::Sum Sum;
    const std::ptrdiff_t kh = pair.kh, kw = pair.kw, rows = block.rows + kh - 1, planes = plane_count(pair);
    const Targets<Kind> targets(pair);
    const LagTile<Kind> tile(pair, block);
    const std::ptrdiff_t n = tile.n;
    const LagSums<Sum> found(pair, reinterpret_cast<Sum*>(memory));
    __builtin_memset(found.first, 0, std::size_t(lag_count(pair)) * sizeof(Sum));
    Number* const narrow = reinterpret_cast<Number*>(found.first + lag_count(pair));
    Number *const wide = narrow + planes * rows * n, *const target = wide + planes * rows * tile.stride;
    Number* const ones = target + targets.count * block.rows * n;
    for (std::ptrdiff_t j = 0; j < n; ++j) ones[j] = 1;
    const auto narrow_row = [&](std::ptrdiff_t p, std::ptrdiff_t r) { return narrow + (p * rows + r) * n; };
    const auto wide_row = [&](std::ptrdiff_t p, std::ptrdiff_t r) { return wide + (p * rows + r) * tile.stride; };
    const auto target_row = [&](std::ptrdiff_t t, std::ptrdiff_t r) { return target + (t * block.rows + r) * n; };

    for (std::ptrdiff_t p = 0; p < planes; ++p) {
        const Reader<Kind> plane = plane_of<Kind>(pair, p);
        for (std::ptrdiff_t r = 0; r < rows; ++r) {
            Number *const to = wide_row(p, r), *const exact = narrow_row(p, r);
            plane.row(block.top + r, block.left, block.columns + kw - 1, to, tile.stride);
            for (std::ptrdiff_t j = 0; j < n; ++j) exact[j] = j < block.columns ? to[j] : Number(0);
        }
    }
    for (std::ptrdiff_t t = 0; t < targets.count; ++t) {
        for (std::ptrdiff_t r = 0; r < block.rows; ++r) targets.row(t, block.top + r, block.left, block.columns, target_row(t, r), n);
    }

    const auto add_forward = [&](const Number* p, std::ptrdiff_t q, Sum* sums) {
        in_parts(kh, lag_rows, [&](std::ptrdiff_t dy, std::ptrdiff_t some) {
            std::ptrdiff_t lines;
            for (std::ptrdiff_t r = dy; r < dy + some - 1 + block.rows; r += lines) {  // of q; those of p are dy, dy + 1, … higher
                const std::ptrdiff_t first = max(dy, r - block.rows + 1), last = min(dy + some, r + 1);
                lines = last - first == some ? block.rows - some + 1 : 1;
                add_all<Kind>({p + (r - first) * n, wide_row(q, r), -n, 1, n, tile.stride, lines, n, sums + first * kw, kw}, last - first, kw);
            }
        });
    };
    for (std::ptrdiff_t q = 0; q < planes; ++q) {
        for (std::ptrdiff_t p = 0; p < planes; ++p) {
            add_forward(narrow_row(p, 0), q, found.forward(p, q));
            add_all<Kind>({narrow_row(p, 1), wide_row(q, 0) + 1, n, 1, n, tile.stride, block.rows, n, found.backward(p, q) + kw + 1, kw},
                          kh - 1, kw - 1);
        }
        for (std::ptrdiff_t t = 0; t < targets.count; ++t) add_forward(target_row(t, 0), q, found.cross(t, q));
    }
    for (std::ptrdiff_t r = 0; r < block.rows; ++r) {
        const auto add = [&](const Number* row, const Number* other, Sum& sum) { add_products<Kind, 1, 1>({row, other, 0, 0, 0, 0, 1, n, &sum, 0}); };
        for (std::ptrdiff_t p = 0; p < planes; ++p) add(narrow_row(p, r), ones, found.of_plane(p));
        for (std::ptrdiff_t t = 0; t < targets.count; ++t) {
            add(target_row(t, r), ones, found.of_target(t));
            for (std::ptrdiff_t s = 0; s < targets.count; ++s) add(target_row(t, r), target_row(s, r), found.of_targets(t, s));
        }
    }
    for (std::ptrdiff_t i = 0; i < lag_count(pair); ++i) to_sums[i] += total<Kind>(found.first[i]);
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
                add_all<Kind>({exact, wide + j * stride, part, 1, 0, 0, 1, n, found, shifts}, m, shifts);
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
    const std::ptrdiff_t kh = pair.kh, kw = pair.kw, planes = plane_count(pair);
    const std::ptrdiff_t m_rows = planes * (kh - 1), m_columns = planes * (kw - 1);
    const std::size_t rows = Lines<Kind>::bytes(m_rows, kw), columns = Lines<Kind>::bytes(m_columns, kh);
    return std::size_t(Lines<Kind>::doubles(m_rows, kw) + Lines<Kind>::doubles(m_columns, kh) + 4 * planes * kh * kw) * sizeof(double) +
           128 + (rows < columns ? columns : rows);
}

// The edges of a block: what comes in at its far side, less what leaves at the near one, as sums over rows and over columns of each
// plane, and the pixels of the four corners.
template <class Kind>
class Edges {
  public:
    Edges(const Pair& pair, const Area& block, char* memory)
        : kh(pair.kh),
          kw(pair.kw),
          planes(plane_count(pair)),
          numbers(reinterpret_cast<double*>(memory)),
          row_numbers(Lines<Kind>::doubles(planes * (kh - 1), kw)),
          column_numbers(Lines<Kind>::doubles(planes * (kw - 1), kh)),
          rows(planes * (kh - 1), block.columns, kw, numbers, numbers + row_numbers - planes * (kh - 1)),
          columns(planes * (kw - 1), block.rows, kh, numbers + row_numbers, numbers + row_numbers + column_numbers - planes * (kw - 1)),
          corners(numbers + row_numbers + column_numbers) {
        typedef typename Kind::Number Number;
        const std::ptrdiff_t size = row_numbers + column_numbers + 4 * planes * kh * kw;
        char* const rest = memory + round_up(size * std::ptrdiff_t(sizeof(double)), 64);
        for (std::ptrdiff_t i = 0; i < size; ++i) numbers[i] = 0;
        const std::ptrdiff_t bottom = block.top + block.rows, right = block.left + block.columns;
        for (const std::ptrdiff_t y : {block.top, bottom}) {
            rows.add([&](std::ptrdiff_t i, std::ptrdiff_t t, std::ptrdiff_t count, Number* to,
                         std::ptrdiff_t filled) { plane_of<Kind>(pair, i / (kh - 1)).row(y + i % (kh - 1), block.left + t, count, to, filled); },
                     y == bottom ? 1 : -1, rest);
        }
        for (const std::ptrdiff_t x : {block.left, right}) {
            columns.add([&](std::ptrdiff_t i, std::ptrdiff_t t, std::ptrdiff_t count, Number* to,
                            std::ptrdiff_t filled) { plane_of<Kind>(pair, i / (kw - 1)).column(block.top + t, x + i % (kw - 1), count, to, filled); },
                        x == right ? 1 : -1, rest);
        }
        for (std::ptrdiff_t p = 0; p < planes; ++p) {
            const Reader<Kind> plane = plane_of<Kind>(pair, p);
            for (std::ptrdiff_t i = 0; i < 4; ++i) {
                for (std::ptrdiff_t v = 0; v + 1 < kh; ++v) {
                    for (std::ptrdiff_t u = 0; u + 1 < kw; ++u) {
                        Number pixel;
                        plane.row((i < 2 ? block.top : bottom) + v, (i % 2 == 0 ? block.left : right) + u, 1, &pixel, 1);
                        corners[((i * planes + p) * kh + v) * kw + u] = double(pixel);
                    }
                }
            }
        }
    }

    // How the sum of X_p[y + a, x + b] * X_q[y + c, x + d] changes with one more of a and c, or of b and d.
    double of_rows(std::ptrdiff_t p, std::ptrdiff_t a, std::ptrdiff_t q, std::ptrdiff_t c, std::ptrdiff_t shift) const {
        return rows.of(p * (kh - 1) + a, q * (kh - 1) + c, shift);
    }
    double of_columns(std::ptrdiff_t p, std::ptrdiff_t b, std::ptrdiff_t q, std::ptrdiff_t d, std::ptrdiff_t shift) const {
        return columns.of(p * (kw - 1) + b, q * (kw - 1) + d, shift);
    }
    // The same of the sum of X_p.
    double of_row(std::ptrdiff_t p, std::ptrdiff_t a) const { return rows.sum(p * (kh - 1) + a); }
    double of_column(std::ptrdiff_t p, std::ptrdiff_t b) const { return columns.sum(p * (kw - 1) + b); }

    // How that along rows changes with one more of b and d.
    double of_corners(std::ptrdiff_t p, std::ptrdiff_t a, std::ptrdiff_t b, std::ptrdiff_t q, std::ptrdiff_t c, std::ptrdiff_t d) const {
        return (corner(3, p, a, b) * corner(3, q, c, d) - corner(2, p, a, b) * corner(2, q, c, d)) -
               (corner(1, p, a, b) * corner(1, q, c, d) - corner(0, p, a, b) * corner(0, q, c, d));
    }
    double of_corners(std::ptrdiff_t p, std::ptrdiff_t a, std::ptrdiff_t b) const {
        return (corner(3, p, a, b) - corner(2, p, a, b)) - (corner(1, p, a, b) - corner(0, p, a, b));
    }

  private:
    double corner(std::ptrdiff_t i, std::ptrdiff_t p, std::ptrdiff_t v, std::ptrdiff_t u) const {
        return corners[((i * planes + p) * kh + v) * kw + u];
    }

    const std::ptrdiff_t kh, kw, planes;
    double* const numbers;
    const std::ptrdiff_t row_numbers, column_numbers;
    Lines<Kind> rows, columns;
    double* const corners;  // of the top left, top right, bottom left, bottom right
};

// Fills the products of the taps (p, a, b) and (q, c, d) for all c >= a.
template <class Kind>
static void fill_planes(const Pair& pair, std::ptrdiff_t p, std::ptrdiff_t q, const Edges<Kind>& edges, const LagSums<const double>& sums,
                        double* gram) {
    const std::ptrdiff_t kh = pair.kh, kw = pair.kw, taps = kh * kw, order = order_of(pair);
    const auto at = [&](std::ptrdiff_t a, std::ptrdiff_t b, std::ptrdiff_t c, std::ptrdiff_t d) -> double& {
        return gram[(p * taps + a * kw + b) * order + q * taps + c * kw + d];
    };
    // Pairs of taps of which one is in the first row of the window.
    for (std::ptrdiff_t c = 0; c < kh; ++c) {
        for (std::ptrdiff_t b = 0; b < kw; ++b) {
            for (std::ptrdiff_t d = 0; d < kw; ++d) {
                if (b == 0) {
                    at(0, b, c, d) = sums.forward(p, q)[c * kw + d];
                } else if (d == 0) {
                    at(0, b, c, d) = c == 0 ? sums.forward(q, p)[b] : sums.backward(q, p)[c * kw + b];
                } else {
                    at(0, b, c, d) = at(0, b - 1, c, d - 1) + edges.of_columns(p, b - 1, q, d - 1, c);
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
                        at(a, b, c, d) = edges.of_rows(p, a - 1, q, c - 1, d);
                    } else if (d == 0) {
                        at(a, b, c, d) = edges.of_rows(q, c - 1, p, a - 1, b);
                    } else {
                        at(a, b, c, d) = at(a, b - 1, c, d - 1) + edges.of_corners(p, a - 1, b - 1, q, c - 1, d - 1);
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
}

// Fills the matrix of sums of z z^T, z = (windows, background, 1, pixel), of a block from its `lags`.
template <class Kind>
static void fill_gram(const Pair& pair, const Area& block, const double* lags, double* gram, char* memory) {
    const std::ptrdiff_t kh = pair.kh, kw = pair.kw, taps = kh * kw, planes = plane_count(pair), order = order_of(pair);
    const Edges<Kind> edges(pair, block, memory);
    const LagSums<const double> sums(pair, lags);
    for (std::ptrdiff_t p = 0; p < planes; ++p) {
        for (std::ptrdiff_t q = 0; q < planes; ++q) fill_planes(pair, p, q, edges, sums, gram);
    }
    const auto row_in_window = [&](std::ptrdiff_t i) { return i % taps / kw; };
    for (std::ptrdiff_t i = 0; i < planes * taps; ++i) {
        for (std::ptrdiff_t j = 0; j < i; ++j) {
            if (row_in_window(j) > row_in_window(i)) {
                gram[j * order + i] = gram[i * order + j];
            } else {
                gram[i * order + j] = gram[j * order + i];
            }
        }
    }

    // Their products with the targets, and those of the targets. After the background comes the 1, then the pixel.
    const std::ptrdiff_t targets = target_count(pair), one = order - 2;
    const auto place = [&](std::ptrdiff_t t) { return t == targets - 1 ? order - 1 : planes * taps + t; };
    const auto set = [&](std::ptrdiff_t i, std::ptrdiff_t j, double product) {
        gram[i * order + j] = product;
        gram[j * order + i] = product;
    };
    for (std::ptrdiff_t t = 0; t < targets; ++t) {
        for (std::ptrdiff_t p = 0; p < planes; ++p) {
            for (std::ptrdiff_t tap = 0; tap < taps; ++tap) set(place(t), p * taps + tap, sums.cross(t, p)[tap]);
        }
        set(place(t), one, sums.of_target(t));
        for (std::ptrdiff_t s = 0; s <= t; ++s) set(place(t), place(s), sums.of_targets(t, s));
    }
    set(one, one, double(block.rows) * double(block.columns));
    for (std::ptrdiff_t p = 0; p < planes; ++p) {
        double* const ones = gram + one * order + p * taps;
        for (std::ptrdiff_t a = 0; a < kh; ++a) {
            for (std::ptrdiff_t b = 0; b < kw; ++b) {
                double sum;
                if (a == 0) {
                    sum = b == 0 ? sums.of_plane(p) : ones[b - 1] + edges.of_column(p, b - 1);
                } else {
                    // How the row's share differs, from column to column.
                    sum = edges.of_row(p, a - 1);
                    for (std::ptrdiff_t u = 0; u < b; ++u) sum += edges.of_corners(p, a - 1, u);
                    sum += ones[(a - 1) * kw + b];
                }
                set(one, p * taps + a * kw + b, sum);
            }
        }
    }
}

// Windows one by one: 512 at once, each tap a line of its own. A line is multiplied with so many others that those stay in an L2
// cache, which takes a fifth less than all of them do, for 21 x 21 floats.
static constexpr std::ptrdiff_t patch_lines = 48;

template <class Kind>
struct Patches {
    // A line is a little longer: lines 4096 bytes apart would share the same few places of an L1 cache.
    static constexpr std::ptrdiff_t count = 512, line = count + 32;

    std::ptrdiff_t rows, columns;  // of a tile: fewer where the windows are steps apart
    std::ptrdiff_t height, width;  // of what its windows reach

    explicit Patches(const Pair& pair)
        : rows(max(1, Kind::tile_rows / pair.row_step)),
          columns(max(1, Kind::tile_columns / pair.column_step)),
          height((rows - 1) * pair.row_step + (pair.kh - 1) * pair.row_gap + 1),
          width((columns - 1) * pair.column_step + (pair.kw - 1) * pair.column_gap + 1) {}

    static std::size_t bytes(const Pair& pair) {
        const Patches tile(pair);
        const std::ptrdiff_t size = tile.rows * tile.columns;
        const std::ptrdiff_t pixels = plane_count(pair) * tile.height * tile.width + target_count(pair) * size;
        return std::size_t(size + count) * sizeof(double) + std::size_t(2 * size) * sizeof(std::int32_t) +
               std::size_t(pixels + (order_of(pair) + lag_rows) * line) * sizeof(typename Kind::Number);
    }
};

// Adds sum weight z z^T over the pixels of an area whose mask is as wanted to the rows [first, last) of `gram`, from the diagonal on.
template <class Kind>
static void add_patches(const Pair& pair, const Area& area, const Chosen& chosen, std::ptrdiff_t first, std::ptrdiff_t last, double* gram,
                        char* memory) {
    typedef typename Kind::Number Number;
    constexpr std::ptrdiff_t most = Patches<Kind>::count, apart = Patches<Kind>::line;
    const Patches<Kind> tile(pair);
    const Targets<Kind> targets(pair);
    const std::ptrdiff_t kw = pair.kw, taps = pair.kh * kw, planes = plane_count(pair), order = order_of(pair);
    const std::ptrdiff_t size = tile.rows * tile.columns;
    double *const weight_of = reinterpret_cast<double*>(memory), *const weights = weight_of + size;
    std::int32_t *const in_before = reinterpret_cast<std::int32_t*>(weights + most), *const in_after = in_before + size;
    Number* const x = reinterpret_cast<Number*>(in_after + size);
    Number *const y = x + planes * tile.height * tile.width, *const z = y + targets.count * size, *const weighted = z + order * apart;
    const bool by_weight = chosen.weights.first != nullptr;

    const auto add = [&](const std::int32_t* at_x, const std::int32_t* at_y, std::ptrdiff_t count) {
        const std::ptrdiff_t n = round_up(count, lanes_of<Kind>);
        const auto line = [&](std::ptrdiff_t i, const Number* from, const std::int32_t* at) {
            if (i < first) return;
            for (std::ptrdiff_t j = 0; j < count; ++j) z[i * apart + j] = from[at[j]];
        };
        for (std::ptrdiff_t i = 0; i < planes * taps; ++i) {
            const std::ptrdiff_t tap = i % taps;
            line(i, x + (i / taps * tile.height + tap / kw * pair.row_gap) * tile.width + tap % kw * pair.column_gap, at_x);
        }
        for (std::ptrdiff_t t = 0; t + 1 < targets.count; ++t) line(planes * taps + t, y + t * size, at_y);
        for (std::ptrdiff_t j = 0; j < count; ++j) z[(order - 2) * apart + j] = 1;
        line(order - 1, y + (targets.count - 1) * size, at_y);
        for (std::ptrdiff_t i = first; i < order; ++i) {
            for (std::ptrdiff_t j = count; j < n; ++j) z[i * apart + j] = 0;
        }
        if (by_weight) {
            for (std::ptrdiff_t j = 0; j < n; ++j) weights[j] = j < count ? weight_of[at_y[j]] : 0;
        }
        const auto multiply = [&](std::ptrdiff_t row, std::ptrdiff_t rows, std::ptrdiff_t column, std::ptrdiff_t end) {
            const Number* p = z + row * apart;
            if (by_weight) {
                for (std::ptrdiff_t i = 0; i < rows; ++i) {
                    for (std::ptrdiff_t j = 0; j < n; ++j) weighted[i * apart + j] = Number(double(p[i * apart + j]) * weights[j]);
                }
                p = weighted;
            }
            in_parts(end - column, lag_shifts, [&](std::ptrdiff_t c, std::ptrdiff_t columns) {
                typename Kind::Sum sums[lag_rows * lag_shifts] = {};
                add_part<Kind>({p, z + (column + c) * apart, apart, apart, 0, 0, 1, n, sums, lag_shifts}, rows, columns);
                for (std::ptrdiff_t i = 0; i < rows; ++i) {
                    for (std::ptrdiff_t j = 0; j < columns; ++j) {
                        gram[(row + i) * order + column + c + j] += total<Kind>(sums[i * lag_shifts + j]);
                    }
                }
            });
        };
        for (std::ptrdiff_t start = 0; start < order; start += patch_lines) {
            const std::ptrdiff_t end = min(start + patch_lines, order);
            in_parts(last - first, lag_rows, [&](std::ptrdiff_t r, std::ptrdiff_t rows) {
                const std::ptrdiff_t row = first + r;
                if (row < end) multiply(row, rows, max(row, start), end);
            });
        }
    };

    const Planes<const char>& mask = chosen.mask;
    const Reader<Real> weight(by_weight ? chosen.weights : pair.after, 0, pair.frame_after, Monomial(0));
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
                    found += (row[j * mask.column_stride] != 0) == chosen.wanted;
                }
            }
            if (found == 0) continue;
            const std::ptrdiff_t height = (rows - 1) * pair.row_step + (pair.kh - 1) * pair.row_gap + 1;
            const std::ptrdiff_t width = (columns - 1) * pair.column_step + (kw - 1) * pair.column_gap + 1;
            for (std::ptrdiff_t p = 0; p < planes; ++p) {
                const Reader<Kind> plane = plane_of<Kind>(pair, p);
                for (std::ptrdiff_t i = 0; i < height; ++i) {
                    plane.row(top * pair.row_step + i, left * pair.column_step, width, x + (p * tile.height + i) * tile.width, width);
                }
            }
            for (std::ptrdiff_t i = 0; i < rows; ++i) {
                for (std::ptrdiff_t t = 0; t < targets.count; ++t) {
                    targets.row(t, top + i, left, columns, y + t * size + i * tile.columns, columns);
                }
                if (by_weight) weight.row(top + i, left, columns, weight_of + i * tile.columns, columns);
            }
            for (std::ptrdiff_t i = 0; i < found; i += most) add(in_before + i, in_after + i, min(most, found - i));
        }
    }
}

}  // namespace CORR2D_ISA
}  // namespace corr2d
