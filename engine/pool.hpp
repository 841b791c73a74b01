// The one pool of threads. It knows nothing of Python: whoever calls holds no lock of the interpreter.
#pragma once
#include <cstddef>
#include <functional>

namespace corr2d {

// Calls task(0) to task(n - 1), each once, in any order, from the caller and at most threads - 1 others.
//
// The caller works too, so this returns even when every thread of the pool is busy elsewhere, and it calls `between` after
// each of its own tasks. What a task or `between` throws is thrown here, once all that were begun have ended; no further one
// is begun.
void for_each_task(std::ptrdiff_t n, std::ptrdiff_t threads, const std::function<void(std::ptrdiff_t)>& task,
                   const std::function<void()>& between);

}  // namespace corr2d
