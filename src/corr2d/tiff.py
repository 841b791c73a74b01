"""The pixels of one TIFF page, from the tags that tifffile read.

tifffile itself cannot unpack LZW without imagecodecs, and unpacks Deflate without a limit
(test_deflate_bomb).
"""

import io
import itertools
import lzma
import math
import os
import struct
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tifffile import TiffPage

Pixels = NDArray[Any]

COLOURS = {0: 1, 1: 1, 2: 3}  # by photometric interpretation: white is 0, black is 0, RGB
_PILLOW_UNPACKS = {5, 32773}  # LZW, PackBits (Zstandard is not in every Pillow)
_PILLOW_BYTES = 80_000_000  # a strip: beyond 89 million pixels Pillow warns of a bomb
_UNPACKS = {1, 8, 32946, 34925} | _PILLOW_UNPACKS  # none, Deflate by two numbers, LZMA


def obstacle(page: "TiffPage") -> tuple[str, str] | None:
    """Why the page cannot be read as it is, and the way out."""
    if page.subfiletype & 1:
        return "starts with a thumbnail (a camera's raw file?)", "Export it as a TIFF of one page"
    if page.photometric not in COLOURS:
        return f"is a {_name(page.photometric)} TIFF; corr2d reads grey and RGB", "Convert it to RGB or grey"
    samples = page.samplesperpixel
    if samples - COLOURS[page.photometric] not in (0, 1):
        return (
            f"has {samples} samples a pixel ({_name(page.photometric)}); corr2d reads grey and RGB, with or "
            "without alpha",
            "Save one picture a file",
        )
    if math.prod(page.shape) != page.imagelength * page.imagewidth * samples:
        return f"is a volume of shape {page.shape}", "Save each plane as a file of its own"
    bits = page.bitspersample
    dtype = np.dtype(object if page.dtype is None else page.dtype)
    if bits != 1 and (dtype.kind not in "uif" or dtype.itemsize * 8 != bits):
        return f"has {bits}-bit samples, {_name(page.dtype)}", "Save it with 8, 16 or 32 bits"
    if page.photometric == 0 and bits != 1 and dtype.kind != "u":
        return f"has {dtype} samples with white as 0", "Save it with black as 0"
    way_out = "Save it uncompressed or with Deflate"
    if page.compression not in _UNPACKS:
        return f"is compressed with {_name(page.compression)}", way_out
    if (
        page.compression in _PILLOW_UNPACKS
        and math.prod(_tile_shape(page)) * samples * bits > 8 * _PILLOW_BYTES
    ):
        return f"is compressed with {_name(page.compression)} in too large a strip", way_out
    # Of a predictor without compression libtiff and tifffile say different things.
    plain = bits == 1 or page.compression in (1, 32773)
    predictors = (1,) if plain else (1, 2, 3) if dtype.kind == "f" else (1, 2)
    if page.predictor not in predictors or page.fillorder != 1:
        return f"is packed with predictor {page.predictor}, fill order {page.fillorder}", way_out
    return None


def _name(value: Any) -> str:
    return str(getattr(value, "name", value))


def unpack_page(file: BinaryIO, page: "TiffPage", dtype: np.dtype[Any]) -> Pixels:
    """Unpack strips or tiles into (h, w, samples); a strip is a tile as wide as the picture."""
    h, w, bits = page.imagelength, page.imagewidth, page.bitspersample
    th, tw = _tile_shape(page)
    planes, samples = (page.samplesperpixel, 1) if page.planarconfig == 2 else (1, page.samplesperpixel)
    row_bytes = (tw * samples * bits + 7) // 8
    end = file.seek(0, os.SEEK_END)
    out = np.empty((planes, h, w, samples), dtype.newbyteorder("="))
    places = itertools.product(range(planes), range(0, h, th), range(0, w, tw))
    for (plane, y, x), offset, count in zip(places, page.dataoffsets, page.databytecounts, strict=True):
        if offset + count > end:
            raise ValueError(f"the pixels at byte {offset} go on beyond the end of the file")
        file.seek(offset)
        rows = th if page.is_tiled else min(th, h - y)
        packed = _decompress(page.compression, file.read(count), rows * row_bytes)
        tile = np.frombuffer(packed, np.uint8).reshape(rows, row_bytes)
        if bits == 1:
            tile = np.unpackbits(tile, axis=1)[:, : tw * samples] * np.uint8(255)
        else:
            tile = _unpredict(page.predictor, tile, dtype, samples)
        out[plane, y : y + th, x : x + tw] = tile.reshape(rows, tw, samples)[: h - y, : w - x]
    return out[0] if planes == 1 else np.moveaxis(out[..., 0], 0, -1)


def _tile_shape(page: "TiffPage") -> tuple[int, int]:
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth


def _decompress(compression: int, packed: bytes, size: int) -> bytes:
    """Unpack `size` bytes, however many there are (test_deflate_bomb)."""
    if compression in _PILLOW_UNPACKS:
        return _decompress_with_pillow(compression, packed, size)
    if compression in (8, 32946):
        packed = zlib.decompressobj().decompress(packed, size)
    elif compression == 34925:
        packed = lzma.LZMADecompressor().decompress(packed, size)
    return packed[:size]


def _decompress_with_pillow(compression: int, packed: bytes, size: int) -> bytes:
    """Hand the bytes to libtiff as a grey picture of one row: so it serves every dtype and layout."""
    from PIL.TiffImagePlugin import TiffImageFile

    tags = {256: size, 257: 1, 258: 8, 259: compression, 262: 1, 273: 122, 277: 1, 278: 1, 279: len(packed)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    strip = struct.pack("<4sIH", b"II*\0", 8, len(tags)) + entries + bytes(4) + packed
    with TiffImageFile(io.BytesIO(strip)) as picture:
        return picture.tobytes()


def _unpredict(predictor: int, tile: Pixels, dtype: np.dtype[Any], samples: int) -> Pixels:
    """Undo differences along the row: of numbers (2), or of the bytes of floats, highest byte first (3)."""
    rows = len(tile)
    if predictor == 1:
        return tile.view(dtype)
    if predictor == 2:
        # As unsigned numbers, floats too: that is what libtiff subtracts.
        numbers = tile.view(dtype.str[0] + f"u{dtype.itemsize}").reshape(rows, -1, samples)
        return np.cumsum(numbers, axis=1, dtype=f"=u{dtype.itemsize}").view(dtype.newbyteorder("="))
    summed = np.cumsum(tile.reshape(rows, -1, samples), axis=1, dtype=np.uint8)
    by_number = summed.reshape(rows, dtype.itemsize, -1).swapaxes(1, 2)
    return np.ascontiguousarray(by_number).view(dtype.newbyteorder(">"))
