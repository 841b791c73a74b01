"""The one pool of threads: bands of rows are handed out to it and to the caller."""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

_pool: ThreadPoolExecutor | None = None


def usable_cpus() -> int:
    """Count the CPUs that this process may run on, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
    # The interpreter is shutting down, or may start no more threads: the caller makes do with those it got, and
    # must still wait for them (test_a_pool_that_cannot_grow_is_waited_for).
    with suppress(RuntimeError):
        for _ in range(helpers):
            started.append(_pool.submit(work))  # noqa: PERF401 (a comprehension would lose them)
    return started


def run_bands(work: Callable[[int, int], None], rows: int, step: int, threads: int) -> None:
    """Call ``work(begin, end)`` for bands of `step` rows until all `rows` are done, in any order.

    The caller works too, so this returns even when every thread of the pool is busy elsewhere. Between two
    bands the main thread sees Ctrl-C; what `work` raises is raised here, and no further band is begun.
    """
    begins = deque(range(0, rows, step))

    def drain() -> None:
        while True:
            try:
                begin = begins.popleft()  # atomic: each band goes to one thread
            except IndexError:
                return
            try:
                work(begin, min(begin + step, rows))
            except BaseException:
                begins.clear()
                raise

    helpers = _start(drain, min(threads, len(begins)) - 1)
    try:
        drain()
    finally:
        begins.clear()
        for helper in helpers:
            if not helper.cancel():
                helper.result()
