"""Which picture files are pairs, and their pixels, one pair at a time in memory."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from .borders import resolve_steps
from .images import SUFFIXES, Picture
from .windows import told_size

Names = tuple[str, str]
Pixels = tuple[NDArray[Any], NDArray[Any]]

_NAMED = 8  # pairs, or names without a partner: what is kept of thousands stays short
_KINDS = {2: "grey", 3: "colour"}


def pairs_of(paths: Sequence[str]) -> list[Names]:
    """Give the pairs (before, after) of an even number of paths.

    Two files are a pair; of two folders, the pictures of one name are, in the order of their names.

    Parameters
    ----------
    paths : sequence of str
        before, after, before, after, …

    Returns
    -------
    list of (str, str)
        At least one.

    Raises
    ------
    OSError
        If a folder cannot be read.
    ValueError
        If a picture in a folder has no partner in the other, or more than one, or both folders have none.
    """
    pairs: list[Names] = []
    for before, after in zip(paths[::2], paths[1::2], strict=True):
        folders = os.path.isdir(before) and os.path.isdir(after)
        pairs += _in_folders(before, after) if folders else [(before, after)]
    return pairs


def _in_folders(before: str, after: str) -> list[Names]:
    befores, afters = _pictures_in(before), _pictures_in(after)
    _refuse_lonely(befores, afters, after)
    _refuse_lonely(afters, befores, before)
    if not befores:
        raise ValueError(f"{before!r} and {after!r} must hold pictures, PNG, JPEG or TIFF, got none.")
    return [(befores[stem], afters[stem]) for stem in sorted(befores)]


def _refuse_lonely(ours: dict[str, str], theirs: dict[str, str], folder: str) -> None:
    lonely = [repr(os.path.basename(path)) for stem, path in ours.items() if stem not in theirs]
    if lonely:
        more = f" and {len(lonely) - _NAMED} more" if len(lonely) > _NAMED else ""
        raise ValueError(
            f"Each picture must have a partner of the same name in the other folder, got none in {folder!r} "
            f"for {', '.join(lonely[:_NAMED])}{more}. Add them, or name the files in pairs."
        )


def _pictures_in(folder: str) -> dict[str, str]:
    """Give the pictures of a folder by name without suffix: an editor may have saved a .jpg as .png."""
    found: dict[str, str] = {}
    for name in sorted(os.listdir(folder)):
        stem, suffix = os.path.splitext(name)
        # ._x.png is no picture, but what macOS leaves on other disks.
        if suffix.lower() not in SUFFIXES or name.startswith("."):
            continue
        if stem in found:
            raise ValueError(
                f"{folder!r} must hold one picture of a name, got {os.path.basename(found[stem])!r} and "
                f"{name!r}. Move one away, or name the files in pairs."
            )
        found[stem] = os.path.join(folder, name)
    return found


def described(picture: Picture) -> str:
    """Say what a file holds: its size, grey or colour, depth."""
    h, w = picture.pixels.shape[:2]
    aside = ", alpha left aside" if picture.alpha is not None else ""
    return f"{w} x {h}, {_KINDS[picture.pixels.ndim]}, {picture.pixels.dtype}{aside}"


class PairReader:
    """Reads pairs of files one at a time, and keeps of them what is to be said of all.

    Attributes
    ----------
    now : (str, str) or None
        The pair that is being worked on. Errors name it.
    first : (array, array) or None
        The pixels of the first pair, if they are to be kept.
    """

    def __init__(
        self,
        names: Sequence[Names],
        read: Callable[[str], Picture],
        *,
        stride: int = 1,
        dilation: int = 1,
        keep_first: bool = False,
    ) -> None:
        self._names, self._read = names, read
        self._steps = resolve_steps(stride, "stride"), resolve_steps(dilation, "dilation")
        self._lossy: list[str] = []
        self._like: tuple[int, str] | None = None  # how many axes the first picture has, and its name
        self._kinds: dict[str, None] = {}  # in the order in which they were met
        self.now: Names | None = None
        self.first: Pixels | None = None
        # Read ahead: whether there are colours must be known before the others are asked for.
        self._ahead: Pixels | None = self._read_pair(names[0])
        if keep_first:
            self.first = self._ahead

    def __len__(self) -> int:
        return len(self._names)

    @property
    def colour(self) -> bool:
        """Whether the pictures are in colour."""
        return self._like is not None and self._like[0] == 3

    def pairs(self, done: Callable[[int], object] = lambda _: None) -> Iterator[Pixels]:
        """Give the pixels of one pair after the other, once.

        Each is forgotten here before the next is read, and `done(1)` is called in between.

        Raises
        ------
        OSError, ValueError
            If a file cannot be read, or its picture is no partner of the others.
        """
        for names in self._names:
            yield self._take(names)
            self.now = None
            done(1)

    def kinds(self) -> str:
        """Say what the pictures were, of many kinds the first few."""
        kinds = list(self._kinds)
        more = f" and {len(kinds) - _NAMED} other kinds" if len(kinds) > _NAMED else ""
        return "; ".join(kinds[:_NAMED]) + more

    def notes(self) -> tuple[str, ...]:
        """Say what a reader of the kernel should know of the files."""
        if not self._lossy:
            return ()
        if len(self._names) == 1:
            roles = zip(("before", "after"), self._names[0], strict=True)
            which = " and ".join(role for role, name in roles if name in self._lossy)
        else:
            which = f"{len(self._lossy)} of {2 * len(self._names)} pictures ({self._lossy[0]!r} first)"
        return (
            f"JPEG changed the pixels of {which} after the filter ran: errors larger than the bars are "
            f"likely. PNG or TIFF files give the kernel itself.",
        )

    def provenance(self) -> dict[str, str]:
        """Name the files: of many pairs the first few, and how many there are."""
        named = {"before": self._names[0][0], "after": self._names[0][1]}
        for i, (before, after) in enumerate(self._names[1:_NAMED], start=2):
            named |= {f"before {i}": before, f"after {i}": after}
        return named | ({"pairs": str(len(self._names))} if len(self._names) > 1 else {})

    def _take(self, names: Names) -> Pixels:
        before, after = self._ahead or self._read_pair(names)
        self._ahead, self.now = None, names
        told_size(_planes(before), _planes(after), *self._steps)  # refuses shapes that do not fit
        return before, after

    def _read_pair(self, names: Names) -> Pixels:
        before, after = (self._read_one(name) for name in names)
        return before.pixels, after.pixels

    def _read_one(self, name: str) -> Picture:
        picture = self._read(name)
        self._kinds[described(picture)] = None
        if picture.lossy:
            self._lossy.append(name)
        axes = picture.pixels.ndim
        if self._like is None:
            self._like = axes, name
        if axes != self._like[0]:
            every, all_ = ("Both", "both") if len(self._names) == 1 else ("All", "all")
            raise ValueError(
                f"{every} pictures must be grey or {all_} in colour, got {self._like[1]!r} in "
                f"{_KINDS[self._like[0]]} and {name!r} in {_KINDS[axes]}. Convert one of them."
            )
        return picture


def _planes(pixels: NDArray[Any]) -> tuple[int, ...]:
    """Give the shape with the colours in front."""
    return (*pixels.shape[2:], *pixels.shape[:2])
