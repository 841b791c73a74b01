#pragma once
#include <cstddef>

namespace corr2d {

// out[i] = sum over j of matrix[i, j] * vector[j], `rows` rows that lie one after the other: to about the last bit, even
// where the products cancel to 1e-30 of their size.
void fill_exact_products(const double* matrix, std::ptrdiff_t rows, std::ptrdiff_t columns, const double* vector, double* out);

}  // namespace corr2d
