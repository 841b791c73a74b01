#include "pool.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace corr2d {
namespace {

// Waking a sleeping thread takes 50 to 100 us in a virtual machine. So who waits looks for as long first: pictures come in
// series.
template <class Ready>
void watch_for(const Ready& ready) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(100);
    while (!ready() && std::chrono::steady_clock::now() < end) {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
    }
}

// What one caller wants done. It lies on the caller's stack: the caller waits until no thread is at work on it.
struct Call {
    const std::ptrdiff_t n;
    const std::function<void(std::ptrdiff_t)>& task;
    std::atomic<std::ptrdiff_t> next{0};
    std::ptrdiff_t wanted;     // threads that may still join: this and what follows changes under Pool::mutex alone
    std::exception_ptr error;  // the first that one of them met
    std::condition_variable ended;
    std::atomic<std::ptrdiff_t> at_work{0};  // threads that joined

    Call(std::ptrdiff_t n, const std::function<void(std::ptrdiff_t)>& task, std::ptrdiff_t wanted)
        : n(n), task(task), wanted(wanted) {}

    void work(const std::function<void()>& between) {
        try {
            for (std::ptrdiff_t i = next++; i < n; i = next++) {
                task(i);
                between();
            }
        } catch (...) {
            next = n;
            throw;
        }
    }
};

class Pool {
  public:
    void run(Call& call, const std::function<void()>& between) {
        const std::ptrdiff_t asked = enter(call);
        for (std::ptrdiff_t i = 0; i < asked; ++i) begun.notify_one();
        try {
            call.work(between);
        } catch (...) {
            leave(call);
            throw;
        }
        leave(call);
        if (call.error) std::rethrow_exception(call.error);
    }

  private:
    std::ptrdiff_t enter(Call& call) {
        const std::lock_guard<std::mutex> lock(mutex);
        while (size < call.wanted && start()) ++size;
        call.wanted = std::min(call.wanted, size);
        if (call.wanted > 0) calls.push_back(&call);
        waiting = !calls.empty();
        return call.wanted;
    }

    // The system may give no more threads: the caller makes do with those there are.
    bool start() {
        try {
            std::thread(&Pool::serve, this).detach();
        } catch (const std::system_error&) {
            return false;
        }
        return true;
    }

    void leave(Call& call) {
        {
            const std::lock_guard<std::mutex> lock(mutex);
            calls.erase(std::remove(calls.begin(), calls.end(), &call), calls.end());
            waiting = !calls.empty();
        }
        watch_for([&] { return call.at_work == 0; });
        std::unique_lock<std::mutex> lock(mutex);  // the last one may still hold it
        call.ended.wait(lock, [&] { return call.at_work == 0; });
    }

    void serve() {
        std::unique_lock<std::mutex> lock(mutex);
        for (;;) {
            begun.wait(lock, [&] { return !calls.empty(); });
            Call& call = *calls.front();
            ++call.at_work;
            if (--call.wanted == 0) calls.pop_front();
            waiting = !calls.empty();
            lock.unlock();
            std::exception_ptr error;
            try {
                call.work([] {});
            } catch (...) {
                error = std::current_exception();
            }
            lock.lock();
            if (error && !call.error) call.error = error;
            if (--call.at_work == 0) call.ended.notify_one();
            if (calls.empty()) {
                lock.unlock();
                watch_for([&] { return waiting.load(); });
                lock.lock();
            }
        }
    }

    std::mutex mutex;
    std::condition_variable begun;
    std::deque<Call*> calls;           // that want more threads
    std::atomic<bool> waiting{false};  // whether there are any
    std::ptrdiff_t size = 0;
};

// Never destroyed: its threads wait in it until the process ends. A forked child has none of them, and a mutex that may have
// been locked: it makes a pool of its own.
Pool* the_pool = nullptr;

void renew_pool() { the_pool = new Pool; }

Pool& pool() {
    static const bool made = [] {
        renew_pool();
#if defined(__unix__) || defined(__APPLE__)
        pthread_atfork(nullptr, nullptr, renew_pool);
#endif
        return true;
    }();
    static_cast<void>(made);
    return *the_pool;
}

}  // namespace

void for_each_task(std::ptrdiff_t n, std::ptrdiff_t threads, const std::function<void(std::ptrdiff_t)>& task,
                   const std::function<void()>& between) {
    static const std::ptrdiff_t most = std::max(1u, std::thread::hardware_concurrency());
    Call call(n, task, std::min({threads, n, most}) - 1);
    if (call.wanted > 0) {
        pool().run(call, between);
    } else {
        call.work(between);
    }
}

}  // namespace corr2d
