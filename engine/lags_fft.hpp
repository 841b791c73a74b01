// The sums of lags.hpp by FFT, for large windows and for several planes: a lag more costs nothing.
//
// An area is cut into tiles. With P = the pixels of a tile, and Q = those and what is kh - 1 rows further down and kw - 1 columns further
// to either side, both in a square of zeros, the inverse transform of conj(P^) Q^ is the sum of P[y, x] * Q[y + dy, x + dx] at each lag.
// Spectra are added up over the tiles, and transformed back once.
//
// Lags to the right are `forward`, those to the left `backward` of the two planes in the other order: of X_q[y + dy, x] * X_p[y, x + dx],
// where x + dx runs through the tile. Over all tiles x then misses only its last dx columns of the area, and shall have none beyond its
// left edge: so Q ends there, and a strip along the right edge is added, P = the columns beyond it, Q = those before it.
//
// Two tiles ride in one complex transform: of P1 + i P2 and Q1 + i Q2, the real part is the sum of P1 with Q1 and P2 with Q2, which is all
// that is wanted. Of 31 x 31 floats, 2048 x 2048 pixels take 0.08 s of one core with AVX-512 for 0.33 directly; at 15 x 15, 0.05 for 0.12.
#pragma once
#include "fft.hpp"
#include "lags.hpp"

namespace corr2d {
namespace CORR2D_ISA {

// How an area is laid out in squares: a tile each, then strips, some of each beside each other.
struct LagSquares {
    // P and Q, as pixels of `before`, and where their first columns are in the square, of which [begin, end) are the piece's.
    struct Piece {
        Area tile, reach;
        std::ptrdiff_t tile_at, reach_at, begin, end;
    };

    Area area;
    std::ptrdiff_t side, kh, more;  // more: kw - 1
    std::ptrdiff_t rows, columns;   // of a tile
    std::ptrdiff_t across, down;    // tiles of the area
    std::ptrdiff_t beside;          // strips in a square: lags within one reach 2 (kw - 1) columns, and none shall reach the next

    LagSquares(const Pair& pair, const Area& area, std::ptrdiff_t side)
        : area(area),
          side(side),
          kh(pair.kh),
          more(pair.kw - 1),
          rows(side - (kh - 1)),
          columns(side - 2 * more),
          across((area.columns + columns - 1) / columns),
          down((area.rows + rows - 1) / rows),
          beside(more == 0 ? 1 : side / (3 * more)) {}

    // A part of a block, so large that spectra are few beside the transforms, and so small that sums of 8-bit pixels round to what they
    // are (test_8_bits_are_exact_at_their_largest): at most 80 squares.
    static Area part(const Pair& pair, const Area& block, std::ptrdiff_t side) {
        const LagSquares all(pair, block, side);
        const std::ptrdiff_t across = min(all.across, 64), down = (16 + across - 1) / across;
        return {block.top, block.left, min(block.rows, down * all.rows), min(block.columns, across * all.columns)};
    }

    std::ptrdiff_t tiles() const { return across * down; }
    std::ptrdiff_t count() const { return tiles() + (more == 0 ? 0 : (down + beside - 1) / beside); }

    // Calls visit(piece) for those of a square, if there is such a one.
    template <class Visit>
    void for_pieces(std::ptrdiff_t square, const Visit& visit) const {
        if (square >= count()) return;
        const std::ptrdiff_t right = area.left + area.columns;
        if (square < tiles()) {
            const std::ptrdiff_t first = area.left + square % across * columns;
            return visit(piece(square / across, first, min(columns, right - first), first - more, first + columns + more, 0, side));
        }
        const std::ptrdiff_t strip = (square - tiles()) * beside, strips = min(beside, down - strip);
        for (std::ptrdiff_t i = 0; i < strips; ++i) {
            const std::ptrdiff_t begin = i * 3 * more, end = i + 1 < strips ? begin + 3 * more : side;
            visit(piece(strip + i, right, more, right - more, right, begin, end));
        }
    }

    // P: `n` columns from `first` on, in a row of tiles. Q: columns [from, to), as far as windows of the area reach them.
    Piece piece(std::ptrdiff_t row, std::ptrdiff_t first, std::ptrdiff_t n, std::ptrdiff_t from, std::ptrdiff_t to, std::ptrdiff_t begin,
                std::ptrdiff_t end) const {
        const std::ptrdiff_t top = area.top + row * rows, height = min(rows, area.top + area.rows - top);
        const std::ptrdiff_t left = max(from, area.left), right = min(to, area.left + area.columns + more);
        return {{top, first, height, n}, {top, left, height + kh - 1, right - left}, begin, begin + left - from, begin, end};
    }
};

// What pixels were seen: their sum, the sum of their squares, and whether all are whole numbers.
struct Seen {
    double total = 0, squares = 0;
    bool whole = true;

    // n is a multiple of a vector.
    void add(const double* pixels, std::ptrdiff_t n) {
        Vec<double> sum{}, square{};
        Mask<double> broken{};
        for (std::ptrdiff_t i = 0; i < n; i += lanes<double>) {
            const Vec<double> a = load(pixels + i), near = a + large<double> - large<double>;
            sum += a;
            square += a * a;
            broken |= near != a;
        }
        for (std::ptrdiff_t i = 0; i < lanes<double>; ++i) {
            total += sum[i];
            squares += square[i];
        }
        whole = whole && !any(broken);
    }
};

class LagsByFft {
  public:
    LagsByFft(const Pair& pair, const Area& area, std::ptrdiff_t side, double* sums, char* memory)
        : pair(pair),
          squares(pair, area, side),
          stride(stride_of(side)),
          size(side * stride),
          targets(pair),
          planes(plane_count(pair)),
          sums(pair, sums),
          fourier(fill_roots(side, reinterpret_cast<double*>(memory)), reinterpret_cast<double*>(memory) + 2 * side),
          one_row(reinterpret_cast<double*>(memory) + 2 * side + Fourier<double>::strip_numbers(side)),
          spectra(one_row + stride),
          found(spectra + (planes + targets.count + 1) * 2 * size),
          seen(reinterpret_cast<Seen*>(found + planes * (planes + targets.count) * 2 * size)),
          bounds(reinterpret_cast<double*>(seen + planes + targets.count)) {
        const std::ptrdiff_t n = planes * (planes + targets.count);
        __builtin_memset(found, 0, std::size_t(n * 2 * size) * sizeof(double));
        for (std::ptrdiff_t i = 0; i < n; ++i) bounds[i] = 0;
    }

    static std::size_t bytes(const Pair& pair, std::ptrdiff_t side) {
        const std::ptrdiff_t planes = plane_count(pair), factors = planes + target_count(pair);
        const std::ptrdiff_t numbers = 2 * side + Fourier<double>::strip_numbers(side) + stride_of(side) + (factors + 1 + planes * factors) * 2 * side * stride_of(side);
        return std::size_t(numbers + planes * factors) * sizeof(double) + std::size_t(factors) * sizeof(Seen);
    }

    void run() {
        for (std::ptrdiff_t square = 0; square < squares.count(); square += 2) {
            take_factors(square);
            // There are no targets in strips.
            const std::ptrdiff_t factors = square < squares.tiles() ? planes + targets.count : planes;
            for (std::ptrdiff_t q = 0; q < planes; ++q) add_products(square, q, factors);
        }
        for (std::ptrdiff_t f = 0; f < planes + targets.count; ++f) {
            for (std::ptrdiff_t q = 0; q < planes; ++q) put(f, q);
        }
    }

  private:
    static std::ptrdiff_t stride_of(std::ptrdiff_t side) { return side + line<double>; }

    // A factor is a plane or, after those, a target.
    double* spectrum(std::ptrdiff_t factor) const { return spectra + factor * 2 * size; }
    double* products(std::ptrdiff_t factor, std::ptrdiff_t q) const { return found + (factor * planes + q) * 2 * size; }

    // The factors' P of two squares, as spectra; on the way, the sums that have no lag.
    void take_factors(std::ptrdiff_t square) {
        const std::ptrdiff_t tiles = squares.tiles();
        for (std::ptrdiff_t p = 0; p < planes; ++p) {
            const Reader<Real> plane = plane_of<Real>(pair, p);
            const auto read = [&](auto... where) { plane.row(where...); };
            seen[p] = Seen();
            for (std::ptrdiff_t i = 0; i < 2; ++i) {
                take(read, square + i, false, spectrum(p) + i * size, seen[p]);
                if (i == 0 && square + 1 == tiles) sums.of_plane(p) += seen[p].total;
            }
            if (square + 1 < tiles) sums.of_plane(p) += seen[p].total;
            fourier.forward(spectrum(p), spectrum(p) + size, stride);
        }
        if (square >= tiles) return;
        for (std::ptrdiff_t t = 0; t < targets.count; ++t) {
            const auto read = [&](auto... where) { targets.row(t, where...); };
            Seen& of_target = seen[planes + t] = Seen();
            take(read, square, false, spectrum(planes + t), of_target);
            take(read, square + 1 < tiles ? square + 1 : squares.count(), false, spectrum(planes + t) + size, of_target);
            sums.of_target(t) += of_target.total;
        }
        for (std::ptrdiff_t t = 0; t < targets.count; ++t) {
            for (std::ptrdiff_t s = 0; s < targets.count; ++s) sums.of_targets(t, s) += dot(spectrum(planes + t), spectrum(planes + s));
        }
        for (std::ptrdiff_t t = planes; t < planes + targets.count; ++t) {
            fourier.forward(spectrum(t), spectrum(t) + size, stride);
        }
    }

    // Adds those with Q of a plane.
    void add_products(std::ptrdiff_t square, std::ptrdiff_t q, std::ptrdiff_t factors) {
        const Reader<Real> plane = plane_of<Real>(pair, q);
        double* const other = spectrum(planes + targets.count);
        Seen of_other;
        for (std::ptrdiff_t i = 0; i < 2; ++i) {
            take([&](auto... where) { plane.row(where...); }, square + i, true, other + i * size, of_other);
        }
        fourier.forward(other, other + size, stride);
        Fourier<double>::for_runs(squares.side, stride, [&](std::ptrdiff_t i) {
            for (std::ptrdiff_t f = 0; f < factors; ++f) multiply(spectrum(f) + i, other + i, products(f, q) + i);
        });
        for (std::ptrdiff_t f = 0; f < factors; ++f) {
            const double length = __builtin_sqrt(seen[f].squares) * __builtin_sqrt(of_other.squares);
            bounds[f * planes + q] += seen[f].whole && of_other.whole ? length : __builtin_inf();
        }
    }

    // One square's pixels, and zeros; of one that does not exist all are zeros.
    template <class Read>
    void take(const Read& read, std::ptrdiff_t square, bool reach, double* to, Seen& pixels) const {
        if (square >= squares.count()) {
            __builtin_memset(to, 0, std::size_t(size) * sizeof(double));
            return;
        }
        squares.for_pieces(square, [&](const LagSquares::Piece& piece) {
            const Area& area = reach ? piece.reach : piece.tile;
            const std::ptrdiff_t at = reach ? piece.reach_at : piece.tile_at;
            double* row = to;
            for (std::ptrdiff_t r = 0; r < squares.side; ++r, row += stride) {
                const std::ptrdiff_t n = r < area.rows ? area.columns : 0, filled = round_up(n, lanes<double>);
                for (std::ptrdiff_t c = piece.begin; c < at; ++c) row[c] = 0;
                if (n > 0) {
                    read(area.top + r, area.left, n, one_row, filled);
                    pixels.add(one_row, filled);
                    __builtin_memcpy(row + at, one_row, std::size_t(n) * sizeof(double));
                }
                for (std::ptrdiff_t c = at + n; c < piece.end; ++c) row[c] = 0;
            }
        });
    }

    // to += conj(a) b, of a run of a spectrum.
    void multiply(const double* a, const double* b, double* to) const {
        for (std::ptrdiff_t j = 0; j < squares.side; j += lanes<double>) {
            const Vec<double> a_re = load(a + j), a_im = load(a + size + j), b_re = load(b + j), b_im = load(b + size + j);
            store(to + j, load(to + j) + a_re * b_re + a_im * b_im);
            store(to + size + j, load(to + size + j) + a_re * b_im - a_im * b_re);
        }
    }

    double dot(const double* a, const double* b) const {
        double sum = 0;
        for (std::ptrdiff_t row = 0; row < 2 * size; row += stride) {
            Vec<double> of_row{};
            for (std::ptrdiff_t j = row; j < row + squares.side; j += lanes<double>) of_row += load(a + j) * load(b + j);
            for (std::ptrdiff_t i = 0; i < lanes<double>; ++i) sum += of_row[i];
        }
        return sum;
    }

    // An entry is off by no more than `bound` times this. Each number of a transform is a sum by log2(side^2) steps, in each of which it is
    // added and turned by a root: off by 16 half-units of the last place, of which 10 are the root's. There are three transforms, and
    // up to 40 pairs of squares (Higham 2002, theorem 24.2; Cauchy and Schwarz, for the products).
    double rounding() const {
        double levels = 0;
        for (std::ptrdiff_t n = squares.side; n > 1; n /= 2) levels += 2;
        return 0x1p-53 * (3 * 16 * levels + 64);
    }

    // Where all numbers were whole, and the result can be off by less than a quarter, the whole number that it is.
    void put(std::ptrdiff_t f, std::ptrdiff_t q) const {
        double* const re = products(f, q);
        fourier.inverse(re, re + size, stride);
        const double scale = 1 / double(squares.side * squares.side);
        const bool exact = bounds[f * planes + q] * rounding() < 0.25;
        const auto value = [&](double a) { return exact ? __builtin_rint(a * scale) : a * scale; };
        double* const to = f < planes ? sums.forward(f, q) : sums.cross(f - planes, q);
        double* const back = f < planes ? sums.backward(q, f) : nullptr;
        for (std::ptrdiff_t dy = 0; dy < pair.kh; ++dy) {
            const double* const none = re + dy * stride + squares.more;  // lag 0
            for (std::ptrdiff_t dx = 0; dx < pair.kw; ++dx) to[dy * pair.kw + dx] += value(none[dx]);
            for (std::ptrdiff_t dx = 1; back && dy > 0 && dx < pair.kw; ++dx) back[dy * pair.kw + dx] += value(none[-dx]);
        }
    }

    const Pair& pair;
    const LagSquares squares;
    const std::ptrdiff_t stride, size;  // of a row, and of a real or imaginary part
    const Targets<Real> targets;
    const std::ptrdiff_t planes;
    const LagSums<double> sums;
    const Fourier<double> fourier;
    double *const one_row, *const spectra, *const found;
    Seen* const seen;      // of each factor, in two squares
    double* const bounds;  // of each sum of products: the lengths of what was multiplied; infinite where not all was whole
};

static void add_lags_by_fft(const Pair& pair, const Area& area, std::ptrdiff_t side, double* sums, char* memory) {
    LagsByFft(pair, area, side, sums, memory).run();
}

}  // namespace CORR2D_ISA
}  // namespace corr2d
