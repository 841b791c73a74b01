"""Who is compared with `corr2d`: every peer makes, for a kernel, the call that its users would write.

A library is imported by the peer that needs it, so that no other library's threads are in the process.
"""

from collections.abc import Callable

import numpy as np

from corr2d import corr2d

Call = Callable[[np.ndarray], np.ndarray]
LBFGS = "torch L-BFGS on nn.Conv2d"


def gaussian_line(k: int) -> np.ndarray:
    """Give OpenCV's weights for `sigma=0`, without the table that it uses up to 7 x 7."""
    sigma = 0.3 * ((k - 1) / 2 - 1) + 0.8
    line = np.exp(-((np.arange(k) - k // 2) ** 2) / (2 * sigma**2))
    return line / line.sum()


def make_kernel(rng: np.random.Generator, name: str, k: int, dtype: np.dtype) -> np.ndarray:
    line = gaussian_line(k)
    if name == "Gaussian":
        kernel = np.outer(line, line)
    elif dtype.kind == "u":  # averages, so that the answers are not all 0 and 255
        kernel = rng.random((k, k))
        kernel /= kernel.sum()
    else:
        kernel = rng.standard_normal((k, k))
    return kernel.astype(np.float64 if dtype == np.float64 else np.float32)


def make_image(rng: np.random.Generator, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "u":
        return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    return rng.standard_normal(shape, dtype)


def corr2d_like(answer: np.ndarray, image: np.ndarray, kernel: np.ndarray) -> Call:
    """Ask `corr2d` for what a peer made of `image`, border and type."""
    options = {"padding": "same", "mode": "mirror"} if answer.shape == image.shape else {}
    if answer.dtype.kind == "u":
        options["dtype"] = answer.dtype
    return lambda image: corr2d(image, kernel, **options)


def _filter2d(kernel: np.ndarray) -> Call:
    import cv2

    return lambda image: cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)


def _sep_filter2d(kernel: np.ndarray) -> Call:
    import cv2

    line = gaussian_line(len(kernel))
    return lambda image: cv2.sepFilter2D(image, -1, line, line, borderType=cv2.BORDER_REFLECT_101)


def _ndimage(kernel: np.ndarray) -> Call:
    from scipy.ndimage import correlate

    return lambda image: correlate(image, kernel, mode="mirror")


def _correlate2d(kernel: np.ndarray) -> Call:
    from scipy.signal import correlate2d

    return lambda image: correlate2d(image, kernel, mode="valid")


def _fftconvolve(kernel: np.ndarray) -> Call:
    from scipy.signal import fftconvolve

    turned = np.ascontiguousarray(kernel[::-1, ::-1])
    return lambda image: fftconvolve(image, turned, mode="valid")


def _oaconvolve(kernel: np.ndarray) -> Call:
    from scipy.signal import oaconvolve

    turned = np.ascontiguousarray(kernel[::-1, ::-1])
    return lambda image: oaconvolve(image, turned, mode="valid")


def _conv2d(kernel: np.ndarray) -> Call:
    import torch

    weight = torch.from_numpy(kernel)[None, None]
    return lambda image: torch.conv2d(torch.from_numpy(image)[None, None], weight)[0, 0].numpy()


PEERS: dict[str, Callable[[np.ndarray], Call]] = {
    "cv2.filter2D": _filter2d,
    "cv2.sepFilter2D": _sep_filter2d,
    "scipy.ndimage.correlate": _ndimage,
    "scipy.signal.correlate2d": _correlate2d,
    "scipy.signal.fftconvolve": _fftconvolve,
    "scipy.signal.oaconvolve": _oaconvolve,
    "torch.conv2d": _conv2d,
}


def check(ours: np.ndarray, theirs: np.ndarray, peer: str) -> None:
    """Refuse to time two calls that do not answer the same question."""
    whole = theirs.dtype.kind == "u"
    allowed = 1 if whole else 1e-4 * float(np.abs(theirs).max())  # a half may be rounded to either side
    error = np.abs(ours.astype(np.int32) - theirs if whole else ours - theirs).max()
    if not error <= allowed:
        raise AssertionError(f"{peer} differs by {error}, more than {allowed}")


def lbfgs(before: np.ndarray, after: np.ndarray, k: int) -> np.ndarray:
    """Learn a kernel with the textbook's own tools: the same layer, with a better optimiser."""
    import torch

    layer = torch.nn.Conv2d(1, 1, k)
    x, y = (torch.from_numpy(a.astype(np.float32))[None, None] for a in (before, after))
    optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        error = ((layer(x) - y) ** 2).mean()
        error.backward()
        return error

    optimiser.step(loss)
    return layer.weight.detach().numpy()[0, 0]
