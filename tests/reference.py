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


def pads_of(padding, kh, kw):
    """(top, bottom, left, right), by corr2d's docstring."""
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":
        return kh // 2, (kh - 1) // 2, kw // 2, (kw - 1) // 2
    if padding == "full":
        return kh - 1, kh - 1, kw - 1, kw - 1
    return (padding,) * 4 if isinstance(padding, int) else padding


def surround(image, pads, mode, cval):
    top, bottom, left, right = pads
    h, w = image.shape
    ys = [pixel_at(y, h, mode) for y in range(-top, h + bottom)]
    xs = [pixel_at(x, w, mode) for x in range(-left, w + right)]
    rows = [[cval if y is None or x is None else image[y, x] for x in xs] for y in ys]
    return np.array(rows, image.dtype).reshape(len(ys), len(xs))


def correlate(image, kernel, padding="valid", mode="constant", cval=0):
    """out[y, x] = sum of kernel[v, u] * image[y + v - top, x + u - left], in long double; objects exactly."""
    number = object if image.dtype == object else np.longdouble
    kernel = np.asarray(kernel).astype(number)
    kh, kw = kernel.shape
    seen = surround(
        image.astype(number), pads_of(padding, kh, kw), mode, number(cval) if number is not object else cval
    )
    h, w = seen.shape[0] - kh + 1, seen.shape[1] - kw + 1
    out = np.zeros((h, w), number)
    for v in range(kh):
        for u in range(kw):
            out = out + kernel[v, u] * seen[v : v + h, u : u + w]
    return out


def exactly(image, kernel, dtype, **options):
    """The same in fractions, rounded half to even and held within the range of an integer `dtype`."""

    def exact(array):
        return np.array([[Fraction(x.item()) for x in row] for row in np.asarray(array)], object)

    options["cval"] = Fraction(options.get("cval", 0))
    sums = correlate(exact(image), exact(kernel), **options)
    ends = np.iinfo(dtype)
    return np.array([[min(max(round(s), ends.min), ends.max) for s in row] for row in sums], dtype)
