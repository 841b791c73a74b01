"""What is compared: which pictures and kernels, with whom, and in which process."""

from dataclasses import dataclass

from limits import COPY, MULTIPLY_ADD
from peers import LBFGS

SIZES = (3, 5, 7, 9, 11, 15, 21, 31, 63, 127)
SLOW_SIZES = SIZES[:8]  # for peers that make all products one by one
LIMIT_SIZES = SIZES[1:6]  # 3 x 3 waits for memory; above 15 x 15 an FFT makes far fewer products
LARGE_SIZES = (3, 9, 31, 127)
TINY_SIZES = (3, 5)
LEARN_SIZES = (3, 9)
DTYPES = ("float32", "uint8", "uint16", "float64")

TINY, SMALL, MIDDLE, LARGE = (6, 8), (512, 512), (2048, 2048), (8192, 8192)
FFTS = ("scipy.signal.fftconvolve", "scipy.signal.oaconvolve")


@dataclass(frozen=True)
class Cell:
    """A question: how do `corr2d` and `peer` compare on such pictures and kernels."""

    shape: tuple[int, int]
    dtype: str
    kernel: str  # "random" or "Gaussian"
    k: int
    peer: str


@dataclass(frozen=True)
class Row(Cell):
    """Its answer: a Timing, which instruction set and algorithm ours was, and a remark."""

    isa: str
    algorithm: str
    note: str
    ours_ms: float
    theirs_ms: float
    ratio: float
    low: float
    high: float
    pairs: int
    noisy: bool


@dataclass(frozen=True)
class Memory:
    """Megabytes beyond image and output at the peak of one call."""

    shape: tuple[int, int]
    kernel: str
    k: int
    algorithm: str
    peer: str
    megabytes: float


def random_cells(shape: tuple[int, int], peer: str, sizes: tuple[int, ...]) -> list[Cell]:
    return [Cell(shape, "float32", "random", k, peer) for k in sizes]


def cells_of(process: str, *, quick: bool) -> list[Cell]:
    """List what one process measures."""

    def some(sizes: tuple[int, ...]) -> tuple[int, ...]:
        return sizes if not quick else (9,) if 9 in sizes else sizes[:1]

    if process == "opencv":
        ways = (("random", "cv2.filter2D"), ("Gaussian", "cv2.sepFilter2D"))
        return [
            *(
                Cell(MIDDLE, dtype, kernel, k, peer)
                for dtype in DTYPES
                for kernel, peer in ways
                for k in some(SIZES)
            ),
            *random_cells(SMALL, "cv2.filter2D", some(SIZES)),
            *random_cells(LARGE, "cv2.filter2D", some(LARGE_SIZES)),
            *random_cells(TINY, "cv2.filter2D", some(TINY_SIZES)),
        ]
    if process == "avx2":
        return random_cells(MIDDLE, "cv2.filter2D", some(SIZES))
    if process == "scipy":
        return [
            *(cell for peer in FFTS for cell in random_cells(MIDDLE, peer, some(SIZES))),
            *random_cells(MIDDLE, "scipy.ndimage.correlate", some(SLOW_SIZES)),
            *random_cells(TINY, "scipy.ndimage.correlate", some(TINY_SIZES)),
            *random_cells(TINY, "scipy.signal.correlate2d", some(TINY_SIZES)),
        ]
    if process == "torch":
        return [
            *random_cells(MIDDLE, "torch.conv2d", some(SLOW_SIZES)),
            *(Cell(SMALL, "float64", "random", k, LBFGS) for k in LEARN_SIZES[: 1 if quick else None]),
        ]
    return [  # "limits"
        *random_cells(MIDDLE, COPY, (3,)),
        *random_cells(MIDDLE, MULTIPLY_ADD, some(LIMIT_SIZES)),
    ]


PROCESSES = ("opencv", "avx2", "scipy", "torch", "limits")
