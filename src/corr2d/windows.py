"""Where the windows of a pair stand: their size, the step from one to the next, the gaps between taps."""

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from .borders import NO_STEPS, Steps, reach
from .position import Frame

Slices = tuple[slice, slice]


class Windows(NamedTuple):
    """A window of (kh, kw) taps, `dilation` pixels apart, that stands on every `stride`-th pixel."""

    size: tuple[int, int]
    stride: Steps = NO_STEPS
    dilation: Steps = NO_STEPS

    @classmethod
    def resolve(
        cls, before: tuple[int, ...], after: tuple[int, ...], size: Any, stride: Steps, dilation: Steps
    ) -> "Windows":
        """Take what the user gave, or what the shapes of a pair tell."""
        told = told_size(before, after, stride, dilation)
        asked = None if size is None else resolve_asked(size)
        if asked is None and told is None:
            raise ValueError("`size` must be given for a pair of the same shape: the shapes do not tell it.")
        if asked is not None and told is not None and asked != told:
            raise ValueError(
                f"`size` must be {told}, which {before[-2]} x {before[-1]} before and {after[-2]} x "
                f"{after[-1]} after tell, got {asked}."
            )
        windows = cls(asked or told or (1, 1), stride, dilation)
        windows.inside(before, after)
        return windows

    def inside(
        self, before: tuple[int, ...], after: tuple[int, ...], shift: tuple[int, int] = (0, 0)
    ) -> tuple[Slices, Slices]:
        """Give the pixels of `before` and of `after` that windows inside the picture reach and lead to.

        Those of a same-sized pair are centred, or stand so many rows and columns of taps further up and left.
        """
        with_border = is_same_sized(before, after, self.stride)
        if not with_border and shift != (0, 0):
            raise ValueError(f"`shift` must be (0, 0) where `after` has no border, got {shift}.")
        rows, columns = (
            self._along(axis, before[-2:], shift[axis] if with_border else None) for axis in (0, 1)
        )
        places = rows[1].stop, columns[1].stop
        if not with_border and places != after[-2:]:
            raise ValueError(
                f"`after` must have {places} rows and columns where windows of {self.size} at stride "
                f"{tuple(self.stride)} lie inside {before[-2]} x {before[-1]} pixels, got {after[-2:]}."
            )
        return (rows[0], columns[0]), (rows[1], columns[1])

    def frames(
        self, before: tuple[int, ...], after: tuple[int, ...], shift: tuple[int, int] = (0, 0)
    ) -> tuple[Frame, Frame]:
        """Give the frames of what `inside` gives; a window's centre lies where its pixel of `after` does."""
        of_x, of_y = self.inside(before, after, shift)
        kh, kw = self.size
        with_border = is_same_sized(before, after, self.stride)
        outside = (0, 0) if with_border else (kh // 2 * self.dilation.rows, kw // 2 * self.dilation.columns)
        frame = Frame.over(after[-2:])
        finer = frame.of_finer(self.stride, outside)
        return (
            finer.of_part((of_x[0].start, of_x[1].start)),
            frame.of_part((of_y[0].start, of_y[1].start)),
        )

    def _along(self, axis: int, before: tuple[int, ...], shift: int | None) -> tuple[slice, slice]:
        step, far = self.stride[axis], reach(self.size, self.dilation)[axis]
        # The window of a first result at the border begins so far outside: its centre is at kh // 2.
        outside = 0 if shift is None else (self.size[axis] // 2 + shift) * self.dilation[axis]
        first = max(-(-outside // step), 0)
        start = first * step - outside
        # Of windows far to the left or right of their pixels, some inside lead to none.
        results = (before[axis] - 1) // step + 1 - first
        count = min((before[axis] - start - far) // step + 1, results)
        if count < 1:
            raise ValueError(
                f"`size` must fit into the pictures of {before[0]} x {before[1]}, got {self.size}."
            )
        return slice(start, start + (count - 1) * step + far), slice(first, first + count)


def told_size(
    before: tuple[int, ...], after: tuple[int, ...], stride: Steps, dilation: Steps
) -> tuple[int, int] | None:
    """Give the window's (kh, kw), if the shapes tell it: not if they are the same, or there is a stride."""
    if before[:-2] != after[:-2]:
        raise ValueError(
            f"`before` and `after` must have the same channels and leading axes, got {before} and {after}."
        )
    if is_same_sized(before, after, stride) or stride != NO_STEPS:
        return None
    (h, w), (rows, columns) = before[-2:], after[-2:]
    if not (0 < rows <= h and 0 < columns <= w):
        turned = " One of them seems to be turned by 90 degrees." if rows <= w and columns <= h else ""
        raise ValueError(
            f"`after` must be as large as `before` or smaller by the kernel's border, got {h} x {w} before "
            f"and {rows} x {columns} after.{turned}"
        )
    if (h - rows) % dilation.rows or (w - columns) % dilation.columns:
        raise ValueError(
            f"`after` must be smaller than `before` by whole taps at dilation {tuple(dilation)}, got "
            f"{h} x {w} before and {rows} x {columns} after."
        )
    return (h - rows) // dilation.rows + 1, (w - columns) // dilation.columns + 1


def is_same_sized(before: tuple[int, ...], after: tuple[int, ...], stride: Steps) -> bool:
    """Say whether `after` has its border, where windows reach beyond the picture."""
    return after[-2:] == tuple(-(-n // step) for n, step in zip(before[-2:], stride, strict=True))


def resolve_asked(size: Any) -> tuple[int, int]:
    """Turn a size, as a user gives it, into (kh, kw)."""
    asked = (size, size) if isinstance(size, Integral) else size
    if not isinstance(asked, tuple | list | np.ndarray) or not all(isinstance(k, Integral) for k in asked):
        raise TypeError(f"`size` must be one or two positive integers, got {size!r}.")
    if len(asked) != 2 or min(asked) < 1:
        raise ValueError(f"`size` must be one or two positive integers, got {size!r}.")
    return int(asked[0]), int(asked[1])
