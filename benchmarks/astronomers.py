"""The astronomers' programs that find a kernel between two pictures, as lean as their functions allow.

They run in an environment of their own (`make bench-peers`), each as a process that `peer_process.py` talks
to: once warm it says what it found, then it solves again for each line that it is sent, and says how long
that took. Nothing here knows of corr2d.

    python astronomers.py sfft pair.npz answer.npz

Both convolve, where corr2d correlates: their kernels are turned by 180 degrees. The difference of the
pictures, which `learn` does not make, is not timed.
"""

import json
import os
import sys
import time
from importlib.metadata import version

import numpy as np


class Sfft:
    """sfft (Hu et al. 2022) on the CPU: sums by FFTs of whole pictures, which it takes to be periodic.

    Its `Customized_Packet` reads files and makes the difference as well; here is what it calls to solve.
    """

    def __init__(self, before: np.ndarray, after: np.ndarray, k: int, order: int) -> None:
        from sfft.sfftcore.SFFTConfigure import SingleSFFTConfigure

        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        self.pictures = {"PixA_I": before, "PixA_J": after}
        self.options = {"BACKEND_4SUBTRACT": "Numpy", "NUM_CPU_THREADS_4SUBTRACT": cpus, "VERBOSE_LEVEL": 0}
        self.k, self.order = k, order
        self.config = SingleSFFTConfigure.SSC(
            NX=before.shape[0], NY=before.shape[1], KerHW=k // 2, KerPolyOrder=order, BGPolyOrder=0,
            ConstPhotRatio=False, **self.options,
        )  # fmt: skip

    def solve(self) -> None:
        """Find the kernel; this is timed."""
        from sfft.sfftcore.SFFTSubtract import ElementalSFFTSubtract

        self.solution, _ = ElementalSFFTSubtract.ESS(
            **self.pictures, SFFTConfig=self.config, SFFTSolution=None, Subtract=False, **self.options
        )

    def kernel(self) -> np.ndarray:
        """Give its taps, in the middle of the picture."""
        from sfft.utils.SFFTSolutionReader import Realize_MatchingKernel

        rows, columns = self.pictures["PixA_I"].shape
        middle = np.array([[(rows + 1) / 2, (columns + 1) / 2]])
        return Realize_MatchingKernel(middle).FromArray(
            self.solution, N0=rows, N1=columns, L0=self.k, L1=self.k, DK=self.order, Fpq=1
        )[0]

    def difference(self) -> np.ndarray:
        """Give `after` less what the kernel predicts."""
        from sfft.sfftcore.SFFTSubtract import ElementalSFFTSubtract

        return ElementalSFFTSubtract.ESS(
            **self.pictures, SFFTConfig=self.config, SFFTSolution=self.solution, Subtract=True, **self.options
        )[1]


class Ois:
    """ois: Bramich 2008, with an order taps that are polynomials of the place; zeros beyond the border."""

    def __init__(self, before: np.ndarray, after: np.ndarray, k: int, order: int) -> None:
        self.pictures, self.k, self.order = (after, before), k, order

    def solve(self) -> None:
        """Find the kernel; this is timed."""
        import ois

        if self.order:
            # No background: degree 0 is taken for none when it solves, and for one when it predicts (0.2).
            self.fit = ois.AdaptiveBramichStrategy(*self.pictures, (self.k, self.k), None, self.order)
        else:
            self.fit = ois.BramichStrategy(*self.pictures, (self.k, self.k), 0)
        self.fit.get_kernel()

    def kernel(self) -> np.ndarray:
        """Give its taps, in the middle of the picture."""
        import ois

        rows, columns = self.pictures[0].shape
        return ois.eval_adpative_kernel(self.fit.get_kernel(), columns // 2, rows // 2)

    def difference(self) -> np.ndarray:
        """Give `after` less what the kernel predicts."""
        return self.fit.get_difference()


PROGRAMS = {"sfft": Sfft, "ois": Ois}


def main() -> None:
    name, pair, answer = sys.argv[1:]
    # What a program prints is not for the other side.
    replies, sys.stdout = sys.stdout, sys.stderr
    with np.load(pair) as given:
        before, after = (np.ascontiguousarray(given[key], np.float64) for key in ("before", "after"))
        program = PROGRAMS[name](before, after, int(given["k"]), int(given["order"]))
        wanted = bool(given["difference"])
    program.solve()
    kernel = np.ascontiguousarray(program.kernel()[::-1, ::-1])
    np.savez(answer, kernel=kernel, difference=program.difference() if wanted else np.empty(0))
    print(json.dumps({"version": f"{name} {version(name)}"}), file=replies, flush=True)
    for _ in sys.stdin:
        begun = time.perf_counter()
        program.solve()
        print(json.dumps(time.perf_counter() - begun), file=replies, flush=True)


if __name__ == "__main__":
    main()
