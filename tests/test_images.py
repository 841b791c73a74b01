import io
import os
import re
import resource
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from corr2d.images import Picture, read, write

TIFF_DTYPES = ["uint8", "uint16", "uint32", "int16", "int32", "float16", "float32", "float64"]


def noise(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return rng.normal(scale=100, size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, size=shape, dtype=dtype, endpoint=True)


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def refused(path, content=None, **options):
    """Return the text of the refusal; anything but ValueError fails."""
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{re.escape(repr(str(path)))}") as caught:
        read(path, **options)
    assert type(caught.value) is ValueError
    assert str(caught.value).endswith(".")
    return str(caught.value)


def assert_same(got, want):
    assert got.dtype == want.dtype
    assert got.dtype.isnative
    np.testing.assert_array_equal(got, want)


# Files made by hand


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, depth, colour_type, rows, *chunks):
    """Rows: bytes, each row with its filter byte."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def exif(orientation, field_type=3):
    value = struct.pack(">HH", orientation, 0) if field_type == 3 else struct.pack(">I", orientation)
    return b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHI", 0x0112, field_type, 1) + value + bytes(4)


def tiff(tags, data=b"", next_page=0, order="<"):
    """Classic TIFF: data at byte 8, then one directory; tags: {number: (type, value or list of values)}."""
    sizes = {1: "B", 3: "H", 4: "I"}
    at = 8 + len(data)
    entries, heap = b"", b""
    heap_at = at + 2 + 12 * len(tags) + 4
    for tag, (kind, value) in sorted(tags.items()):
        values = value if isinstance(value, list) else [value]
        body = struct.pack(f"{order}{len(values)}{sizes[kind]}", *values)
        entries += struct.pack(f"{order}HHI", tag, kind, len(values))
        if len(body) <= 4:
            entries += body.ljust(4, b"\0")
        else:
            entries += struct.pack(f"{order}I", heap_at + len(heap))
            heap += body
    magic = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", next_page)
    return magic + struct.pack(f"{order}I", at) + data + directory + heap


def grey_tags(h, w, size, **changes):
    """Tags of an uncompressed 8-bit grey picture in one strip."""
    tags = {256: (4, w), 257: (4, h), 258: (3, 8), 259: (3, 1), 262: (3, 1), 273: (4, 8), 277: (3, 1)}
    tags |= {278: (4, h), 279: (4, size)}
    return tags | {int(name[1:]): value for name, value in changes.items()}


# What comes back is what was written


@pytest.mark.parametrize(
    "shape", [(5, 7), (1, 1), (1, 9), (9, 1), (5, 3), (4, 6, 3), (1, 1, 3), (300, 200, 3)]
)
@pytest.mark.parametrize("dtype", TIFF_DTYPES)
@pytest.mark.parametrize("with_alpha", [False, True])
def test_tiff_round_trip(tmp_path, shape, dtype, with_alpha):
    pixels = noise(shape, dtype)
    alpha = noise(shape[:2], dtype, seed=1) if with_alpha else None
    write(tmp_path / "p.tiff", pixels, alpha=alpha)
    got = read(tmp_path / "p.tiff")
    assert_same(got.pixels, pixels)
    assert (got.alpha is None) if alpha is None else (assert_same(got.alpha, alpha) is None)
    assert not got.lossy
    assert got.path == tmp_path / "p.tiff"


@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (1, 9), (9, 1), (5, 3), (4, 6, 3)])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_png_round_trip(tmp_path, shape, with_alpha):
    pixels = noise(shape, "uint8")
    alpha = noise(shape[:2], "uint8", seed=1) if with_alpha else None
    write(tmp_path / "p.png", pixels, alpha=alpha)
    got = read(tmp_path / "p.png")
    assert_same(got.pixels, pixels)
    assert (got.alpha is None) if alpha is None else (assert_same(got.alpha, alpha) is None)
    assert not got.lossy


def test_16_bit_grey_png_round_trip(tmp_path):
    pixels = noise((6, 5), "uint16")
    write(tmp_path / "p.png", pixels)
    assert_same(read(tmp_path / "p.png").pixels, pixels)


@pytest.mark.parametrize("shape", [(16, 24), (16, 24, 3)])
@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG"])
def test_jpeg_is_close_and_says_that_it_is_lossy(tmp_path, shape, suffix):
    pixels = np.broadcast_to(np.linspace(30, 220, shape[1]).reshape([1, -1] + [1] * (len(shape) - 2)), shape)
    pixels = pixels.astype(np.uint8)
    write(tmp_path / f"p{suffix}", pixels)
    got = read(tmp_path / f"p{suffix}")
    assert got.lossy
    assert got.pixels.dtype == np.uint8
    assert got.pixels.shape == shape
    assert np.abs(got.pixels.astype(int) - pixels).max() <= 4


def test_jpeg_keeps_colour_at_full_resolution(tmp_path):
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:, ::2, 0] = 200
    write(tmp_path / "p.jpg", pixels)
    got = read(tmp_path / "p.jpg").pixels
    assert np.abs(got.astype(int) - pixels).max() < 30  # 4:2:0 smears red over neighbours: off by over 60


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_foreign_memory_layouts_are_written_right(tmp_path, suffix):
    base = noise((8, 10), "uint16")
    layouts = [
        base[::-1, ::-2],
        np.asfortranarray(base),
        base.astype(">u2"),
        np.broadcast_to(base[:1], (4, 10)),
    ]
    for pixels in layouts:
        pixels.flags.writeable = False
        write(tmp_path / f"p{suffix}", pixels)
        assert_same(read(tmp_path / f"p{suffix}").pixels, pixels.astype(np.uint16))


def test_pixels_are_contiguous_and_may_be_changed(tmp_path):
    for name in ("p.png", "p.jpg", "p.tif"):
        write(tmp_path / name, noise((4, 5, 3), "uint8"))
        pixels = read(tmp_path / name).pixels
        assert pixels.flags.c_contiguous
        assert pixels.flags.writeable


def test_other_programs_read_our_files(tmp_path):
    pixels, alpha = noise((5, 6, 3), "uint8"), noise((5, 6), "uint8", seed=1)
    for name in ("p.png", "p.tif"):
        write(tmp_path / name, pixels, alpha=alpha)
        with Image.open(tmp_path / name) as picture:
            assert picture.mode == "RGBA"
            np.testing.assert_array_equal(np.array(picture), np.dstack([pixels, alpha]))
    for dtype in TIFF_DTYPES:
        write(tmp_path / "p.tif", noise((5, 6, 3), dtype))
        assert_same(tifffile.imread(tmp_path / "p.tif"), noise((5, 6, 3), dtype))


# The kind is told from the first bytes


@pytest.mark.parametrize("kind", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize("name", ["p.png", "p.jpg", "p.tif", "p", "p.gif"])
def test_suffix_does_not_matter_for_reading(tmp_path, kind, name):
    write(tmp_path / f"real{kind}", noise((4, 4), "uint8"))
    os.rename(tmp_path / f"real{kind}", tmp_path / name)
    got = read(tmp_path / name)
    assert got.pixels.shape == (4, 4)
    assert got.lossy == (kind == ".jpg")


def pillow_file(kind):
    encoded = io.BytesIO()
    Image.new("RGB", (4, 4)).save(encoded, kind)
    return encoded.getvalue()


def numpy_file(save):
    encoded = io.BytesIO()
    save(encoded, np.zeros((2, 2)))
    return encoded.getvalue()


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"", "is empty"),
        (b"just some text", r"is something else (it starts with b'just som')"),
        (bytes(100), "is something else"),
        (pillow_file("GIF"), "is a GIF picture"),
        (pillow_file("BMP"), "is a BMP picture"),
        (pillow_file("PDF"), "is a PDF document"),
        (pillow_file("EPS"), "is a PostScript or EPS drawing"),
        (b"\xc5\xd0\xd3\xc6" + bytes(30), "is an EPS drawing"),
        (b"RIFF\x20\0\0\0WEBPVP8 ", "is a WebP picture"),
        (b"\0\0\0\x20ftypavif", "is a HEIC or AVIF picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is an SVG drawing"),
        (b"<?xml version='1.0'?><svg/>", "is an SVG drawing or another XML file"),
        (numpy_file(np.save), "is a NumPy array"),
        (numpy_file(np.savez), "is a zip archive"),
        (b"\x80\x04\x95", "is a pickle"),
        (b"P6 2 2 255 " + bytes(12), "is something else"),
    ],
)
@pytest.mark.parametrize("name", ["p.png", "p.gif"])
def test_other_kinds_are_refused(tmp_path, content, got, name):
    text = refused(tmp_path / name, content)
    assert got in text
    assert "corr2d reads PNG, JPEG and TIFF" in text


def test_other_kind_error_text(tmp_path):
    path = tmp_path / "x.gif"
    assert refused(path, b"GIF89a") == (
        f"{str(path)!r} is a GIF picture; corr2d reads PNG, JPEG and TIFF. Save it as PNG first."
    )


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        read(tmp_path / "nowhere.png")
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        read(tmp_path)


def test_devices_and_pipes_do_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in ("/dev/zero", "/dev/null", tmp_path / "pipe.png"):
        with pytest.raises(
            ValueError, match="is a device, a pipe or a socket; corr2d reads and writes regular"
        ):
            read(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything: run the tests as an ordinary user")
def test_unreadable_file(tmp_path):
    write(tmp_path / "p.png", noise((4, 4), "uint8"))
    (tmp_path / "p.png").chmod(0)
    with pytest.raises(PermissionError, match=r"p\.png"):
        read(tmp_path / "p.png")


@pytest.mark.parametrize(
    "name", ['it\'s "so".png', "two\nlines.png", "<script>.png", os.fsdecode(b"\xff\xfe.png")]
)
def test_odd_names_work_and_can_be_printed(tmp_path, name):
    write(tmp_path / name, noise((4, 4), "uint8"))
    assert read(tmp_path / name).pixels.shape == (4, 4)
    text = refused(tmp_path / name, b"GIF89a")
    text.encode("utf-8")
    assert "\n" not in text
    with pytest.raises(ValueError, match="PNG holds") as caught:
        write(tmp_path / name, np.zeros((2, 2)))
    str(caught.value).encode("utf-8")


# PNG


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_grey_png_of_few_bits_is_spread_evenly(tmp_path, depth):
    levels = np.arange(2**depth)
    bits = np.unpackbits(levels.astype(np.uint8)[:, None], axis=1)[:, 8 - depth :]
    rows = b"\0" + np.packbits(bits.ravel()).tobytes()
    (tmp_path / "p.png").write_bytes(png(2**depth, 1, depth, 0, rows))
    got = read(tmp_path / "p.png")
    assert_same(got.pixels, (levels * (255 // (2**depth - 1))).astype(np.uint8)[None])
    assert got.alpha is None


@pytest.mark.parametrize("high_bits", [0, 0x100])
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_transparent_grey(tmp_path, depth, high_bits):
    levels = np.arange(2 ** min(depth, 8))
    if depth == 16:
        rows = b"\0" + (levels * 257).astype(">u2").tobytes()
    else:
        bits = np.unpackbits(levels.astype(np.uint8)[:, None], axis=1)[:, 8 - depth :]
        rows = b"\0" + np.packbits(bits.ravel()).tobytes()
    transparent = 257 if depth == 16 else 1 + high_bits
    content = png(len(levels), 1, depth, 0, rows, chunk(b"tRNS", struct.pack(">H", transparent)))
    (tmp_path / "p.png").write_bytes(content)
    got = read(tmp_path / "p.png")
    assert got.pixels.shape == got.alpha.shape == (1, len(levels))
    assert got.alpha.dtype == got.pixels.dtype
    want = np.full(len(levels), 65535 if depth == 16 else 255)
    want[1] = 0
    np.testing.assert_array_equal(got.alpha[0], want)


def test_transparent_colour(tmp_path):
    rows = b"\0" + bytes([1, 2, 3, 1, 2, 4, 1, 2, 3])
    (tmp_path / "p.png").write_bytes(png(3, 1, 8, 2, rows, chunk(b"tRNS", struct.pack(">3H", 1, 2, 3))))
    got = read(tmp_path / "p.png")
    assert_same(got.pixels, np.array([[[1, 2, 3], [1, 2, 4], [1, 2, 3]]], np.uint8))
    assert_same(got.alpha, np.array([[0, 255, 0]], np.uint8))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_palette_becomes_rgb(tmp_path, depth):
    palette = noise((2**depth, 3), "uint8")
    indices = np.arange(2**depth)
    bits = np.unpackbits(indices.astype(np.uint8)[:, None], axis=1)[:, 8 - depth :]
    rows = b"\0" + np.packbits(bits.ravel()).tobytes()
    colours = chunk(b"PLTE", palette.tobytes())
    (tmp_path / "p.png").write_bytes(png(2**depth, 1, depth, 3, rows, colours))
    got = read(tmp_path / "p.png")
    assert_same(got.pixels, palette[None])
    assert got.alpha is None


@pytest.mark.parametrize("transparency", [b"\xff\0\x80", b"\xff\0", b"\0"])
def test_palette_with_transparency(tmp_path, transparency):
    palette = noise((4, 3), "uint8")
    chunks = [chunk(b"PLTE", palette.tobytes()), chunk(b"tRNS", transparency)]
    (tmp_path / "p.png").write_bytes(png(4, 1, 2, 3, b"\0\x1b", *chunks))
    got = read(tmp_path / "p.png")
    assert_same(got.pixels, palette[None])
    assert_same(got.alpha, np.frombuffer(transparency.ljust(4, b"\xff"), np.uint8)[None])


@pytest.mark.parametrize(("colour_type", "samples"), [(2, 3), (4, 2), (6, 4)])
def test_16_bit_png_with_colour_or_alpha_is_refused(tmp_path, colour_type, samples):
    text = refused(tmp_path / "p.png", png(2, 1, 16, colour_type, b"\0" + bytes(2 * 2 * samples)))
    assert (
        "16-bit PNG with colour or alpha, which would be reduced to 8 bits. Save it as 16-bit TIFF." in text
    )


def test_animated_png_is_refused(tmp_path):
    frames = [Image.new("L", (4, 4), value) for value in (0, 100, 200)]
    frames[0].save(tmp_path / "p.png", save_all=True, append_images=frames[1:])
    assert "is animated (3 frames). Save one frame as a file." in refused(tmp_path / "p.png")


def test_interlaced_png(tmp_path):
    # Adam7, 2 x 2: pass 1 holds (0, 0), pass 6 (0, 1), pass 7 the second row.
    header = struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 1)
    data = zlib.compress(b"\0\x01" + b"\0\x02" + b"\0\x03\x04")
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    (tmp_path / "p.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    assert_same(read(tmp_path / "p.png").pixels, np.array([[1, 2], [3, 4]], np.uint8))


# JPEG


@pytest.mark.parametrize("mode", ["CMYK"])
def test_cmyk_jpeg_is_refused(tmp_path, mode):
    Image.new(mode, (8, 8)).save(tmp_path / "p.jpg")
    assert "is a CMYK JPEG; corr2d reads grey and RGB. Convert it to RGB." in refused(tmp_path / "p.jpg")


# TIFF


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", TIFF_DTYPES)
@pytest.mark.parametrize("bigtiff", [False, True])
def test_either_byte_order_comes_back_native(tmp_path, order, dtype, bigtiff):
    pixels = noise((6, 5), dtype)
    tifffile.imwrite(tmp_path / "p.tif", pixels, byteorder=order, bigtiff=bigtiff)
    assert_same(read(tmp_path / "p.tif").pixels, pixels)


@pytest.mark.parametrize("compression", [None, "zlib", "lzma"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("layout", [{"rowsperstrip": 7}, {"rowsperstrip": 100}, {"tile": (16, 32)}])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_strips_tiles_and_planes(tmp_path, compression, planar, layout, dtype, order):
    pixels = noise((41, 37, 3), dtype)
    stored = pixels if planar == "contig" else np.moveaxis(pixels, 2, 0)
    options = {"photometric": "rgb", "planarconfig": planar, "compression": compression, "byteorder": order}
    tifffile.imwrite(tmp_path / "p.tif", stored, **options, **layout)
    assert_same(read(tmp_path / "p.tif").pixels, pixels)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("shape", [(41, 37), (41, 37, 3)])
def test_differences_along_the_row_are_summed(tmp_path, dtype, order, shape):
    pixels = noise(shape, dtype)
    photometric = "rgb" if len(shape) == 3 else "minisblack"
    tifffile.imwrite(
        tmp_path / "p.tif", pixels, compression="zlib", predictor=2, byteorder=order, photometric=photometric
    )
    assert_same(read(tmp_path / "p.tif").pixels, pixels)


@pytest.mark.parametrize(
    ("compression", "predictor"),
    [
        ("tiff_lzw", 1),
        ("tiff_lzw", 2),
        ("tiff_adobe_deflate", 1),
        ("tiff_adobe_deflate", 2),
        ("packbits", 1),
    ],
)
@pytest.mark.parametrize("shape", [(300, 200), (300, 200, 3), (300, 200, 4)])
def test_libtiffs_compressions(tmp_path, compression, predictor, shape):
    pixels = noise((300, 200, 4), "uint8") // 64
    pixels = pixels[..., 0] if len(shape) == 2 else pixels[..., : shape[2]]
    Image.fromarray(pixels).save(tmp_path / "p.tif", compression=compression, tiffinfo={317: predictor})
    with tifffile.TiffFile(tmp_path / "p.tif") as file:
        assert file.pages.first.predictor == predictor
    got = read(tmp_path / "p.tif")
    assert_same(got.pixels, np.ascontiguousarray(pixels[..., :3]) if len(shape) == 3 else pixels)
    assert (got.alpha is None) == (shape != (300, 200, 4))


@pytest.mark.parametrize("predictor", [1, 2])
def test_lzw_16_bit_grey(tmp_path, predictor):
    pixels = noise((50, 40), "uint16")
    Image.fromarray(pixels).save(tmp_path / "p.tif", compression="tiff_lzw", tiffinfo={317: predictor})
    assert_same(read(tmp_path / "p.tif").pixels, pixels)


@pytest.mark.parametrize("predictor", [1, 2, 3])
@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_float_predictors(tmp_path, predictor, compression):
    pixels = noise((50, 40), "float32")
    Image.fromarray(pixels).save(tmp_path / "p.tif", compression=compression, tiffinfo={317: predictor})
    with tifffile.TiffFile(tmp_path / "p.tif") as file:
        assert file.pages.first.predictor == predictor
    assert_same(read(tmp_path / "p.tif").pixels, pixels)


def lzw(data):
    """TIFF's LZW with a Clear before every code, which any decoder accepts: 9 bits each."""
    bits = "".join(f"{256:09b}{byte:09b}" for byte in data) + f"{257:09b}"
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


@pytest.mark.parametrize("order", ["<", ">"])
def test_lzw_16_bit_colour(tmp_path, order):
    # Pillow has no mode for it: this is why strips go through libtiff as bytes.
    pixels = noise((4, 5, 3), "uint16")
    packed = lzw(pixels.astype(f"{order}u2").tobytes())
    tags = grey_tags(4, 5, len(packed), t258=(3, [16] * 3), t259=(3, 5), t262=(3, 2), t277=(3, 3))
    (tmp_path / "p.tif").write_bytes(tiff(tags, packed, order=order))
    assert_same(read(tmp_path / "p.tif").pixels, pixels)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("width", [1, 7, 8, 9, 33])
def test_1_bit_tiff_becomes_0_and_255(tmp_path, photometric, width):
    bits = np.random.default_rng(0).random((5, width)) > 0.5
    tifffile.imwrite(tmp_path / "p.tif", bits, photometric=photometric)
    want = bits if photometric == "minisblack" else ~bits
    assert_same(read(tmp_path / "p.tif").pixels, np.where(want, 255, 0).astype(np.uint8))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_white_as_zero_is_inverted(tmp_path, dtype):
    pixels = noise((4, 5), dtype)
    tifffile.imwrite(tmp_path / "p.tif", pixels, photometric="miniswhite")
    assert_same(read(tmp_path / "p.tif").pixels, np.iinfo(dtype).max - pixels)


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_white_as_zero_needs_a_largest_value(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "p.tif", noise((4, 5), dtype), photometric="miniswhite")
    assert f"has {dtype} samples with white as 0. Save it with black as 0." in refused(tmp_path / "p.tif")


@pytest.mark.parametrize(
    ("alpha", "kind", "taken"), [(255, 1, True), (200, 1, False), (200, 2, True), (200, 0, True)]
)
def test_colours_multiplied_by_alpha_are_refused(tmp_path, alpha, kind, taken):
    pixels = noise((3, 4, 4), "uint8")
    pixels[..., 3] = alpha
    tifffile.imwrite(tmp_path / "p.tif", pixels, photometric="rgb", extrasamples=[kind])
    if taken:
        got = read(tmp_path / "p.tif")
        assert_same(got.pixels, np.ascontiguousarray(pixels[..., :3]))
        assert_same(got.alpha, np.ascontiguousarray(pixels[..., 3]))
    else:
        assert "multiplied by its alpha" in refused(tmp_path / "p.tif")


def test_alpha_that_is_not_declared_is_still_alpha(tmp_path):
    (tmp_path / "p.tif").write_bytes(
        tiff(grey_tags(1, 2, 4, t277=(3, 2), t258=(3, [8, 8])), bytes([1, 2, 3, 4]))
    )
    got = read(tmp_path / "p.tif")
    assert got.pixels.tolist() == [[1, 3]]
    assert got.alpha.tolist() == [[2, 4]]


def test_several_pages_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "p.tif", noise((3, 4, 5), "uint8"), photometric="minisblack")
    assert "holds several pages. Save the page as a file of its own." in refused(tmp_path / "p.tif")


def test_volume_in_one_page_is_refused(tmp_path):
    volume = noise((32, 32, 32), "uint8")
    tifffile.imwrite(tmp_path / "p.tif", volume, volumetric=True, tile=(16, 16, 16), photometric="minisblack")
    assert "is a volume of shape (32, 32, 32)" in refused(tmp_path / "p.tif")


def test_thumbnail_first_is_refused(tmp_path):
    # A camera's raw file shows a small RGB picture first: reading it would be a silent reduction.
    tifffile.imwrite(tmp_path / "p.dng", noise((4, 5, 3), "uint8"), photometric="rgb", subfiletype=1)
    assert "starts with a thumbnail" in refused(tmp_path / "p.dng")


@pytest.mark.parametrize("mode", ["CMYK", "LAB", "P", "YCbCr"])
def test_other_colour_spaces_are_refused(tmp_path, mode):
    picture = Image.new("RGB", (8, 8)).quantize(4) if mode == "P" else Image.new(mode, (8, 8))
    picture.save(tmp_path / "p.tif")
    assert "corr2d reads grey and RGB. Convert it to RGB or grey." in refused(tmp_path / "p.tif")


@pytest.mark.parametrize(("photometric", "samples"), [("minisblack", 3), ("minisblack", 5), ("rgb", 5)])
def test_other_numbers_of_samples_are_refused(tmp_path, photometric, samples):
    pixels = noise((4, 6, samples), "uint8")
    tifffile.imwrite(
        tmp_path / "p.tif", pixels, photometric=photometric, planarconfig="contig", metadata=None
    )
    assert f"has {samples} samples a pixel" in refused(tmp_path / "p.tif")


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_is_refused(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "p.tif", np.ones((4, 5), dtype), photometric="minisblack")
    assert "-bit samples, complex" in refused(tmp_path / "p.tif")


@pytest.mark.parametrize("bits", [2, 4, 12, 24])
def test_odd_depths_are_refused(tmp_path, bits):
    content = tiff(grey_tags(2, 8, 2 * bits, t258=(3, bits)), bytes(2 * bits))
    assert f"has {bits}-bit samples" in refused(tmp_path / "p.tif", content)


@pytest.mark.parametrize(("number", "name"), [(7, "JPEG"), (34887, "LERC"), (50001, "WEBP"), (50000, "ZSTD")])
def test_other_compressions_are_named(tmp_path, number, name):
    content = tiff(grey_tags(2, 2, 4, t259=(3, number)), bytes(4))
    text = refused(tmp_path / "p.tif", content)
    assert f"is compressed with {name}. Save it uncompressed or with Deflate." in text


@pytest.mark.parametrize(
    "change",
    [
        {"t259": (3, 8), "t317": (3, 34892)},
        {"t259": (3, 8), "t317": (3, 3)},
        {"t317": (3, 2)},
        {"t266": (3, 2)},
    ],
)
def test_other_packings_are_named(tmp_path, change):
    content = tiff(grey_tags(2, 2, 4, **change), bytes(4))
    assert "is packed with predictor" in refused(tmp_path / "p.tif", content)


def test_lzw_strip_beyond_pillows_limit_is_refused(tmp_path):
    content = tiff(grey_tags(9000, 9000, 4, t259=(3, 5)), bytes(4))
    assert "is compressed with LZW in too large a strip" in refused(tmp_path / "p.tif", content)


# Orientation


def oriented(path, stored, orientation):
    if path.suffix == ".tif":
        tifffile.imwrite(
            path,
            stored,
            photometric="rgb" if stored.shape[2:] in ((3,), (4,)) else "minisblack",
            extrasamples=["unassalpha"] if stored.shape[2:] == (4,) else None,
            extratags=[(274, 3, 1, orientation, True)],
        )
    elif path.suffix == ".png":
        Image.fromarray(stored).save(path, exif=b"Exif\0\0" + exif(orientation))
    else:
        Image.fromarray(stored).save(path, quality=100, exif=b"Exif\0\0" + exif(orientation))


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
@pytest.mark.parametrize("shape", [(8, 16), (8, 16, 3), (8, 16, 4)])
def test_orientation_is_applied_as_pillow_does(tmp_path, orientation, suffix, shape):
    if suffix == ".jpg" and len(shape) == 3 and shape[2] == 4:
        shape = shape[:2]  # JPEG holds no alpha
    stored = noise(shape, "uint8")
    path = tmp_path / f"p{suffix}"
    oriented(path, stored, 1)
    level = read(path)
    oriented(path, stored, orientation)
    got = read(path)
    for array, before in ((got.pixels, level.pixels), (got.alpha, level.alpha)):
        if before is None:
            assert array is None
            continue
        picture = Image.fromarray(before)
        picture.getexif()[0x0112] = orientation
        assert_same(array, np.array(ImageOps.exif_transpose(picture)))


def test_orientation_6_is_a_quarter_turn_clockwise(tmp_path):
    for name in ("p.png", "p.tif"):
        oriented(tmp_path / name, np.array([[1, 2, 3], [4, 5, 6]], np.uint8), 6)
        assert read(tmp_path / name).pixels.tolist() == [[4, 1], [5, 2], [6, 3]]


@pytest.mark.parametrize(
    "junk", [b"", b"junkjunkjunk", b"MM\0*", exif(3, field_type=5), exif(70000, field_type=4)]
)
def test_junk_orientation_counts_as_none(tmp_path, junk):
    (tmp_path / "p.png").write_bytes(png(2, 1, 8, 0, b"\0\x01\x02", chunk(b"eXIf", junk)))
    assert read(tmp_path / "p.png").pixels.tolist() == [[1, 2]]


def test_junk_orientation_in_a_tiff_counts_as_none(tmp_path):
    for junk in (0, 9, 65535, [6, 6], []):
        (tmp_path / "p.tif").write_bytes(tiff(grey_tags(1, 2, 2, t274=(3, junk)), b"\x01\x02"))
        assert read(tmp_path / "p.tif").pixels.tolist() == [[1, 2]]


# Size


def big_file(kind, h, w):
    if kind == "png":
        return png(w, h, 8, 0, b"")
    if kind == "tif":
        return tiff(grey_tags(h, w, 4), bytes(4))
    encoded = io.BytesIO()
    Image.new("L", (8, 8)).save(encoded, "JPEG")
    content = bytearray(encoded.getvalue())
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", h, w)
    return bytes(content)


@pytest.mark.parametrize("kind", ["png", "tif", "jpg"])
@pytest.mark.parametrize(("h", "w"), [(10_000, 12_000), (40_000, 40_000), (65_000, 65_000)])
def test_bombs_are_refused_before_decoding(tmp_path, kind, h, w):
    started = time.monotonic()
    text = refused(tmp_path / "p", big_file(kind, h, w), max_pixels=100_000_000)
    assert f"holds {h} x {w} = {h * w} pixels, more than max_pixels=100000000" in text
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_two_thousand_million_squared(tmp_path, kind):
    text = refused(tmp_path / "p", big_file(kind, 2 * 10**9, 2 * 10**9))
    assert "4000000000000000000 pixels, more than max_pixels=200000000" in text


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_limit_itself_is_allowed(tmp_path, suffix):
    write(tmp_path / f"p{suffix}", noise((6, 7), "uint8"))
    assert read(tmp_path / f"p{suffix}", max_pixels=42).pixels.shape == (6, 7)
    text = refused(tmp_path / f"p{suffix}", max_pixels=41)
    assert (
        "6 x 7 = 42 pixels, more than max_pixels=41. Pass a larger max_pixels= if you trust the file." in text
    )


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_pillows_limit_is_neither_met_nor_touched(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    write(tmp_path / f"p{suffix}", noise((6, 7), "uint8"))
    assert read(tmp_path / f"p{suffix}").pixels.shape == (6, 7)
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("tags", [{}, {"t322": (4, 16), "t323": (4, 16)}])
def test_deflate_bomb(tmp_path, tags):
    packer = zlib.compressobj(9)
    first, again = (packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    bomb = first + again * 255  # 256 MB
    path = tmp_path / "p.tif"
    path.write_bytes(tiff(grey_tags(16, 16, len(bomb), t259=(3, 8), **tags), bomb))
    tracemalloc.start()
    try:
        assert read(path).pixels.shape == (16, 16)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


# Damage


def good_files():
    rng = np.random.default_rng(3)
    colour, deep = (
        rng.integers(0, 256, (30, 40, 3), dtype=np.uint8),
        rng.integers(0, 65536, (30, 40), np.uint16),
    )
    for name, array, options in (
        ("png", colour, {"format": "PNG"}),
        ("png16", deep, {"format": "PNG"}),
        ("jpeg", colour, {"format": "JPEG"}),
        ("progressive", colour, {"format": "JPEG", "progressive": True}),
        ("lzw", colour, {"format": "TIFF", "compression": "tiff_lzw"}),
        ("packbits", colour, {"format": "TIFF", "compression": "packbits"}),
    ):
        encoded = io.BytesIO()
        Image.fromarray(array).save(encoded, **options)
        yield name, encoded.getvalue()
    for name, options in (
        ("raw", {}),
        ("deflate", {"compression": "zlib", "rowsperstrip": 7}),
        ("lzma", {"compression": "lzma"}),
        ("tiles", {"tile": (16, 16)}),
        ("big", {"bigtiff": True}),
    ):
        encoded = io.BytesIO()
        tifffile.imwrite(encoded, colour, photometric="rgb", **options)
        yield name, encoded.getvalue()


GOOD = dict(good_files())


def picture_or_error(path, **options):
    try:
        return read(path, **options)
    except ValueError as error:
        return error


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
@pytest.mark.parametrize("sixteenth", range(1, 16))
@pytest.mark.parametrize("name", GOOD)
def test_truncated_files(tmp_path, name, sixteenth):
    content = GOOD[name]
    (tmp_path / "whole").write_bytes(content)
    whole = read(tmp_path / "whole").pixels
    path = tmp_path / "cut"
    path.write_bytes(content[: len(content) * sixteenth // 16])
    started = time.monotonic()
    got = picture_or_error(path)
    if isinstance(got, ValueError):
        assert "cannot be read: truncated or damaged (" in str(got)
        assert got.__cause__ is not None
    else:
        np.testing.assert_array_equal(got.pixels, whole)
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("name", ["jpeg", "progressive", "png"])
def test_half_a_picture_is_refused(tmp_path, name):
    content = GOOD[name]
    assert "truncated or damaged" in refused(tmp_path / "p", content[: len(content) // 2])


@pytest.mark.parametrize("name", ["png", "jpeg", "raw"])
def test_first_bytes_alone(tmp_path, name):
    for count in range(4, 40):
        assert refused(tmp_path / "p", GOOD[name][:count])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", GOOD)
def test_flipped_bytes_give_a_picture_or_a_value_error(tmp_path, name):
    rng = np.random.default_rng(5)
    path = tmp_path / "p"
    content = GOOD[name]
    started = time.monotonic()
    for trial in range(40):
        damaged = bytearray(content)
        # Headers lie at the front or the back; that is where a wrong byte asks for the impossible.
        where = rng.integers(0, 200, 3) * (1 if trial % 2 else -1) - (trial % 2 == 0)
        for at in where:
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged)
        got = picture_or_error(path, max_pixels=10_000_000)
        assert type(got) in (Picture, ValueError)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("order", ["<", ">"])
def test_circular_directories_end_at_once(tmp_path, order):
    started = time.monotonic()
    circle = tiff(grey_tags(1, 2, 2), b"\x01\x02", next_page=10, order=order)  # the directory is at byte 10
    assert "holds several pages" in refused(tmp_path / "p.tif", circle)
    first = tiff(grey_tags(1, 2, 2), b"\x01\x02", next_page=10 + 114, order=order)
    second = first[10:-4] + struct.pack(f"{order}I", 10)
    assert "holds several pages" in refused(tmp_path / "p.tif", first + second)
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "content",
    [
        b"II*\0\x08\0\0\0",
        b"II*\0\0\0\0\0",
        b"II*\0\xff\xff\xff\xff",
        b"II+\0\x08\0\0\0" + b"\xff" * 8,
        tiff({}),
        tiff(grey_tags(0, 5, 0)),
        tiff(grey_tags(5, 0, 0)),
        tiff(grey_tags(2, 2, 3), bytes(3)),
        tiff(grey_tags(2, 2, 0), bytes(4)),
        tiff(grey_tags(2, 2, 2**32 - 1), bytes(4)),
        tiff(grey_tags(2, 2, 4, t278=(4, 0)), bytes(4)),
        tiff(grey_tags(2, 2, 4, t278=(4, 1)), bytes(4)),
        tiff(grey_tags(2, 2, 4, t273=(4, 2**32 - 1)), bytes(4)),
        tiff(grey_tags(20_000, 10_000, 4, t259=(3, 8)), bytes(4)),
        tiff(grey_tags(20_000, 10_000, 4, t278=(4, 1)), bytes(4)),
        tiff(grey_tags(2, 2, 4, t322=(4, 0), t323=(4, 0)), bytes(4)),
        tiff(grey_tags(2, 2, 4, t322=(4, 2**31), t323=(4, 2**31)), bytes(4)),
    ],
)
def test_malformed_tiffs(tmp_path, content):
    started = time.monotonic()
    assert "cannot be read: truncated or damaged" in refused(tmp_path / "p.tif", content)
    assert time.monotonic() - started < 1


def test_wrong_checksum_in_deflate_is_noticed(tmp_path):
    packed = bytearray(zlib.compress(bytes(4)))
    packed[-1] ^= 1
    content = tiff(grey_tags(2, 2, len(packed), t259=(3, 8)), bytes(packed))
    assert "truncated or damaged (error: Error -3" in refused(tmp_path / "p.tif", content)


# Refusals to write


@pytest.mark.parametrize("name", ["p", "p.gif", "p.bmp", "png", "p.png.txt"])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"must end in one of \.png, \.jpg, \.jpeg, \.tif, \.tiff, got '.*'"):
        write(tmp_path / name, noise((2, 2), "uint8"))
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("suffix", "dtype", "shape", "with_alpha"),
    [
        (".png", "float32", (4, 4), False),
        (".png", "uint16", (4, 4, 3), False),
        (".png", "uint16", (4, 4), True),
        (".png", "int32", (4, 4), False),
        (".png", "bool", (4, 4), False),
        (".jpg", "uint16", (4, 4), False),
        (".jpg", "float64", (4, 4, 3), False),
        (".jpg", "uint8", (4, 4), True),
        (".jpg", "uint8", (4, 4, 3), True),
        (".jpg", "uint8", (1, 65501), False),
        (".tif", "bool", (4, 4), False),
        (".tif", "int64", (4, 4), False),
        (".tif", "complex64", (4, 4), False),
        (".tif", "object", (4, 4), False),
    ],
)
def test_format_that_cannot_hold_the_pixels_is_refused(tmp_path, suffix, dtype, shape, with_alpha):
    path = tmp_path / f"p{suffix}"
    path.write_bytes(b"old")
    alpha = np.ones(shape[:2], dtype) if with_alpha else None
    way_out = r"Convert it with \.astype\." if suffix == ".tif" else r"Save it as \.tif\."
    with pytest.raises(ValueError, match=rf"holds .*, got {dtype} of shape .*{way_out}$"):
        write(path, np.ones(shape, dtype), alpha=alpha)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == [path.name]


def test_widest_jpeg(tmp_path):
    write(tmp_path / "p.jpg", np.zeros((1, 65500), np.uint8))
    assert read(tmp_path / "p.jpg").pixels.shape == (1, 65500)


def test_png_error_text(tmp_path):
    path = tmp_path / "x.png"
    with pytest.raises(ValueError, match="PNG") as caught:
        write(path, np.zeros((2, 3)))
    assert str(caught.value) == (
        f"{str(path)!r}: PNG holds uint8, and uint16 grey without alpha, "
        "got float64 of shape (2, 3) with 1 values a pixel. Save it as .tif."
    )


@pytest.mark.parametrize(
    "shape", [(), (4,), (4, 4, 1), (4, 4, 2), (4, 4, 4), (2, 4, 4, 3), (0, 4), (4, 0, 3)]
)
def test_other_shapes_are_refused(tmp_path, shape):
    with pytest.raises(
        ValueError, match=r"`pixels` must be \(h, w\) grey or \(h, w, 3\) colour, got"
    ) as caught:
        write(tmp_path / "p.tif", np.zeros(shape, np.uint8))
    assert f"got shape {shape}." in str(caught.value)
    assert names(tmp_path) == []


@pytest.mark.parametrize(("shape", "dtype"), [((4, 5), "uint16"), ((5, 4), "uint8"), ((4, 5, 1), "uint8")])
def test_alpha_must_go_with_the_pixels(tmp_path, shape, dtype):
    with pytest.raises(ValueError, match=r"`alpha` must be \(4, 5\) uint8 to go with `pixels`, got"):
        write(tmp_path / "p.png", np.zeros((4, 5), np.uint8), alpha=np.zeros(shape, dtype))


def test_masked_array_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"Pass pixels\.filled"):
        write(tmp_path / "p.png", np.ma.masked_array(np.zeros((2, 2), np.uint8)))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_full_disk_keeps_the_old_picture(tmp_path, suffix):
    path = tmp_path / f"p{suffix}"
    old = noise((8, 8), "uint8")
    write(path, old)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            write(path, noise((100, 100), "uint8"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert names(tmp_path) == [path.name]


# Manners


def test_importing_does_not_import_pillow_or_tifffile():
    code = "import sys, corr2d.images; print([m for m in ('PIL', 'tifffile') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_sixteen_threads_at_once(tmp_path):
    wanted = {}
    for i in range(16):
        path = tmp_path / f"{i}{['.png', '.tif'][i % 2]}"
        wanted[path] = noise((40, 30, 3), "uint8", seed=i)
        write(path, wanted[path])
    got = {}
    threads = [threading.Thread(target=lambda p=path: got.update({p: read(p).pixels})) for path in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for path, pixels in wanted.items():
        assert_same(got[path], pixels)


def test_no_file_stays_open(tmp_path):
    (tmp_path / "bad.tif").write_bytes(b"II*\0\x08\0\0\0")
    for name in ("p.png", "p.jpg", "p.tif"):
        write(tmp_path / name, noise((4, 4), "uint8"))
    before = len(os.listdir("/dev/fd"))
    for name in ("p.png", "p.jpg", "p.tif"):
        read(tmp_path / name)
    refused(tmp_path / "bad.tif")
    assert len(os.listdir("/dev/fd")) == before
