"""Peak memory beyond image and output: python memory.py PEER KERNEL K ALGORITHM SIDE measures one call.

The largest resident size that the system ever saw is compared with what it was before the call, when the
image and `out` were already in memory. It never falls, hence the fresh process, never the one that times.
"""

import json
import resource
import subprocess
import sys

import numpy as np
from peers import make_kernel

from corr2d import corr2d

UNIT = 1 if sys.platform == "darwin" else 1024


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def megabytes(peer: str, kind: str, k: int, algorithm: str, side: int) -> float:
    """Ask a fresh process.

    It inherits the peak of the one that starts it (Linux), which must therefore be smaller than two pictures.
    """
    command = [sys.executable, __file__, peer, kind, str(k), algorithm, str(side)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def measure(peer: str, kind: str, k: int, algorithm: str, side: int) -> float:
    rng = np.random.default_rng(k)
    kernel = make_kernel(rng, kind, k, np.dtype(np.float32))
    image, out = np.empty((side, side), np.float32), np.zeros((side, side), np.float32)
    rng.random(out=image, dtype=np.float32)
    out[:] = 1
    if peer == "cv2.filter2D":
        import cv2

        before = peak()
        cv2.filter2D(image, -1, kernel, dst=out, borderType=cv2.BORDER_REFLECT_101)
    else:
        before = peak()
        corr2d(image, kernel, padding="same", mode="mirror", out=out, algorithm=algorithm)
    return (peak() - before) / 1e6


if __name__ == "__main__":
    peer, kind, k, algorithm, side = sys.argv[1:]
    print(json.dumps(measure(peer, kind, int(k), algorithm, int(side))))
