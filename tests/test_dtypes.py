import re
import sys

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided
from reference import correlate, exactly
from test_correlate import answer, assert_agrees, random_image

from corr2d.correlate import corr2d
from corr2d.dtypes import as_weights

PIXELS = ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]
RESULTS = ["f4", "f8", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"]
INTEGERS = RESULTS[2:]
THREE = np.ones((3, 3))
KERNEL = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, 1.5]])


@pytest.mark.parametrize("dtype", PIXELS)
def test_small_types_give_float32_and_large_ones_float64(dtype):
    expected = np.float32 if dtype in ("?", "u1", "i1", "u2", "i2", "f2", "f4") else np.float64
    assert corr2d(np.ones((3, 3), dtype), KERNEL).dtype == expected


@pytest.mark.filterwarnings("ignore:`image` has integers beyond")
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", PIXELS)
def test_every_type_of_pixel_is_read_right(dtype, order):
    image = random_image((11, 37), np.dtype(dtype).newbyteorder(order))
    truth = correlate(image, KERNEL, "same", "mirror")
    assert_agrees(answer(image, KERNEL, padding="same", mode="mirror"), truth)
    assert_agrees(corr2d(image, KERNEL, padding="same", mode="mirror", dtype="f8"), truth)


@pytest.mark.filterwarnings("ignore:`image` has integers beyond")
@pytest.mark.parametrize("dtype", PIXELS)
@pytest.mark.parametrize("dtype_out", RESULTS)
def test_every_type_to_every_type(dtype, dtype_out):
    image, kernel = random_image((7, 19), dtype), np.array([[2.0, -1.0], [3.0, 1.0]])
    ours = answer(image, kernel, padding="same", dtype=dtype_out)
    if dtype_out[0] == "f":
        assert_agrees(ours, correlate(image, kernel, "same"))
    elif dtype not in ("u8", "i8"):  # float64 holds the sums of all others
        np.testing.assert_array_equal(ours, exactly(image, kernel, dtype_out, padding="same"))


@pytest.mark.filterwarnings("ignore:`image` has integers beyond")
@pytest.mark.parametrize("dtype", PIXELS)
def test_the_ends_of_each_type_are_read_right(dtype):
    ends = np.finfo(dtype) if dtype[0] == "f" else np.iinfo("u1" if dtype == "?" else dtype)
    image = np.array([[ends.min], [ends.max]], ends.dtype).astype(dtype)
    np.testing.assert_array_equal(corr2d(image, [[1.0]], dtype="f8"), image.astype("f8"))


def test_every_float16_is_read_right():
    image = np.arange(2**16, dtype="u2").view("f2").reshape(256, 256)
    np.testing.assert_array_equal(corr2d(image, [[1.0]]), image.astype("f4"))
    np.testing.assert_array_equal(corr2d(image.astype(">f2"), [[1.0]], dtype="f8"), image.astype("f8"))


def test_any_byte_but_zero_is_true():
    mask = np.array([[0, 1, 2, 128, 255]], "u1").view(bool)
    assert corr2d(mask, [[1.0]]).tolist() == [[0, 1, 1, 1, 1]]


# Any place in memory


def fortran(image):
    return np.asfortranarray(image)


def reversed_both(image):
    return image[::-1, ::-1].copy()[::-1, ::-1]


def every_third(image):
    return np.repeat(np.repeat(image, 2, 0), 3, 1)[::2, ::3]


def unaligned(image):
    raw = np.zeros(image.nbytes + 1, "u1")
    view = raw[1:].view(image.dtype).reshape(image.shape)
    view[...] = image
    return view


def rows_unaligned(image):
    step = image.shape[1] * image.itemsize + 1
    raw = np.zeros(step * image.shape[0], "u1")
    view = as_strided(raw[: image.nbytes].view(image.dtype), image.shape, (step, image.itemsize))
    view[...] = image
    return view


def column_of_records(image):
    records = np.zeros(image.shape, [("before", "u1"), ("pixel", image.dtype), ("after", "u2")])
    records["pixel"] = image
    return records["pixel"]


def read_only(image):
    image = image.copy()
    image.flags.writeable = False
    return image


LAYOUTS = [fortran, reversed_both, every_third, unaligned, rows_unaligned, column_of_records, read_only]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["u1", ">u2", "f2", "f4", ">f4", "f8", ">f8"])
def test_an_image_may_lie_in_memory_anyhow(layout, dtype):
    image = random_image((13, 41), dtype)
    laid = layout(image)
    np.testing.assert_array_equal(laid, image)
    for options in ({}, {"padding": "same", "mode": "wrap"}):
        np.testing.assert_array_equal(corr2d(laid, KERNEL, **options), corr2d(image, KERNEL, **options))


@pytest.mark.parametrize("layout", LAYOUTS[:-1])
@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "i2", "i8"])
def test_out_may_lie_in_memory_anyhow(layout, dtype):
    image = random_image((13, 41), "f4")
    expected = corr2d(image, KERNEL, padding="same", dtype=dtype)
    out = layout(np.zeros((13, 41), dtype))
    corr2d(image, KERNEL, padding="same", out=out)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["f8", ">f4", "i2"])
def test_a_kernel_may_lie_in_memory_anyhow(layout, dtype):
    image, kernel = random_image((13, 41)), random_image((4, 5), dtype)
    np.testing.assert_array_equal(corr2d(image, layout(kernel)), corr2d(image, kernel.astype("f8")))


def test_the_engine_gets_an_aligned_kernel():
    # x86 forgives; the sanitizers (make sanitize) and other processors do not.
    assert as_weights(unaligned(KERNEL)).flags.aligned


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_a_broadcast_picture_is_read_where_it_is(dtype):
    row = random_image((1, 41), dtype)
    for pixels, shape in ((row, (13, 41)), (row.T, (41, 30)), (row, (3, 13, 41))):
        image = np.broadcast_to(pixels, shape)
        expected = corr2d(image.copy(), KERNEL, padding="same")
        np.testing.assert_array_equal(corr2d(image, KERNEL, padding="same"), expected)


def test_lists_and_subclasses_are_arrays():
    image = random_image((4, 5)).view(np.recarray)
    assert type(corr2d(image, KERNEL.view(np.recarray))) is np.ndarray
    assert corr2d([[1, 2], [3, 4]], ((1, 1),)).tolist() == [[3.0], [7.0]]
    assert corr2d([[True, False]], [[True, True]]).tolist() == [[1.0]]


# Integer results


def test_halves_round_to_even():
    image = np.array([[0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 3.49, 3.51]])
    for dtype in ("i1", "i2", "i4", "i8"):
        assert corr2d(image, [[1.0]], dtype=dtype).tolist() == [[0, 2, 2, 0, -2, -2, 3, 4]]
        assert corr2d(2 * image, [[0.5]], dtype=dtype).tolist() == [[0, 2, 2, 0, -2, -2, 3, 4]]


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("image_dtype", ["f4", "f8"])
def test_too_large_saturates(image_dtype, dtype):
    ends = np.iinfo(dtype)
    image = np.array([[-np.inf, -1e30, ends.min, ends.max, 1e30, np.inf]], image_dtype)
    assert corr2d(image, [[1.0]], dtype=dtype).tolist() == [[ends.min] * 3 + [ends.max] * 3]


@pytest.mark.parametrize("dtype", INTEGERS[:-2])
def test_the_ends_of_an_integer_type_are_kept_and_the_next_saturates(dtype):
    ends = np.iinfo(dtype)
    image = np.array([[ends.min - 1, ends.min, ends.min + 1, ends.max - 1, ends.max, ends.max + 1]], "f8")
    expected = [ends.min, ends.min, ends.min + 1, ends.max - 1, ends.max, ends.max]
    assert corr2d(image, [[1.0]], dtype=dtype).tolist() == [expected]
    halves = np.array([[ends.max - 0.5, ends.max + 0.5, ends.min - 0.5]])
    assert corr2d(halves, [[1.0]], dtype=dtype).tolist() == [[ends.max - 1, ends.max, ends.min]]


@pytest.mark.filterwarnings("ignore:`image` has integers beyond")
@pytest.mark.parametrize("dtype", ["i8", "u8"])
def test_the_ends_of_64_bits(dtype):
    ends = np.iinfo(dtype)
    assert corr2d(np.array([[ends.min, ends.max]], dtype), [[1.0]], dtype=dtype).tolist() == [
        [ends.min, ends.max]
    ]
    assert corr2d(np.array([[2**53, -(2**53), 2**62, 2**63 - 1024]], "f8"), [[1.0]], dtype="i8").tolist() == [
        [2**53, -(2**53), 2**62, 2**63 - 1024]
    ]
    assert corr2d(np.array([[2.0**63, 2.0**64 - 2048, 2.0**64, -1.0]]), [[1.0]], dtype="u8").tolist() == [
        [2**63, 2**64 - 2048, 2**64 - 1, 0]
    ]


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4"])
@pytest.mark.parametrize("factor", [1, 61, 257, 65535, 1e6, 0.5, 1 / 256, 1 + 2.0**-20])
def test_integer_results_are_exact(factor, dtype):
    # 65535 * 65535 and more: float32 sums would be off by hundreds.
    image = random_image((9, 33), "u2")
    kernel = np.array([[1, -1, 3], [2, 0, -4]]) * factor
    np.testing.assert_array_equal(corr2d(image, kernel, dtype=dtype), exactly(image, kernel, dtype))
    np.testing.assert_array_equal(corr2d(image, kernel, dtype="i8"), exactly(image, kernel, "i8"))


@pytest.mark.parametrize("cval", [20_000_001, 0.5, 2.5, -300, 100_001.499])
def test_integer_results_are_exact_with_any_cval(cval):
    image, kernel = random_image((4, 5), "u1"), np.array([[1.0, 2.0], [1.0, 1.0]])
    ours = corr2d(image, kernel, padding="full", cval=cval, dtype="i4")
    np.testing.assert_array_equal(ours, exactly(image, kernel, "i4", padding="full", cval=cval))


@pytest.mark.parametrize("width", [511, 512, 513, 515, 519, 1025, 1039])
def test_wide_results_of_another_type_are_made_tile_by_tile(width):
    # The last tile can be narrower than a vector.
    image, kernel = np.round(random_image((15, width + 2)) * 100), np.array([[1.0, -2.0, 3.0]] * 2)
    for dtype in ("i4", "f4"):
        np.testing.assert_array_equal(
            answer(image, kernel, dtype=dtype), correlate(image, kernel).astype(dtype)
        )


def test_float32_sums_of_large_integers_stay_within_the_promise():
    image = random_image((40, 50), "u2")
    ours = corr2d(image, np.full((9, 9), 1 / 81), algorithm="direct")
    assert_agrees(ours, correlate(image, np.full((9, 9), 1 / 81)))


# Errors


class Masked:
    mask = np.zeros((3, 3), bool)


RULE = "must hold real numbers of at most 64 bits, got dtype"
NAMES = "float32, float64, uint8, int8, uint16, int16, uint32, int32, uint64, int64"


@pytest.mark.parametrize("name", ["image", "kernel"])
@pytest.mark.parametrize(
    ("error", "message", "value"),
    [
        (TypeError, f"{RULE} complex128. Filter .real and .imag one by one.", np.ones((3, 3), complex)),
        (TypeError, f"{RULE} {np.dtype('g')}. Convert it with .astype(np.float64).", np.ones((3, 3), "g")),
        (TypeError, f"{RULE} object.", np.ones((3, 3), object)),
        (TypeError, f"{RULE} object.", None),
        (TypeError, f"{RULE} object.", [[2**70, 1]]),
        (TypeError, f"{RULE} <U1.", [["a"]]),
        (TypeError, f"{RULE} <U5.", "image"),
        (TypeError, f"{RULE} datetime64[s].", np.zeros((3, 3), "M8[s]")),
        (TypeError, f"{RULE} timedelta64[s].", np.zeros((3, 3), "m8[s]")),
        (TypeError, f"{RULE} [('r', 'u1')].", np.zeros((3, 3), [("r", "u1")])),
        (TypeError, "is a MaskedArray, whose mask would be ignored. Give a plain array: "
         "fill the masked pixels first, for instance with NaN.", np.ma.ones((3, 3))),
        (TypeError, "is a Masked, whose mask would be ignored. Give a plain array: "
         "fill the masked pixels first, for instance with NaN.", Masked()),
        (ValueError, "must be a rectangular array of numbers: setting an array element with a sequence. "
         "The requested array has an inhomogeneous shape after 1 dimensions. "
         "The detected shape was (2,) + inhomogeneous part.",
         [[1, 2], [3]]),
    ],
)  # fmt: skip
def test_error_text_for_what_holds_no_numbers(name, error, message, value):
    arrays = {"image": THREE, "kernel": THREE} | {name: value}
    with pytest.raises(error, match=f"^{re.escape(f'`{name}` {message}')}$"):
        corr2d(**arrays)


TWO_OR_FOUR = "`kernel` must have two axes (kh, kw) or four (c_out, c_in, kh, kw), none empty, got shape "


@pytest.mark.parametrize(
    ("message", "image", "kernel"),
    [
        ("`image` must have at least two axes (rows, columns), got shape ().", 1.0, [[1.0]]),
        ("`image` must have at least two axes (rows, columns), got shape (3,).", [1.0, 2.0, 3.0], [[1.0]]),
        (f"{TWO_OR_FOUR}().", THREE, 1.0),
        (f"{TWO_OR_FOUR}(2,). Write a row as kernel[None, :], a column as kernel[:, None].", THREE,
         [1.0, 2.0]),
        (f"{TWO_OR_FOUR}(0, 3).", THREE, np.ones((0, 3))),
        (f"{TWO_OR_FOUR}(3, 0).", THREE, np.ones((3, 0))),
        (f"{TWO_OR_FOUR}(1, 1, 1).", THREE, [[[1.0]]]),
        ("`kernel` must be finite, got 2 NaN or infinite weights.", THREE, [[np.nan, 1.0, -np.inf]]),
    ],
)  # fmt: skip
def test_error_text_for_shapes_and_weights(message, image, kernel):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        corr2d(image, kernel)


@pytest.mark.parametrize(
    ("error", "dtype", "got"),
    [
        (ValueError, "f2", "dtype('float16')"),
        (ValueError, bool, "dtype('bool')"),
        (ValueError, ">f4", "dtype('>f4')"),
        (ValueError, complex, "dtype('complex128')"),
        (ValueError, object, "dtype('O')"),
        (TypeError, "float31", "'float31'"),
        (TypeError, 3, "3"),
    ],
)
def test_error_text_for_dtype(error, dtype, got):
    message = f"`dtype` must be one of {NAMES}, in the machine's byte order, got {got}."
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        corr2d(THREE, [[1.0]], dtype=dtype)


def test_the_byte_order_of_the_machine_may_be_named():
    native = "<" if sys.byteorder == "little" else ">"
    assert corr2d(THREE, [[1.0]], dtype=native + "u2").dtype == np.uint16
