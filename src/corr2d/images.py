"""Read and write pictures: bit depth is kept or the picture is refused, never reduced in silence.

PNG and JPEG go through Pillow, TIFF through tifffile and `tiff.unpack_page`.
"""

import io
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .files import replace_file, stat_regular
from .tiff import COLOURS, obstacle, unpack_page

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Picture", "read", "write"]

Pixels = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as its file holds it, turned upright.

    Attributes
    ----------
    pixels : (h, w) or (h, w, 3) array
        Grey or colour, in the file's own dtype.
    alpha : (h, w) array or None
        Set aside: a kernel is about colour, not coverage.
    lossy : bool
        The file is a JPEG: its pixels are not what the camera or the editor computed.
    path : Path
        Where it was read from.
    """

    pixels: Pixels
    alpha: Pixels | None
    lossy: bool
    path: Path


def read(path: str | os.PathLike[str], *, max_pixels: int = 200_000_000) -> Picture:
    """Read a PNG, JPEG or TIFF picture at its own bit depth.

    The kind is told from the first bytes, not from the name. The EXIF orientation is applied. A palette
    becomes RGB; grey of 1, 2 or 4 bits is spread over 0..255.

    Parameters
    ----------
    path : str or path-like
        A regular file.
    max_pixels : int
        The largest height x width to decode.

    Returns
    -------
    Picture
        Its `pixels` are (h, w) or (h, w, 3).

    Raises
    ------
    OSError
        If the file is missing, a directory or not readable.
    ValueError
        If the file is no PNG, JPEG or TIFF, is truncated or damaged, holds more than `max_pixels`,
        several pages, or pixels which would lose depth or meaning (16-bit RGB PNG, CMYK, ...).

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write(f"{folder}/dots.png", np.array([[0, 65535]], np.uint16))
    ...     read(f"{folder}/dots.png").pixels
    array([[    0, 65535]], dtype=uint16)
    """
    path = Path(path)
    stat_regular(path)
    with open(path, "rb") as file:
        kind = _kind(file.read(64), path)
        file.seek(0)
        pixels, alpha, orientation = _READERS[kind](file, path, max_pixels)
    upright = _UPRIGHT.get(orientation, _as_stored)
    return Picture(
        pixels=np.ascontiguousarray(upright(pixels)),
        alpha=None if alpha is None else np.ascontiguousarray(upright(alpha)),
        lossy=kind == "JPEG",
        path=path,
    )


def write(path: str | os.PathLike[str], pixels: ArrayLike, *, alpha: ArrayLike | None = None) -> None:
    """Write a picture, losing nothing (JPEG apart); an existing file is replaced whole or not at all.

    Parameters
    ----------
    path : str or path-like
        Its suffix settles the format. ".png": uint8, or uint16 grey without alpha. ".jpg", ".jpeg":
        uint8 without alpha, quality 95, no chroma subsampling. ".tif", ".tiff": uint8, uint16, uint32,
        int16, int32, float16, float32, float64, compressed with Deflate.
    pixels : (h, w) or (h, w, 3) array
        Grey or colour.
    alpha : (h, w) array, optional
        Coverage, of the dtype of `pixels`.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If the suffix is another one, the shapes do not fit, or the format cannot hold the dtype.
    TypeError
        If `pixels` is a masked array.
    """
    kind = _kind_of_suffix(Path(path))
    samples = _stacked(pixels, alpha)
    _check_format_holds(kind, samples, path)
    with replace_file(path) as file:
        file.write(_encode(kind, samples))


# Which file is it?

_OTHER_KINDS = (
    (0, b"GIF8", "a GIF picture"),
    (0, b"BM", "a BMP picture"),
    (8, b"WEBP", "a WebP picture"),
    (4, b"ftyp", "a HEIC or AVIF picture, or a video"),
    (0, b"8BPS", "a Photoshop document"),
    (4, b"jP  \r\n", "a JPEG 2000 picture"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (0, b"SIMPLE  =", "a FITS file"),
    (0, b"\xc5\xd0\xd3\xc6", "an EPS drawing"),
    (0, b"%!PS", "a PostScript or EPS drawing"),
    (0, b"%PDF", "a PDF document"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<?xml", "an SVG drawing or another XML file"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"PK\x03\x04", "a zip archive (npz is one)"),
    (0, b"\x80", "a pickle or another binary file"),
)


def _kind(head: bytes, path: Path) -> str:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    known = (name for start, magic, name in _OTHER_KINDS if head[start:].startswith(magic))
    got = next(known, f"something else (it starts with {head[:8]!r})") if head else "empty"
    raise _refusal(path, f"is {got}; corr2d reads PNG, JPEG and TIFF", "Save it as PNG first")


def _refusal(path: Path, why: str, way_out: str) -> ValueError:
    # repr: a name may hold newlines, or bytes that no terminal can print.
    return ValueError(f"{os.fspath(path)!r} {why}. {way_out}.")


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # Of every kind: on damaged files the decoders raise SyntaxError, struct.error, KeyError, MemoryError.
        cause = f"{type(error).__name__}: {error}"
        raise _refusal(
            path, f"cannot be read: truncated or damaged ({cause})", "Copy or export it again"
        ) from error


def _check_size(width: int, height: int, max_pixels: int, path: Path) -> None:
    if width * height > max_pixels:
        raise _refusal(
            path,
            f"holds {height} x {width} = {height * width} pixels, more than max_pixels={max_pixels}",
            "Pass a larger max_pixels= if you trust the file",
        )


# EXIF orientation: 1 to 8; what else a file may claim counts as 1.


def _as_stored(array: Pixels) -> Pixels:
    return array


_UPRIGHT: dict[Any, Callable[[Pixels], Pixels]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}


def _exif_orientation(picture: "Image") -> object:
    try:
        return picture.getexif().get(0x0112)
    except (SyntaxError, ValueError, struct.error):
        return 1


# PNG and JPEG
#
# The plugin's class is called instead of PIL.Image.open: it opens this one format, and leaves alone the
# process-wide MAX_IMAGE_PIXELS, which open() turns into a warning or an error
# (test_pillows_limit_is_neither_met_nor_touched).

_Decoded = tuple[Pixels, Pixels | None, object]


def _read_png(file: BinaryIO, path: Path, max_pixels: int) -> _Decoded:
    from PIL.PngImagePlugin import PngImageFile

    with _decoding(path):
        depth, colour_type = struct.unpack("BB", file.read(26)[24:])
        file.seek(0)
        picture = PngImageFile(file)
    _check_size(*picture.size, max_pixels, path)
    if depth == 16 and colour_type != 0:
        raise _refusal(
            path,
            "is a 16-bit PNG with colour or alpha, which would be reduced to 8 bits",
            "Save it as 16-bit TIFF",
        )
    if picture.n_frames > 1:
        raise _refusal(path, f"is animated ({picture.n_frames} frames)", "Save one frame as a file")
    with _decoding(path):
        picture.load()
        pixels, alpha = _from_png_mode(picture, depth)
    return pixels, alpha, _exif_orientation(picture)


def _from_png_mode(picture: "Image", depth: int) -> tuple[Pixels, Pixels | None]:
    transparent = picture.info.get("transparency")
    if picture.mode == "P":
        return _split(np.array(picture.convert("RGB" if transparent is None else "RGBA")), 3)
    if picture.mode in ("LA", "RGBA"):
        samples = np.array(picture)
        return _split(samples, samples.shape[2] - 1)
    pixels = np.array(picture.convert("L") if picture.mode == "1" else picture)
    if transparent is None:
        return pixels, None
    # Its low bits count (PNG, tRNS). Pillow spreads 2 and 4 bits over 0..255 but not the transparent value.
    transparent = np.bitwise_and(transparent, 2**depth - 1)
    if depth < 8:
        transparent = transparent * (255 // (2**depth - 1))
    see_through = pixels == transparent
    if pixels.ndim == 3:
        see_through = see_through.all(axis=2)
    opaque = np.iinfo(pixels.dtype).max
    return pixels, np.where(see_through, 0, opaque).astype(pixels.dtype)


def _read_jpeg(file: BinaryIO, path: Path, max_pixels: int) -> _Decoded:
    from PIL.JpegImagePlugin import JpegImageFile

    with _decoding(path):
        picture = JpegImageFile(file)
    _check_size(*picture.size, max_pixels, path)
    if picture.mode not in ("L", "RGB"):
        raise _refusal(path, f"is a {picture.mode} JPEG; corr2d reads grey and RGB", "Convert it to RGB")
    with _decoding(path):
        picture.load()
        return np.array(picture), None, _exif_orientation(picture)


def _split(samples: Pixels, colours: int) -> tuple[Pixels, Pixels | None]:
    """(h, w, s) to the colours and what comes after them."""
    pixels = samples[..., 0] if colours == 1 else samples[..., :colours]
    return pixels, samples[..., colours] if samples.shape[2] > colours else None


# TIFF


def _read_tiff(file: BinaryIO, path: Path, max_pixels: int) -> _Decoded:
    import tifffile

    with _decoding(path):
        # The flags are off since makers' own layouts send tifffile through all pages of a circular file.
        tiff = tifffile.TiffFile(file, is_lsm=False, is_ndpi=False, is_scanimage=False)
        page = tiff.pages.first
        several = tiff.pages.is_multipage
        size = int(page.imagewidth), int(page.imagelength)
        if 0 in size:
            raise ValueError("no pixels")
    _check_size(*size, max_pixels, path)
    if several:
        raise _refusal(path, "holds several pages", "Save the page as a file of its own")
    with _decoding(path):
        found = obstacle(page)
    if found:
        raise _refusal(path, *found)
    with _decoding(path):
        stored = np.dtype(np.uint8 if page.bitspersample == 1 else page.dtype).newbyteorder(tiff.byteorder)
        samples = unpack_page(file, page, stored)
        pixels, alpha = _split(samples, COLOURS[page.photometric])
    if alpha is not None and page.extrasamples[:1] == (1,) and not _is_opaque(alpha):
        raise _refusal(
            path, "has its colours multiplied by its alpha (associated alpha)", "Save it with straight alpha"
        )
    if page.photometric == 0:
        pixels = ~pixels
    return pixels, alpha, page.tags.valueof(274)


def _is_opaque(alpha: Pixels) -> bool:
    return bool((alpha == (np.iinfo(alpha.dtype).max if alpha.dtype.kind in "ui" else 1)).all())


_READERS = {"PNG": _read_png, "JPEG": _read_jpeg, "TIFF": _read_tiff}


# Writing

SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}
_TIFF_DTYPES = ("uint8", "uint16", "uint32", "int16", "int32", "float16", "float32", "float64")
_JPEG_SIDE = 65500  # libjpeg's own limit


def _kind_of_suffix(path: Path) -> str:
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise ValueError(
            f"The name of a picture must end in one of {', '.join(SUFFIXES)}, got {os.fspath(path)!r}."
        )
    return kind


def _stacked(pixels: ArrayLike, alpha: ArrayLike | None) -> Pixels:
    """(h, w, samples), alpha last, in native byte order."""
    if np.ma.isMaskedArray(pixels):
        raise TypeError("`pixels` is a masked array, and a picture holds no mask. Pass pixels.filled(value).")
    pixels = np.asarray(pixels)
    if pixels.ndim not in (2, 3) or pixels.size == 0 or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ValueError(f"`pixels` must be (h, w) grey or (h, w, 3) colour, got shape {pixels.shape}.")
    parts = [np.atleast_3d(pixels)]
    if alpha is not None:
        alpha = np.asarray(alpha)
        if alpha.shape != pixels.shape[:2] or alpha.dtype != pixels.dtype:
            raise ValueError(
                f"`alpha` must be {pixels.shape[:2]} {pixels.dtype} to go with `pixels`, "
                f"got {alpha.shape} {alpha.dtype}."
            )
        parts.append(np.atleast_3d(alpha))
    return np.concatenate(parts, axis=2, dtype=pixels.dtype.newbyteorder("="))


def _check_format_holds(kind: str, samples: Pixels, path: str | os.PathLike[str]) -> None:
    dtype, count = samples.dtype.name, samples.shape[2]
    if kind == "PNG":
        rule = "uint8, and uint16 grey without alpha"
        holds = dtype == "uint8" or (dtype == "uint16" and count == 1)
    elif kind == "JPEG":
        rule = f"uint8 without alpha, at most {_JPEG_SIDE} pixels a side"
        holds = dtype == "uint8" and count in (1, 3) and max(samples.shape) <= _JPEG_SIDE
    else:
        rule = ", ".join(_TIFF_DTYPES)
        holds = dtype in _TIFF_DTYPES
    if not holds:
        got = f"{dtype} of shape {samples.shape[:2]} with {count} values a pixel"
        way_out = "Convert it with .astype" if kind == "TIFF" else "Save it as .tif"
        raise ValueError(f"{os.fspath(path)!r}: {kind} holds {rule}, got {got}. {way_out}.")


def _encode(kind: str, samples: Pixels) -> memoryview:
    count = samples.shape[2]
    array = samples[..., 0] if count == 1 else samples
    encoded = io.BytesIO()
    if kind == "TIFF":
        import tifffile

        tifffile.imwrite(
            encoded,
            array,
            photometric="rgb" if count >= 3 else "minisblack",
            planarconfig=None if count == 1 else "contig",
            extrasamples=["unassalpha"] if count in (2, 4) else None,
            compression="zlib",
            metadata=None,
        )
    else:
        from PIL import Image

        options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
        Image.fromarray(array).save(encoded, kind, **options)
    return encoded.getbuffer()
