// The SIMD vector of one instruction set, by compiler vector extensions: `+` and `*` work lane by lane, and
// a * b + c becomes one fused instruction where the machine has it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace corr2d {
namespace CORR2D_ISA {

// The compiler must inline these: an accumulator whose address is taken lives in memory, at half the speed.
#define CORR2D_INLINE inline __attribute__((always_inline))

// Register tiles: `tile_rows` output rows x `tile_vectors` vectors. The accumulators, one loaded vector a column and one
// broadcast weight must fit the register file: 32 registers on AVX-512 and NEON, 16 on SSE2 and AVX2.
#if defined(__AVX512F__)
static constexpr std::ptrdiff_t vector_bytes = 64;
static constexpr bool many_registers = true;
#elif defined(__AVX2__)
static constexpr std::ptrdiff_t vector_bytes = 32;
static constexpr bool many_registers = false;
#elif defined(__aarch64__)
static constexpr std::ptrdiff_t vector_bytes = 16;
static constexpr bool many_registers = true;
#else
static constexpr std::ptrdiff_t vector_bytes = 16;
static constexpr bool many_registers = false;
#endif
static constexpr int tile_rows = 6, tile_vectors = many_registers ? 4 : 2;

template <class T>
struct VectorOf {
    typedef T type __attribute__((vector_size(vector_bytes)));
};
template <class T>
using Vec = typename VectorOf<T>::type;

template <class T>
static constexpr std::ptrdiff_t lanes = vector_bytes / std::ptrdiff_t(sizeof(T));

// What comparing vectors gives: lanes of -1 and 0.
template <class T>
using Mask = decltype(Vec<T>{} < Vec<T>{});
template <class T>
using Lane = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

template <class T>
static inline Vec<T> load(const T* p) {
    Vec<T> a;
    __builtin_memcpy(&a, p, sizeof a);
    return a;
}

// A loaded vector that stays in its register. GCC would else load it again for each of two or three sums, as an operand of their
// multiply-adds; most such loads cross a cache line, and take twice as long as the multiply-add.
template <class Vector>
static CORR2D_INLINE Vector keep(Vector a) {
#if defined(__AVX512F__)
    asm("" : "+v"(a));
#elif defined(__SSE2__)
    asm("" : "+x"(a));
#elif defined(__aarch64__)
    asm("" : "+w"(a));
#endif
    return a;
}
template <class T>
static CORR2D_INLINE Vec<T> load_once(const T* p) {
    return keep(load(p));
}

template <class T>
static inline void store(T* p, Vec<T> a) {
    __builtin_memcpy(p, &a, sizeof a);
}

// Whether a lane of a comparison holds.
template <class M>
static CORR2D_INLINE bool any(M mask) {
#if defined(__AVX512F__)
    return _mm512_test_epi64_mask(__m512i(mask), __m512i(mask)) != 0;
#elif defined(__AVX2__)
    return _mm256_testz_si256(__m256i(mask), __m256i(mask)) == 0;
#elif defined(__SSE2__)
    return _mm_movemask_epi8(__m128i(mask)) != 0;
#else
    std::uint64_t words[sizeof mask / 8], all = 0;
    __builtin_memcpy(words, &mask, sizeof words);
    for (const std::uint64_t word : words) all |= word;
    return all != 0;
#endif
}

// The greater and the lesser of each lane, b where one of them is NaN: one instruction on x86, which `a > b ? a : b` is not.
#if defined(__AVX512F__)
static CORR2D_INLINE Vec<float> greater(Vec<float> a, Vec<float> b) { return _mm512_maskz_max_ps(-1, a, b); }
static CORR2D_INLINE Vec<float> lesser(Vec<float> a, Vec<float> b) { return _mm512_maskz_min_ps(-1, a, b); }
static CORR2D_INLINE Vec<double> greater(Vec<double> a, Vec<double> b) { return _mm512_maskz_max_pd(-1, a, b); }
static CORR2D_INLINE Vec<double> lesser(Vec<double> a, Vec<double> b) { return _mm512_maskz_min_pd(-1, a, b); }
#elif defined(__AVX2__)
static CORR2D_INLINE Vec<float> greater(Vec<float> a, Vec<float> b) { return _mm256_max_ps(a, b); }
static CORR2D_INLINE Vec<float> lesser(Vec<float> a, Vec<float> b) { return _mm256_min_ps(a, b); }
static CORR2D_INLINE Vec<double> greater(Vec<double> a, Vec<double> b) { return _mm256_max_pd(a, b); }
static CORR2D_INLINE Vec<double> lesser(Vec<double> a, Vec<double> b) { return _mm256_min_pd(a, b); }
#elif defined(__SSE2__)
static CORR2D_INLINE Vec<float> greater(Vec<float> a, Vec<float> b) { return _mm_max_ps(a, b); }
static CORR2D_INLINE Vec<float> lesser(Vec<float> a, Vec<float> b) { return _mm_min_ps(a, b); }
static CORR2D_INLINE Vec<double> greater(Vec<double> a, Vec<double> b) { return _mm_max_pd(a, b); }
static CORR2D_INLINE Vec<double> lesser(Vec<double> a, Vec<double> b) { return _mm_min_pd(a, b); }
#else
template <class V>
static CORR2D_INLINE V greater(V a, V b) { return a > b ? a : b; }
template <class V>
static CORR2D_INLINE V lesser(V a, V b) { return a < b ? a : b; }
#endif

// Not std::min and its kind: an inline function of the library, compiled here for AVX-512, could be the copy that the
// linker keeps for everyone.
static inline std::ptrdiff_t min(std::ptrdiff_t a, std::ptrdiff_t b) { return a < b ? a : b; }
static inline std::ptrdiff_t max(std::ptrdiff_t a, std::ptrdiff_t b) { return a < b ? b : a; }
static inline std::ptrdiff_t clamp(std::ptrdiff_t a, std::ptrdiff_t lo, std::ptrdiff_t hi) { return min(max(a, lo), hi); }
static inline std::ptrdiff_t round_up(std::ptrdiff_t a, std::ptrdiff_t step) { return (a + step - 1) / step * step; }

}  // namespace CORR2D_ISA
}  // namespace corr2d
