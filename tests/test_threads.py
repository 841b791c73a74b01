import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from test_correlate import random_image

from corr2d import threads as pool
from corr2d.correlate import corr2d

KERNEL = random_image((5, 6))


def run_python(code):
    """The output of a fresh interpreter, in which warnings are errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("threads", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
@pytest.mark.parametrize("shape", [(3, 40), (101, 67), (3, 50, 33), (2, 1, 100)])
def test_the_same_bits_for_any_number_of_threads(shape, dtype, threads):
    image = random_image(shape, dtype)
    for options in (
        {"padding": "same", "mode": "mirror"},
        {"padding": 7},
        {"padding": "full", "dtype": "i2"},
    ):
        options["algorithm"] = "direct"  # the others: test_algorithms.py
        expected = corr2d(image, KERNEL, threads=1, **options)
        assert corr2d(image, KERNEL, threads=threads, **options).tobytes() == expected.tobytes()


@pytest.mark.parametrize("size", [(2, 3), (6, 5), (13, 11)])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_same_bits_wherever_the_rows_are_cut(dtype, size):
    # A row alone, two, six, and the rest each take another path through the register tiles.
    image, kernel = random_image((40, 150), dtype), random_image(size)
    direct = partial(corr2d, algorithm="direct")
    whole = direct(image, kernel)
    for rows in range(1, 20):
        for y in range(0, whole.shape[0] - rows + 1, 7):
            part = direct(image[y : y + rows + size[0] - 1], kernel)
            assert part.tobytes() == whole[y : y + rows].tobytes()
    for x in range(1, 100, 13):
        assert direct(image[:, x:], kernel).tobytes() == whole[:, x:].tobytes()


def test_sixteen_threads_at_once_give_right_answers():
    images = [random_image((300 + i, 200), seed=i) for i in range(16)]
    expected = [corr2d(image, KERNEL, threads=1) for image in images]
    start = threading.Barrier(16)

    def call(image):
        start.wait()
        return [corr2d(image, KERNEL, threads=3) for _ in range(3)]

    with ThreadPoolExecutor(16) as executor:
        for ours, truth in zip(executor.map(call, images), expected, strict=True):
            assert all(result.tobytes() == truth.tobytes() for result in ours)


def test_works_inside_a_pool_that_is_full():
    image = random_image((400, 300))
    expected = corr2d(image, KERNEL, threads=1)
    with ThreadPoolExecutor(1) as executor:
        assert (
            executor.submit(corr2d, image, KERNEL, threads=8).result(timeout=30).tobytes()
            == expected.tobytes()
        )


def test_works_while_every_thread_of_its_own_pool_is_busy():
    image, slow = random_image((400, 300)), random_image((800, 800))
    expected = corr2d(image, KERNEL, threads=1)
    with ThreadPoolExecutor(2 * pool.usable_cpus()) as executor:
        busy = [
            executor.submit(corr2d, slow, np.ones((61, 61)), threads=8, algorithm="direct")
            for _ in range(2 * pool.usable_cpus())
        ]
        assert corr2d(image, KERNEL, threads=4).tobytes() == expected.tobytes()
        results = {future.result(timeout=60).tobytes() for future in busy}
    assert len(results) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_works_after_fork():
    run_python("""
        import os, signal, warnings
        import numpy as np
        from corr2d.correlate import corr2d
        # Python 3.12 warns of any fork beside threads; that it works here is the point.
        warnings.filterwarnings("ignore", ".*multi-threaded.*fork", DeprecationWarning)
        image = np.random.default_rng(0).random((1000, 1000))
        expected = corr2d(image, np.ones((5, 5)), threads=3)
        child = os.fork()
        if child == 0:
            signal.alarm(30)  # a child that waits for threads it does not have
            right = np.array_equal(corr2d(image, np.ones((5, 5)), threads=3), expected)
            # By threads of its own.
            tasks = len(os.listdir("/proc/self/task")) if os.path.exists("/proc/self/task") else 2
            os._exit(0 if right and tasks > 1 else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert np.array_equal(corr2d(image, np.ones((5, 5)), threads=3), expected)
    """)


@pytest.mark.parametrize(
    ("shape", "kernel_shape"),
    [((3000, 3000), (41, 41)), ((1, 3_000_000), (1, 3000)), ((60, 60), (1000, 1000))],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_is_heard_between_two_bands(shape, kernel_shape, threads):
    image, kernel = np.ones(shape), np.ones(kernel_shape)
    pressed = []

    def press():
        time.sleep(0.1)
        pressed.append(time.perf_counter())
        signal.raise_signal(signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        corr2d(image, kernel, padding="same", mode="wrap", threads=threads, algorithm="direct")
    heard = time.perf_counter() - pressed[0]
    presser.join()
    assert heard < 5  # 0.5 on a quiet machine; the whole call would take minutes
    assert corr2d(np.ones((9, 9)), np.ones((3, 3)), threads=2)[0, 0] == 9


@pytest.mark.parametrize("where", [0, 3, 9])
def test_an_error_in_a_task_is_raised_once_and_the_pool_goes_on(where):
    begun = []

    def work(i):
        begun.append(i)
        if i == where:
            raise MemoryError("no room")

    tasks = [partial(work, i) for i in range(10)]
    with pytest.raises(MemoryError, match="no room"):
        pool.run_all(tasks, 1)
    assert begun == list(range(where + 1))  # and no further task is begun
    with pytest.raises(MemoryError, match="no room"):
        pool.run_all(tasks, 4)
    assert pool.run_all([partial(str, i) for i in range(10)], 4) == list("0123456789")


def test_an_error_in_a_helper_is_raised_in_the_caller():
    caller, helped, begun = threading.get_ident(), threading.Event(), []

    def work():
        begun.append(None)
        if threading.get_ident() == caller:
            assert helped.wait(30)
            time.sleep(0.1)  # for the error to arrive
        else:
            helped.set()
            raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        pool.run_all([work] * 10, 2)
    assert len(begun) == 2  # and no further task is begun


def test_a_pool_that_cannot_grow_is_waited_for(monkeypatch):
    # As where the system gives no second thread: submit() raises after one helper is at work.
    class OneThread(ThreadPoolExecutor):
        def submit(self, work) -> Future:
            if self._threads:
                raise RuntimeError("can't start new thread")
            return super().submit(work)

    done, begun = [], threading.Event()

    def work(i):
        if i == 0 or not begun.is_set():
            begun.set()
            time.sleep(0.2)
        done.append(i)

    with OneThread(4) as executor:
        monkeypatch.setattr(pool, "_pool", executor)
        pool.run_all([partial(work, i) for i in range(4)], 4)
        assert sorted(done) == [0, 1, 2, 3]


def test_works_while_the_interpreter_shuts_down():
    code = """
        import atexit
        import numpy as np
        from corr2d.correlate import corr2d
        image = np.ones((2000, 500))
        {before}
        atexit.register(lambda: print(corr2d(image, np.ones((3, 3)), threads=4).sum()))
    """
    for before in ("pass", "corr2d(image, np.ones((3, 3)), threads=4)"):
        assert float(run_python(code.format(before=before))) == 1998 * 498 * 9


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="needs /proc")
def test_threads_are_started_for_large_pictures_alone():
    out = run_python("""
        import os
        import numpy as np
        from corr2d.correlate import corr2d
        def count():
            return len(os.listdir("/proc/self/task"))
        before = count()
        corr2d(np.ones((100, 100)), np.ones((3, 3)))
        small = count()
        corr2d(np.ones((1000, 1000)), np.ones((3, 3)), threads=2)
        print(small - before, count() - before)
    """)
    assert out.split() == ["0", "1"]


LIMITED = """
    import os, resource
    import numpy as np
    from corr2d.correlate import corr2d
    def limit_memory(megabytes):
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[0])
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        beyond = resource.RLIM_INFINITY
        if megabytes is not None:
            beyond = pages * resource.getpagesize() + megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (beyond, hard))
    image, kernel = np.random.default_rng(0).random((700, 700)), np.random.default_rng(1).random((5, 5))
    before, out = len(os.listdir("/proc/self/task")), np.empty((696, 696))
    expected = corr2d(image, kernel, threads=1)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="needs /proc")
def test_a_pool_that_gets_no_threads_leaves_the_work_to_the_caller():
    code = """
    limit_memory(4)  # less than the stack of a thread
    corr2d(image, kernel, threads=8, out=out)
    limit_memory(None)
    print(len(os.listdir("/proc/self/task")) == before, np.array_equal(out, expected))
    corr2d(image, kernel, threads=2, out=out)
    print(len(os.listdir("/proc/self/task")) > before, np.array_equal(out, expected))
    """
    assert run_python(LIMITED + code).split() == ["True"] * 4


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="needs /proc")
@pytest.mark.parametrize("threads", [1, 3])
def test_too_little_memory_is_an_error_and_the_pool_goes_on(threads):
    code = f"""
    large, square = np.ones((301, 301)), np.empty_like(image)
    corr2d(image, kernel, threads={threads}, out=out)
    limit_memory(1)  # less than the spectra of large tiles
    try:
        corr2d(image, large, threads={threads}, algorithm="fft", padding="same", out=square)
    except MemoryError:
        print("MemoryError")
    limit_memory(None)
    corr2d(image, kernel, threads={threads}, out=out)
    print(np.array_equal(out, expected))
    """
    assert run_python(LIMITED + code).split() == ["MemoryError", "True"]


def test_usable_cpus_counts_what_this_process_may_use():
    if not hasattr(os, "sched_setaffinity"):
        assert pool.usable_cpus() == os.cpu_count()
        return
    out = run_python("""
        import os
        from corr2d.threads import usable_cpus
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
        print(usable_cpus())
    """)
    assert out == "1\n"


@pytest.mark.parametrize(("tasks", "threads"), [(0, 3), (1, 1), (10, 2), (100, 5)])
def test_every_task_is_run_once_and_answers_in_its_place(tasks, threads):
    seen = []

    def work(i):
        seen.append(i)
        return -i

    assert pool.run_all([partial(work, i) for i in range(tasks)], threads) == [-i for i in range(tasks)]
    assert sorted(seen) == list(range(tasks))
