// Products of a matrix and a vector, as if in three times the digits of float64.
//
// A product is made together with what its rounding leaves, from halves of 26 bits (Dekker 1971); a sum together with what
// its rounding leaves (Knuth 1969), which is summed likewise, and what that leaves once more (Ogita, Rump & Oishi 2005,
// algorithm 4.8, K = 3). Nothing of this survives a * b + c as one rounding or sums in another order: CMakeLists.txt compiles
// this file without contraction, and says why. No instruction set but the baseline's, so that there is one file and the
// same bits everywhere: 18 million products take 0.05 s on one core, where Python's fsum takes 9.
#include "exact.hpp"

#include <vector>

namespace corr2d {
namespace {

typedef double Pair __attribute__((vector_size(16)));  // the vector that each of our machines has

static constexpr std::ptrdiff_t lanes = 2, chains = 2;  // two sums at a time: one waits for itself

template <class T>
inline T add_with_rest(T& sum, T a) {
    const T old = sum;
    sum = old + a;
    const T b = sum - old;
    return (old - (sum - b)) + (a - b);
}

template <class T>
struct Sum {
    T first{}, second{}, third{};

    void add(T a) { third += add_with_rest(second, add_with_rest(first, a)); }

    void add_product(T product, T rest) {
        const T left = add_with_rest(second, add_with_rest(first, product));
        third += left + add_with_rest(second, rest);
    }
};

double rounded(Sum<double> sum) {
    const double rest = add_with_rest(sum.first, sum.second);
    return sum.first + (rest + sum.third);
}

struct Halves {
    Pair high, low;

    explicit Halves(Pair a) {
        const Pair large = a * 134217729.0;  // 2^27 + 1
        high = large - (large - a);
        low = a - high;
    }
};

struct Factor {
    Pair whole;
    Halves halves;
};

inline void add_product(Sum<Pair>& sum, Pair a, const Factor& b) {
    const Halves half(a);
    const Pair product = a * b.whole;
    const Pair rest = ((half.high * b.halves.high - product) + half.high * b.halves.low + half.low * b.halves.high) +
                      half.low * b.halves.low;
    sum.add_product(product, rest);
}

Pair load(const double* p, std::ptrdiff_t count) {
    Pair a{};
    for (std::ptrdiff_t i = 0; i < lanes && i < count; ++i) a[i] = p[i];
    return a;
}

double exact_product(const double* row, std::ptrdiff_t columns, const Factor* factors) {
    Sum<Pair> sums[chains];
    std::ptrdiff_t j = 0;
    for (; j + chains * lanes <= columns; j += chains * lanes) {
        for (std::ptrdiff_t c = 0; c < chains; ++c) {
            Pair a;
            __builtin_memcpy(&a, row + j + c * lanes, sizeof a);
            add_product(sums[c], a, factors[j / lanes + c]);
        }
    }
    for (; j < columns; j += lanes) add_product(sums[0], load(row + j, columns - j), factors[j / lanes]);
    Sum<double> total;
    for (const Sum<Pair>& sum : sums) {
        for (std::ptrdiff_t i = 0; i < lanes; ++i) {
            total.add(sum.first[i]);
            total.add(sum.second[i]);
            total.add(sum.third[i]);
        }
    }
    return rounded(total);
}

}  // namespace

void fill_exact_products(const double* matrix, std::ptrdiff_t rows, std::ptrdiff_t columns, const double* vector, double* out) {
    std::vector<Factor> factors;
    factors.reserve(std::size_t(columns + lanes - 1) / lanes);
    for (std::ptrdiff_t j = 0; j < columns; j += lanes) {
        const Pair b = load(vector + j, columns - j);
        factors.push_back({b, Halves(b)});
    }
    for (std::ptrdiff_t i = 0; i < rows; ++i) out[i] = exact_product(matrix + i * columns, columns, factors.data());
}

}  // namespace corr2d
