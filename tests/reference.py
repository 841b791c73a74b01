"""What corr2d must answer, written to be believed at a glance. Shares no code with src/ or engine/."""

from fractions import Fraction

import numpy as np

MODES = ("constant", "reflect", "mirror", "nearest", "wrap")


def pixel_at(i, n, mode):
    """Which of n pixels stands at place i of the endless line; None for `cval`. Walks back, step by step."""
    while not 0 <= i < n:
        if mode == "constant":
            return None
        if mode == "nearest":
            i += 1 if i < 0 else -1
        elif mode == "wrap":  # a b c | a b c | a b c
            i += n if i < 0 else -n
        elif mode == "reflect":  # c b a | a b c | c b a
            i = -1 - i if i < 0 else 2 * n - 1 - i
        elif n == 1:
            i = 0
        else:  # mirror: c b | a b c | b a
            i = -i if i < 0 else 2 * n - 2 - i
    return i


def both(option):
    """(rows, columns) of an int that stands for both."""
    return (option, option) if isinstance(option, int) else tuple(option)


def pads_of(padding, kh, kw, dilation=1):
    """(top, bottom, left, right), by corr2d's docstring."""
    dy, dx = both(dilation)
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":
        return kh // 2 * dy, (kh - 1) // 2 * dy, kw // 2 * dx, (kw - 1) // 2 * dx
    if padding == "full":
        return (kh - 1) * dy, (kh - 1) * dy, (kw - 1) * dx, (kw - 1) * dx
    return (padding,) * 4 if isinstance(padding, int) else padding


def surround(image, pads, mode, cval):
    top, bottom, left, right = pads
    h, w = image.shape
    seen = np.full((h + 1, w + 1), cval, image.dtype)  # cval stands at -1, behind the last row and column
    seen[:h, :w] = image
    ys, xs = (
        [
            -1 if place is None else place
            for place in (pixel_at(i, n, mode) for i in range(-before, n + after))
        ]
        for n, before, after in ((h, top, bottom), (w, left, right))
    )
    return seen[np.ix_(ys, xs)]


def correlate(image, kernel, padding="valid", mode="constant", cval=0, stride=1, dilation=1):
    """out[y, x] = sum of kernel[v, u] * image[y*s + v*d - top, x*s + u*d - left]; s: stride, d: dilation.

    In long double; objects exactly. A kernel (c_out, c_in, kh, kw) mixes the planes of an image (c_in, h, w):
    out[o] is the sum over i of image[i] with kernel[o, i].
    """
    if np.ndim(kernel) == 4:
        options = padding, mode, cval, stride, dilation
        return np.array(
            [sum(correlate(*pair, *options) for pair in zip(image, row, strict=True)) for row in kernel]
        )
    number = object if image.dtype == object else np.longdouble
    kernel = np.asarray(kernel).astype(number)
    kh, kw = kernel.shape
    (sy, sx), (dy, dx) = both(stride), both(dilation)
    pads = pads_of(padding, kh, kw, dilation)
    seen = surround(image.astype(number), pads, mode, number(cval) if number is not object else cval)
    h, w = seen.shape[0] - (kh - 1) * dy, seen.shape[1] - (kw - 1) * dx
    out = np.zeros((h, w), number)
    for v in range(kh):
        for u in range(kw):
            out = out + kernel[v, u] * seen[v * dy : v * dy + h, u * dx : u * dx + w]
    return out[::sy, ::sx]


def exactly(image, kernel, dtype, **options):
    """The same in fractions, rounded half to even and held within the range of an integer `dtype`."""

    def exact(array):
        array = np.asarray(array)
        return np.array([Fraction(x.item()) for x in array.flat], object).reshape(array.shape)

    options["cval"] = Fraction(options.get("cval", 0))
    sums = correlate(exact(image), exact(kernel), **options)
    ends = np.iinfo(dtype)
    return np.array([min(max(round(s), ends.min), ends.max) for s in sums.flat], dtype).reshape(sums.shape)
