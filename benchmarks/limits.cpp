// What this chip can do at most: multiply-adds, and copying memory, on so many threads at once.
//
// A program of its own, because NumPy cannot ask this: its fastest matrix product falls short of the peak by an amount
// that depends on the BLAS. It stays alive and answers one line for each line it reads, so that benchmarks/limits.py
// can ask it between the calls of corr2d: that tells whether they had the whole machine, which others may share.
//
//     multiply-add peak  ->  10^9 float32 operations a second (a multiply-add counts as two)
//     copy bandwidth     ->  10^9 bytes a second, read and written
//
// Each burst lasts some 10 ms: as long as the calls it is held against. Starting the threads is not timed.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

// Sums that do not wait for each other: 4 units of 4 steps each are kept busy by 16, 2 of 5 by 10. They and two constants
// must fit the registers, 32 on AVX-512 and NEON and 16 elsewhere.
#if defined(__AVX512F__)
constexpr std::ptrdiff_t kVectorBytes = 64, kSums = 24;
#elif defined(__aarch64__)
constexpr std::ptrdiff_t kVectorBytes = 16, kSums = 24;
#elif defined(__AVX__)
constexpr std::ptrdiff_t kVectorBytes = 32, kSums = 12;
#else
constexpr std::ptrdiff_t kVectorBytes = 16, kSums = 12;
#endif

using Vector = float __attribute__((vector_size(kVectorBytes)));

// A burst is cut into pieces that each thread takes as it comes to them, as corr2d's bands are: where another process has
// one of the processors, both lose as much.
constexpr std::ptrdiff_t kPieces = 32;  // a thread, of 0.3 ms
constexpr std::ptrdiff_t kSteps = 1 << 16;
constexpr std::ptrdiff_t kCopyBytes = 64 << 20, kCopyPiece = 1 << 20;  // more than most last-level caches

static volatile float sink;

static void multiply_add() {
    // The sums tend to 1, so none becomes a slow denormal; none begins there, or the compiler would see that it stays.
    const Vector factor = Vector{} + 0.999f, term = Vector{} + 1e-3f;
    Vector sums[kSums];
    for (std::ptrdiff_t i = 0; i < kSums; ++i) sums[i] = Vector{} + static_cast<float>(2 + i);
    for (std::ptrdiff_t step = 0; step < kSteps; ++step) {
#pragma GCC unroll 24
        for (Vector& sum : sums) sum = sum * factor + term;
    }
    Vector total{};
    for (const Vector& sum : sums) total += sum;
    sink = total[0];
}

// Seconds from the moment the first thread begins to the moment the last one ends.
template <class Work>
static double seconds(const std::ptrdiff_t threads, const std::ptrdiff_t pieces, const Work work) {
    using Clock = std::chrono::steady_clock;
    std::atomic<std::ptrdiff_t> waiting{threads}, next{0};
    std::vector<Clock::time_point> begun(threads), ended(threads);
    const auto run = [&](const std::ptrdiff_t thread) {
        for (--waiting; waiting.load() > 0;) std::this_thread::yield();
        begun[thread] = Clock::now();
        for (std::ptrdiff_t piece; (piece = next++) < pieces;) work(piece);
        ended[thread] = Clock::now();
    };
    std::vector<std::thread> others;
    for (std::ptrdiff_t thread = 1; thread < threads; ++thread) others.emplace_back(run, thread);
    run(0);
    for (std::thread& other : others) other.join();
    const auto first = *std::min_element(begun.begin(), begun.end());
    const auto last = *std::max_element(ended.begin(), ended.end());
    return std::chrono::duration<double>(last - first).count();
}

int main(const int count, const char* const* const arguments) {
    const std::ptrdiff_t threads = count > 1 ? std::atoi(arguments[1]) : 0;
    if (threads < 1) {
        std::cerr << "usage: limits THREADS\n";
        return 2;
    }
    // Filled, because memory that was never written would all be one page of zeros.
    const std::vector<char> from(kCopyBytes, 1);
    std::vector<char> to(kCopyBytes, 2);
    const auto copy = [&](const std::ptrdiff_t piece) {
        std::memcpy(&to[piece * kCopyPiece], &from[piece * kCopyPiece], kCopyPiece);
    };
    constexpr std::ptrdiff_t floats = kVectorBytes / static_cast<std::ptrdiff_t>(sizeof(float));
    for (std::string limit; std::getline(std::cin, limit);) {
        double done = 0, time = 1;
        if (limit == "multiply-add peak") {
            time = seconds(threads, kPieces * threads, [](std::ptrdiff_t) { multiply_add(); });
            done = 2.0 * floats * kSums * kSteps * kPieces * threads;
        } else if (limit == "copy bandwidth") {
            time = seconds(threads, kCopyBytes / kCopyPiece, copy);
            done = 2.0 * kCopyBytes;
        } else {
            std::cerr << "no such limit: " << limit << '\n';
            return 2;
        }
        std::cout << done / time / 1e9 << std::endl;
    }
}
