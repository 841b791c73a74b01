"""The one pool of threads: bands of rows are handed out to it and to the caller."""

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from numbers import Integral
from typing import TypeVar

T = TypeVar("T")

# Multiply-adds, 100 to 200 us of them. Waking a thread takes up to 100 us.
_WORTH_A_THREAD = 4_000_000

_pool: ThreadPoolExecutor | None = None


def usable_cpus() -> int:
    """Count the CPUs that this process may run on, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resolve_threads(threads: int | None, work: int) -> int:
    """Give the number of threads for so many multiply-adds: `threads` if it is given."""
    if threads is None:
        return usable_cpus() if work > _WORTH_A_THREAD else 1
    if not isinstance(threads, Integral) or threads < 1:
        error = ValueError if isinstance(threads, Integral) else TypeError
        raise error(f"`threads` must be an integer of at least 1, got {threads!r}.")
    return threads


def _forget_pool() -> None:
    # A forked child inherits the object but none of its threads (test_works_after_fork).
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def _start(work: Callable[[], None], helpers: int) -> list[Future[None]]:
    global _pool
    if helpers < 1:
        return []
    if _pool is None:
        _pool = ThreadPoolExecutor(usable_cpus(), thread_name_prefix="corr2d")
    started: list[Future[None]] = []
    # The interpreter is shutting down, or may start no more threads: the caller makes do with those it got,
    # and must still wait for them (test_a_pool_that_cannot_grow_is_waited_for).
    with suppress(RuntimeError):
        for _ in range(helpers):
            started.append(_pool.submit(work))  # noqa: PERF401 (a comprehension would lose them)
    return started


def run_all(tasks: Iterable[Callable[[], T]], threads: int) -> list[T]:
    """Call every task, in any order, and give what they returned, in the order of the tasks.

    The caller works too, so this returns even when every thread of the pool is busy elsewhere. Between two
    tasks the main thread sees Ctrl-C; what a task raises is raised here, and no further one is begun.
    """
    left = deque(enumerate(tasks))
    results: dict[int, T] = {}

    def drain() -> None:
        while True:
            try:
                i, task = left.popleft()  # atomic: each task goes to one thread
            except IndexError:
                return
            try:
                results[i] = task()
            except BaseException:
                left.clear()
                raise

    helpers = _start(drain, min(threads, len(left)) - 1)
    try:
        drain()
    finally:
        left.clear()
        for helper in helpers:
            if not helper.cancel():
                helper.result()
    return [results[i] for i in sorted(results)]
