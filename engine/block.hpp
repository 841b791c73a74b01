// Memory for a large result. What was let go last is kept for the next: the system clears the pages that it hands out, which takes as
// long as a 5 x 5 kernel over them, and malloc keeps nothing beyond 32 MiB.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace corr2d {

class Block {
  public:
    explicit Block(std::size_t bytes) : bytes(bytes), memory(taken(bytes)) {}
    ~Block() {
#if defined(__SANITIZE_ADDRESS__)
        release(memory);  // so that a use after this is seen
#else
        release(kept.exchange(memory));
#endif
    }
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;

    char* get() const { return memory->at; }

    const std::size_t bytes;

  private:
    struct Memory {
        char* at;
        std::size_t bytes;
    };

    // One exchange: no thread waits, nor does a child that was forked meanwhile.
    static inline std::atomic<Memory*> kept{nullptr};

    static Memory* taken(std::size_t bytes) {
        Memory* const spare = kept.exchange(nullptr);
        if (spare && spare->bytes >= bytes) return spare;
        release(spare);
        constexpr std::size_t huge_page = 2 << 20;
        void* const at = std::aligned_alloc(huge_page, (bytes + huge_page - 1) / huge_page * huge_page);
        if (!at) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
        madvise(at, bytes, MADV_HUGEPAGE);  // fewer faults, where the system has them; else nothing is lost
#endif
        return new Memory{static_cast<char*>(at), bytes};
    }
    static void release(Memory* memory) {
        if (!memory) return;
        std::free(memory->at);
        delete memory;
    }

    Memory* const memory;
};

}  // namespace corr2d
