"""Beyond image and result, a call takes 64 MB at most, whatever the picture."""

import subprocess
import sys

import pytest

LIMIT = 64 << 20

# A fresh process for each case: what one call leaves behind would hide what the next one takes.
CHILD = """
import os, resource, sys
import numpy as np
from corr2d.correlate import corr2d


def peak():
    # Not ru_maxrss where this can be had: on Linux that begins at the peak of the process that started us.
    try:
        with open("/proc/self/status") as status:
            return 1024 * int(next(line for line in status if line.startswith("VmHWM")).split()[1])
    except (OSError, StopIteration):
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used if sys.platform == "darwin" else 1024 * used


def picture(*shape, dtype="f4", bad=None):
    image = np.ones(shape, dtype)
    if bad is not None:
        image[tuple(n // 2 for n in shape)] = bad
    return image


def noise(*shape):
    return np.random.default_rng(0).standard_normal(shape)


def growth(image, kernel, algorithm, out=None, dtype=None, cpus=None, padding="same", **options):
    if cpus is not None:  # as many threads as on such a machine: the pool goes by this, and the plan
        os.sched_getaffinity = lambda _: set(range(cpus))
    out = np.ones(image.shape if out is None else out, image.dtype if dtype is None else dtype)
    corr2d(np.ones((9, 9)), np.ones((3, 3)))
    before = peak()
    corr2d(image, kernel, algorithm=algorithm, padding=padding, out=out, **options)
    return peak() - before
"""

# Most pictures are so large that a copy of one in float32, or a result of which every s-th is taken later,
# would be over the limit by itself.
CALLS = [
    "picture(4400, 4400), noise(3, 3), 'direct'",
    "picture(4400, 4400), noise(15, 15), 'direct', cpus=16, threads=16",
    "picture(750, 750), noise(700, 700), 'direct', padding='valid', out=(51, 51)",
    "picture(4400, 4400), np.ones((31, 31)), 'separable', threads=1",
    "picture(1100, 2500), np.ones((1001, 1001)), 'separable', padding='valid', out=(100, 1500)",
    "picture(1100, 2500), np.ones((1001, 1001)), 'separable', padding='valid', out=(100, 1500), cpus=16",
    "picture(4400, 4400), noise(127, 127), 'fft', cpus=16",
    "picture(4400, 4400, bad=np.nan), noise(127, 127), 'fft'",
    "picture(1500, 1500), noise(700, 700), 'fft'",
    "picture(1200, 1200), noise(700, 700), 'fft', cpus=16, threads=16",
    # Types, and places in memory
    "picture(9000, 9000, dtype='u1'), noise(3, 3), 'direct'",
    "picture(3000, 3000, dtype='f8'), noise(127, 127), 'fft'",
    "picture(3000, 3000, dtype='>f8'), np.ones((5, 5)), 'direct', dtype='i8'",
    "picture(4400, 4400).T, noise(31, 31), 'fft'",
    "picture(20, 1000, 1000), noise(9, 9), 'direct'",
    "picture(6, 3_000_000), noise(3, 3), 'auto'",
    # Stride and dilation
    "picture(4400, 4400), noise(3, 3), 'direct', stride=2, out=(2200, 2200)",
    "picture(4400, 4400), np.ones((31, 31)), 'separable', stride=2, dilation=3, out=(2200, 2200)",
    "picture(4400, 4400), noise(31, 31), 'fft', stride=(2, 1), dilation=2, out=(2200, 4400)",
    "picture(4400, 4400), noise(5, 4), 'direct', dilation=100",
    "picture(2000, 2000), noise(3, 3), 'auto', dilation=300",
    "picture(600_000, 4, 5), noise(3, 3), 'auto', dilation=3",
    # Mixing
    "picture(1500, 1500, 8), noise(4, 8, 3, 3), 'auto', channel_axis=-1, out=(1500, 1500, 4)",
    "picture(8, 3000, 3000, dtype='u1'), noise(3, 8, 3, 3), 'direct', out=(3, 3000, 3000)",
    "picture(8, 1500, 1500), np.ones((2, 8, 31, 31)), 'separable', out=(2, 1500, 1500)",
    "picture(64, 150, 150), noise(32, 64, 15, 15), 'fft', out=(32, 150, 150)",
]


@pytest.mark.parametrize("call", CALLS)
def test_a_call_takes_little_memory_of_its_own(call):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{CHILD}\nprint(growth({call}))"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) <= LIMIT, f"{int(done.stdout) / 2**20:.0f} MB"
