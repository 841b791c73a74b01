import itertools
import os
import re

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reference import MODES, correlate, pads_of

from corr2d import _engine
from corr2d.correlate import corr2d

PADDINGS = ("valid", "same", "full", 2, (0, 3, 7, 1))
KERNEL_SHAPES = ((1, 1), (1, 5), (4, 1), (2, 2), (3, 3), (4, 3), (5, 6), (7, 7), (11, 9), (17, 2), (2, 23))
# Around the vectors of every instruction set, 4 to 16 lanes, and their tiles of 1, 2 and 4.
WIDTHS = sorted({n + d for n in (1, 4, 8, 16, 32, 64, 128) for d in (-1, 0, 1)} - {0})
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}


def random_image(shape, dtype="f8", seed=0):
    """Every value of a small type is met; floats are of both signs."""
    rng, dtype = np.random.default_rng(seed), np.dtype(dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    ends = np.iinfo(dtype)
    return rng.integers(ends.min, ends.max, shape, dtype.newbyteorder("="), endpoint=True).astype(dtype)


def poisoned(shape, dtype):
    """An array of `shape` inside a larger one, all NaN or 77: nobody may write around it, or read there."""
    dtype = np.dtype(dtype)
    around = np.full(
        [n + 6 for n in shape], np.nan if dtype.kind == "f" else 77 if dtype.kind != "b" else True, dtype
    )
    return around, around[tuple(slice(3, -3) for _ in shape)]


def answer(image, kernel, **options):
    """corr2d, of an image amid poison, into an array amid poison, which must stay as it was.

    By "direct" unless asked otherwise: test_algorithms.py is about the others.
    """
    options = {"algorithm": "direct", **options}
    _, seen = poisoned(image.shape, image.dtype)
    seen[...] = image
    plain = corr2d(seen, kernel, **options)
    around, out = poisoned(plain.shape, plain.dtype)
    assert corr2d(seen, kernel, out=out, **options) is out
    np.testing.assert_array_equal(out, plain)
    untouched = np.ones(around.shape, bool)
    untouched[tuple(slice(3, -3) for _ in out.shape)] = False
    poison = np.unique(around[untouched])
    assert len(poison) <= 1, "pixels around `out` were written"
    np.testing.assert_array_equal(poison, [np.nan if out.dtype.kind == "f" else 77] * len(poison))
    return out


def assert_agrees(ours, truth, scale=None):
    assert ours.shape == truth.shape
    scale = np.abs(truth).max(initial=0) if scale is None else scale
    worst = np.abs(ours - truth).max(initial=0)
    assert worst <= TOLERANCE[ours.dtype.name] * scale, f"off by {worst / scale:.2g} of the largest result"


# Agreement with the reference


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
@pytest.mark.parametrize("kh", range(1, 10))
def test_agrees_in_every_register_tile(kh, dtype):
    # A part of a picture gives a part of the result, so one truth serves all sizes.
    kernel = random_image((kh, 3), "f8", kh)
    image = random_image((20 + kh - 1, max(WIDTHS) + 2), dtype)
    truth = correlate(image, kernel)
    for rows, columns in itertools.product(range(1, 21), WIDTHS):
        part = image[: rows + kh - 1, : columns + 2]
        out = np.full((rows, columns), np.nan, np.float32 if dtype != "f8" else np.float64)
        assert_agrees(corr2d(part, kernel, out=out), truth[:rows, :columns], np.abs(truth).max())


@pytest.mark.parametrize("kw", [1, 2, 4, 7, 8, 9, 16, 33])
def test_agrees_for_every_kernel_width(kw):
    for kh, dtype in itertools.product((1, 2, 6, 7), ("f4", "f8")):
        image, kernel = random_image((13, 70), dtype), random_image((kh, kw), "f8", kw)
        assert_agrees(answer(image, kernel, padding="same"), correlate(image, kernel, "same"))


@pytest.mark.parametrize("kernel_shape", KERNEL_SHAPES)
@pytest.mark.parametrize("mode", MODES)
def test_matches_reference(mode, kernel_shape):
    for padding, (image_shape, dtype) in itertools.product(
        PADDINGS,
        (
            ((9, 40), "f8"),
            ((14, 21), "f4"),
            ((20, 11), "u2"),
            ((3, 4), "f4"),
            ((1, 1), "f8"),
            ((1, 30), "i1"),
        ),
    ):
        image, kernel = random_image(image_shape, dtype), random_image(kernel_shape)
        top, bottom, left, right = pads_of(padding, *kernel_shape)
        fits = (
            top + bottom + image_shape[0] >= kernel_shape[0]
            and left + right + image_shape[1] >= kernel_shape[1]
        )
        if fits and not (padding == "valid" and mode != "constant"):
            truth = correlate(image, kernel, padding, mode)
            assert_agrees(answer(image, kernel, padding=padding, mode=mode), truth)


@pytest.mark.parametrize("mode", MODES)
def test_padding_may_be_many_times_the_picture(mode):
    image, kernel = random_image((3, 2)), random_image((2, 3))
    assert_agrees(
        answer(image, kernel, padding=(25, 0, 3, 31), mode=mode),
        correlate(image, kernel, (25, 0, 3, 31), mode),
    )


@pytest.mark.parametrize(("cval", "tap"), [(2.5, 1), (-1e10, 1), (1e-40, 1e10), (1e39, 1e-10)])
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_cval_is_what_lies_beyond(dtype, cval, tap):
    image, kernel = random_image((5, 6), dtype), tap * random_image((3, 4))
    truth = correlate(image, kernel, 9, cval=cval)
    ours = answer(image, kernel, padding=9, cval=cval)
    assert_agrees(ours, truth)
    assert_agrees(ours[:2], truth[:2])  # sees cval alone
    assert_agrees(ours[8:-8, 9:-9], truth[8:-8, 9:-9], np.abs(truth).max())


@pytest.mark.parametrize("dtype", ["f4", "f8", "u1"])
@pytest.mark.parametrize("kernel_shape", [(300, 400), (1500, 3), (700, 90), (2, 5000)])
def test_kernels_too_tall_for_the_scratch_memory_agree(kernel_shape, dtype):
    # Whole numbers: exact sums. Where the picture repeats, taps h rows or w columns apart see the same pixel.
    rng = np.random.default_rng(0)
    image, kernel = rng.integers(0, 255, (20, 25)), rng.integers(-3, 4, kernel_shape)
    folded = np.zeros(image.shape)
    for (v, u), weight in np.ndenumerate(kernel):
        folded[(v - kernel_shape[0] // 2) % 20, (u - kernel_shape[1] // 2) % 25] += weight
    truth = correlate(image, folded, (0, 19, 0, 24), "wrap")
    np.testing.assert_array_equal(answer(image.astype(dtype), kernel, padding="same", mode="wrap"), truth)


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
@pytest.mark.parametrize("kernel_shape", [(1, 1), (2, 3), (3, 3), (6, 4), (9, 12)])
def test_agrees_with_scipy_signal(kernel_shape, dtype):
    image, kernel = random_image((8, 11), dtype), random_image(kernel_shape)
    kh, kw = kernel_shape
    # Its "same" pads an even kernel as torch does; "full" and odd kernels leave no choice.
    same = ((kh - 1) // 2, kh // 2, (kw - 1) // 2, kw // 2)
    for (padding, theirs), (mode, boundary) in itertools.product(
        (("full", "full"), (same, "same")), (("constant", "fill"), ("wrap", "wrap"), ("reflect", "symm"))
    ):
        truth = scipy.signal.correlate2d(image.astype("f8"), kernel, theirs, boundary)
        assert_agrees(corr2d(image, kernel, padding=padding, mode=mode), truth)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kernel_shape", [(1, 1), (2, 3), (3, 3), (6, 4), (9, 12), (25, 30)])
def test_agrees_with_scipy_ndimage(kernel_shape, mode):
    image, kernel = random_image((8, 11)), random_image(kernel_shape)
    truth = scipy.ndimage.correlate(
        image, kernel, mode="grid-constant" if mode == "constant" else mode, cval=1.5
    )
    cval = 1.5 if mode == "constant" else 0
    assert_agrees(corr2d(image, kernel, padding="same", mode=mode, cval=cval), truth)


def test_a_very_wide_picture_agrees():
    image, kernel = random_image((1, 3_000_000), "f4"), np.array([[1.0, 4.0, -2.0]])
    row = image[0].astype("f8")
    assert_agrees(corr2d(image, kernel), (row[:-2] + 4 * row[1:-1] - 2 * row[2:])[None])


def test_a_row_wider_than_a_band_is_cut_and_gives_the_same_bits(monkeypatch):
    image, kernel = random_image((9, 1000)), random_image((3, 4))
    options = [
        {"padding": padding, "mode": mode, "algorithm": "direct"}
        for padding, mode in ((2, "mirror"), ("same", "constant"))
    ]
    whole = [corr2d(image, kernel, **o) for o in options]
    monkeypatch.setattr("corr2d.correlate._BAND_WORK", 1)
    for o, expected in zip(options, whole, strict=True):
        np.testing.assert_array_equal(answer(image, kernel, **o), expected)


@pytest.mark.parametrize("shape", [(15, 15), (31, 31), (61, 61), (101, 101), (1, 180), (180, 1), (5, 150)])
@pytest.mark.parametrize("flat", [True, False])
def test_large_kernels_keep_their_digits(shape, flat):
    rng = np.random.default_rng(5)
    image = (np.full((200, 200), 0.7) if flat else rng.random((200, 200))).astype("f4")
    for kernel in (np.ones(shape), rng.random(shape), rng.standard_normal(shape)):
        exact = corr2d(image, kernel, dtype="f8", algorithm="direct")
        ours = corr2d(image, kernel, algorithm="direct")
        most = np.abs(kernel).sum() * image.max()
        # Equal terms err in the same direction: the worst that there is.
        assert np.abs(ours - exact).max() <= (2e-6 if flat else 1e-6) * most


def test_integers_beyond_float64_are_said_to_be_rounded():
    with pytest.warns(
        UserWarning, match=r"^`image` has integers beyond 2\*\*53, which are rounded to float64\.$"
    ):
        corr2d(np.array([[2**62 + 1]]), [[1.0]])
    assert corr2d(np.array([[2**53]]), [[1.0]]) == 2**53


# Batches and colours


@pytest.mark.parametrize("batch", [(0,), (1,), (3,), (2, 3, 2), (2, 0, 2)])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_leading_axes_are_a_batch(batch, padding):
    images, kernel = random_image((*batch, 7, 12)), random_image((3, 2))
    results = answer(images, kernel, padding=padding)
    assert results.shape[:-2] == batch
    for i in np.ndindex(*batch):
        assert_agrees(results[i], correlate(images[i], kernel, padding))


@pytest.mark.parametrize("channel_axis", [0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("dtype", ["u1", "f8"])
def test_each_colour_is_filtered_on_its_own_and_the_axis_stays(channel_axis, dtype):
    image, kernel = random_image((3, 9, 14), dtype), random_image((3, 2))
    result = answer(np.moveaxis(image, 0, channel_axis), kernel, channel_axis=channel_axis)
    for ours, plane in zip(np.moveaxis(result, channel_axis, 0), image, strict=True):
        assert_agrees(ours, correlate(plane, kernel))


@pytest.mark.parametrize("channel_axis", [0, 1, 2, 3, -1])
def test_a_batch_of_colour_pictures(channel_axis):
    images, kernel = random_image((3, 2, 6, 7)), random_image((2, 2))
    result = corr2d(np.moveaxis(images, 0, channel_axis), kernel, channel_axis=channel_axis)
    np.testing.assert_array_equal(np.moveaxis(result, channel_axis, 0), corr2d(images, kernel))


def test_a_batch_whose_results_have_three_columns_is_not_taken_for_colours():
    images = random_image((10, 8, 5))
    assert corr2d(images, np.ones((1, 3))).shape == (10, 8, 3)
    assert corr2d(images, np.ones((1, 3)), out=np.zeros((10, 8, 3))).shape == (10, 8, 3)


# NaN and infinity


@pytest.mark.parametrize("size", [3, 11, 13, 31])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_pixel_reaches_exactly_the_windows_that_hold_it(bad, dtype, padding, size):
    image, kernel = np.ones((64, 70), dtype), np.ones((size, size))
    image[20, 40] = bad
    top = size // 2 if padding == "same" else 0
    truth = np.zeros(corr2d(np.ones((64, 70)), kernel, padding=padding).shape, bool)
    truth[max(20 + top - size + 1, 0) : 20 + top + 1, max(40 + top - size + 1, 0) : 40 + top + 1] = True
    result = corr2d(image, kernel, padding=padding, algorithm="direct")
    np.testing.assert_array_equal(~np.isfinite(result), truth)


@pytest.mark.parametrize("size", [3, 11, 13, 31])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_tap_of_zero_does_not_hide_a_bad_pixel(bad, size):
    image = np.ones((40, 40), "f4")
    image[20, 20] = bad
    kernel = np.zeros((size, size))
    kernel[0, 0] = 1
    expected = correlate((~np.isfinite(image)).astype("f8"), np.ones((size, size)), "same") > 0
    assert expected.sum() == size**2
    result = corr2d(image, kernel, padding="same", algorithm="direct")
    np.testing.assert_array_equal(~np.isfinite(result), expected)


@pytest.mark.parametrize("mode", MODES[1:])
def test_a_bad_pixel_is_repeated_with_the_border(mode):
    image, kernel = np.ones((6, 7)), random_image((5, 4))
    image[0, 1] = np.nan
    truth = correlate(image, kernel, "full", mode)
    np.testing.assert_array_equal(np.isnan(corr2d(image, kernel, padding="full", mode=mode)), np.isnan(truth))


def test_cval_may_be_nan():
    result = corr2d(np.ones((4, 5), "f4"), np.ones((3, 3)), padding="same", cval=np.nan)
    inside = np.zeros((4, 5), bool)
    inside[1:-1, 1:-1] = True
    np.testing.assert_array_equal(~np.isnan(result), inside)


# Memory


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_out_may_be_the_image(dtype):
    image, kernel = random_image((30, 40), dtype), random_image((3, 5))
    expected = corr2d(image, kernel, padding="same")
    assert corr2d(image, kernel, padding="same", out=image) is image
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize(("dy", "dx"), [(0, 1), (1, 0), (3, 5), (-2, -1), (7, 0)])
def test_out_may_overlap_the_image(dy, dx):
    space, kernel = random_image((60, 70)), random_image((4, 3))
    image, out = space[10:40, 10:50], space[10 + dy : 40 + dy, 10 + dx : 50 + dx]
    expected = corr2d(image.copy(), kernel, padding="same", mode="wrap")
    corr2d(image, kernel, padding="same", mode="wrap", out=out)
    np.testing.assert_array_equal(out, expected)


def test_out_may_be_the_kernel():
    image, kernel = random_image((40, 40)), random_image((20, 21))
    expected = corr2d(image[:39], kernel)
    corr2d(image[:39], kernel, out=kernel[:, 1:])
    np.testing.assert_array_equal(kernel[:, 1:], expected[:, :])


def test_inputs_are_left_alone():
    image, kernel = random_image((12, 15)), random_image((3, 4))
    image.flags.writeable = kernel.flags.writeable = False
    before = image.tobytes(), kernel.tobytes()
    corr2d(image, kernel, padding="full", mode="wrap")
    assert (image.tobytes(), kernel.tobytes()) == before


@pytest.mark.parametrize("threads", [None, 1, 2])
@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0), (3, 0, 5)])
@pytest.mark.parametrize("mode", MODES)
def test_an_empty_picture_stays_empty(mode, shape, threads):
    result = corr2d(np.ones(shape, "u1"), np.ones((3, 3)), padding="same", mode=mode, threads=threads)
    assert (result.shape, result.dtype) == (shape, np.float32)


# Precision


@pytest.mark.parametrize("scale", [1e-300, 1e-40, 1e-30, 1e-18, 1e18, 1e30, 1e40, 1e300])
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_taps_may_be_tiny_and_huge(dtype, scale):
    image, kernel = random_image((9, 40), dtype), random_image((3, 3)) * scale
    assert_agrees(corr2d(image, kernel, dtype="f8"), correlate(image, kernel))
    if 1e-31 < scale < 1e31:
        assert_agrees(corr2d(image, kernel, dtype="f4"), correlate(image, kernel))


@pytest.mark.parametrize("scale", [1e-42, 1e42])
def test_taps_beyond_float32_may_give_a_float32_result(scale):
    image, kernel = random_image((9, 40), "f4") / np.float32(np.sqrt(scale)), random_image((3, 3)) * scale
    assert_agrees(corr2d(image, kernel), correlate(image, kernel))


def test_small_taps_beside_large_ones_count():
    # ndimage drops taps below 1e-15.
    image = np.array([[1e20, 0.0, 1.0]])
    assert corr2d(image, [[1e-20, 7.0, 1e-16]])[0, 0] == pytest.approx(1 + 1e-16, rel=1e-15)
    assert corr2d(np.array([[1e20, 0.0]], "f4"), [[1e-20, 0.0]])[0, 0] == pytest.approx(1, rel=1e-6)


def test_nothing_wraps():
    # ndimage makes 8 of the first and 220 of the second.
    image = np.full((3, 3), 200, "u1")
    assert corr2d(image, np.ones((3, 3)))[0, 0] == 1800
    assert corr2d(image[:1, :2], [[0.32, -0.5]])[0, 0] == pytest.approx(-36)


# Properties

pictures = hnp.arrays(
    "f8", hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(-1000, 1000).map(float)
)
kernels = hnp.arrays(
    "f8",
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.integers(-64, 64).map(lambda i: i / 8),
)
borders = st.tuples(st.sampled_from(["same", "full", 1, (0, 9, 2, 7)]), st.sampled_from(MODES))
# Sums of such numbers are exact in float64, so these hold to the bit.


def padded(image, kernel, border):
    padding, mode = border
    try:
        return corr2d(image, kernel, padding=padding, mode=mode)
    except ValueError:
        return None


@given(pictures, kernels, borders)
def test_matches_reference_to_the_bit(image, kernel, border):
    result = padded(image, kernel, border)
    if result is not None:
        np.testing.assert_array_equal(result, correlate(image, kernel, *border))


@given(pictures, kernels, borders, st.integers(-8, 8))
def test_is_linear(image, kernel, border, factor):
    result = padded(image, kernel, border)
    if result is not None:
        other = image[::-1, ::-1]
        np.testing.assert_array_equal(
            padded(factor * image + other, kernel, border), factor * result + padded(other, kernel, border)
        )
        np.testing.assert_array_equal(padded(image, kernel * factor, border), factor * result)


@given(pictures, kernels, st.integers(-5, 5), st.integers(-5, 5))
def test_a_shifted_picture_gives_a_shifted_result(image, kernel, dy, dx):
    shifted = corr2d(np.roll(image, (dy, dx), (0, 1)), kernel, padding="same", mode="wrap")
    np.testing.assert_array_equal(
        shifted, np.roll(corr2d(image, kernel, padding="same", mode="wrap"), (dy, dx), (0, 1))
    )


@given(pictures, kernels, borders)
def test_transposing_both_transposes_the_result(image, kernel, border):
    result = padded(image, kernel, border)
    if result is not None:
        padding, mode = border
        swapped = (*padding[2:], *padding[:2]) if isinstance(padding, tuple) else padding
        np.testing.assert_array_equal(padded(image.T, kernel.T, (swapped, mode)), result.T)


@given(hnp.arrays(st.sampled_from(["f4", "f8"]), hnp.array_shapes(min_dims=2, max_dims=4, max_side=9)))
def test_the_identity_returns_the_picture(image):
    assert (
        corr2d(image[None, None], [[1.0]]).tobytes() == (image + 0.0)[None, None].tobytes()
        or np.isnan(image).any()
    )
    np.testing.assert_array_equal(corr2d(image[None, None], [[1.0]]), image[None, None])


@given(pictures, st.integers(0, 4), st.integers(0, 4))
def test_a_single_one_moves_the_picture(image, v, u):
    kernel = np.zeros((5, 5))
    kernel[v, u] = 1
    moved = corr2d(image, kernel, padding="same", mode="wrap")
    np.testing.assert_array_equal(moved, np.roll(image, (2 - v, 2 - u), (0, 1)))


# Options and errors


@pytest.mark.parametrize(
    "options",
    [
        {"padding": "full"},
        {"padding": 1},
        {"padding": (1, 2, 3, 4)},
        {"padding": "valid"},
        *({"mode": mode} for mode in MODES[1:]),
        {"cval": 3.0},
        {"dtype": "u1"},
        {"dtype": "f8"},
    ],
    ids=str,
)
def test_every_option_changes_the_answer(options):
    image, kernel = random_image((4, 4, 4), "f4"), random_image((4, 3))
    plain = corr2d(image, kernel, padding="same")
    changed = corr2d(image, kernel, **{"padding": "same", **options})
    assert changed.shape != plain.shape or not np.array_equal(changed, plain)


def test_out_gives_the_dtype_unless_dtype_is_given():
    out = np.zeros((2, 2), "i4")
    assert corr2d(np.full((3, 3), 2.6), [[1.0, 0.0], [0.0, 0.0]], out=out).tolist() == [[3, 3], [3, 3]]
    assert corr2d(np.full((3, 3), 2.6), [[1.0, 0.0], [0.0, 0.0]], out=out, dtype=np.int32) is out


IMAGE, KERNEL = np.ones((6, 8)), np.ones((2, 2))
NAMES = "float32, float64, uint8, int8, uint16, int16, uint32, int32, uint64, int64"


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (ValueError, "`kernel` must fit into the padded image, got a kernel of (7, 2) "
         "over an image of (6, 8). Pass padding='same' or 'full'.",
         {"kernel": np.ones((7, 2))}),
        (ValueError, "`kernel` must fit into the padded image, got a kernel of (1, 13) "
         "over an image of (6, 8). Pass padding='same' or 'full'.",
         {"kernel": np.ones((1, 13)), "padding": 2}),
        (ValueError, "`image` has no pixels (shape (0, 8)): only padding='same' has an answer.",
         {"image": np.ones((0, 8))}),
        (ValueError, "`image` has no pixels (shape (3, 0)): only padding='same' has an answer.",
         {"image": np.ones((3, 0)), "padding": "full"}),
        (ValueError, "`image` has shape (6, 8, 3), which looks like rows x columns x colours. "
         "Pass channel_axis=-1 for a colour picture, or image[None] if these are 6 pictures of 3 columns.",
         {"image": np.ones((6, 8, 3))}),
        (ValueError, "`channel_axis` must be one of at least three axes, got 0 for shape (6, 8).",
         {"channel_axis": 0}),
        (ValueError, "`channel_axis` must be one of at least three axes, got 3 for shape (6, 8, 3).",
         {"image": np.ones((6, 8, 3)), "channel_axis": 3}),
        (ValueError, "`channel_axis` must be one of at least three axes, got -4 for shape (6, 8, 3).",
         {"image": np.ones((6, 8, 3)), "channel_axis": -4}),
        (TypeError, "`channel_axis` must be an integer, got 'last'.",
         {"image": np.ones((6, 8, 3)), "channel_axis": "last"}),
        (TypeError, "`out` must be a plain NumPy array, got list.",
         {"out": [[0.0]]}),
        (TypeError, "`out` must be a plain NumPy array, got MaskedArray.",
         {"out": np.ma.zeros((5, 7))}),
        (ValueError, "`out` must have shape (5, 7) and dtype float64, got (5, 8) and float64.",
         {"out": np.zeros((5, 8))}),
        (ValueError, "`out` must have shape (5, 7) and dtype float32, got (5, 7) and float64.",
         {"out": np.zeros((5, 7)), "dtype": "f4"}),
        (ValueError, f"`out.dtype` must be one of {NAMES}, in the machine's byte order, got dtype('>f8').",
         {"out": np.zeros((5, 7), ">f8")}),
        (ValueError, f"`out.dtype` must be one of {NAMES}, "
         "in the machine's byte order, got dtype('float16').",
         {"out": np.zeros((5, 7), "f2")}),
        (ValueError, "`out` must be writable, got a read-only array.",
         {"out": np.broadcast_to(0.0, (5, 7))}),
        (ValueError, "`threads` must be an integer of at least 1, got 0.",
         {"threads": 0}),
        (ValueError, "`threads` must be an integer of at least 1, got -1.",
         {"threads": -1}),
        (TypeError, "`threads` must be an integer of at least 1, got 1.5.",
         {"threads": 1.5}),
        (ValueError, "`image` leads to NaN, which dtype=uint8 cannot hold. "
         "Replace the NaN first, or ask for a float dtype.",
         {"image": np.full((6, 8), np.nan), "dtype": np.uint8}),
    ],
)  # fmt: skip
def test_error_text(error, message, options):
    options = {"image": IMAGE, "kernel": KERNEL} | options
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        corr2d(options.pop("image"), options.pop("kernel"), **options)


def test_one_column_too_many_is_refused_and_one_less_is_not():
    assert corr2d(IMAGE, np.ones((6, 8))).shape == (1, 1)
    with pytest.raises(ValueError, match="must fit"):
        corr2d(IMAGE, np.ones((6, 9)))


def test_only_what_looks_like_colours_is_refused():
    for shape in ((5, 5, 2), (5, 5, 5), (4, 9, 3), (9, 4, 3), (1, 5, 5, 3)):
        corr2d(np.ones(shape), [[1.0]])
    for shape in ((5, 5, 3), (5, 5, 4)):
        with pytest.raises(ValueError, match="looks like rows x columns x colours"):
            corr2d(np.ones(shape), [[1.0]])


def test_a_nan_at_an_integer_result_is_found_in_any_strip_and_thread():
    for y, x in ((0, 0), (99, 299), (50, 3)):
        image = np.ones((100, 300))
        image[y, x] = np.nan
        for threads in (1, 3):
            with pytest.raises(ValueError, match="leads to NaN"):
                corr2d(image, KERNEL, padding="same", dtype="i2", threads=threads)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ({"stride": 1}, {"stride": True}),
        ({"stride": (1, 1)}, {"stride": (True, 1)}),
        ({"dilation": 2}, {"dilation": 2.0}),
        ({"padding": (1, 1, 1, 1)}, {"padding": (1.0, 1, 1, 1)}),
        ({"padding": 0}, {"padding": False}),
        ({"dtype": "f4"}, {"dtype": ["f4"]}),
    ],
    ids=str,
)
def test_what_equals_an_option_kept_from_a_call_before_is_still_refused(right, wrong):
    image, kernel = random_image((6, 8)), np.array([[1.0, -1.0]])
    corr2d(image, kernel, **right)
    with pytest.raises(TypeError, match=next(iter(wrong))):
        corr2d(image, kernel, **wrong)


@pytest.mark.parametrize(
    "options", [{"algorithm": ["fft"]}, {"channel_axis": [0]}, {"mode": ["wrap"]}], ids=str
)
def test_a_list_in_place_of_an_option_is_named(options):
    for size in (2, 70):  # kept, and too large for it
        with pytest.raises(TypeError, match=f"`{next(iter(options))}` must be"):
            corr2d(random_image((3, 80, 80)), np.ones((size, size)), padding="same", **options)


def test_a_kernel_changed_in_place_counts_from_then_on():
    image, kernel = random_image((6, 8)), np.array([[1.0, -1.0]])
    before = corr2d(image, kernel)
    kernel *= 2
    np.testing.assert_array_equal(corr2d(image, kernel), 2 * before)
    assert corr2d(image, kernel, padding=[1, 1, 1, 1]).shape == (8, 9)  # a list, which is not kept


def test_the_memory_of_a_large_result_is_kept_once_nothing_looks_at_it():
    image, kernel = random_image((2048, 2048)), [[2.0]]
    first, second = corr2d(image, kernel), corr2d(image, kernel)
    assert not np.may_share_memory(first, second)
    part = second[5:7]
    del second
    third = corr2d(-image, kernel)
    np.testing.assert_array_equal(part, 2 * image[5:7])
    del part
    if "asan" not in os.environ.get("LD_PRELOAD", ""):  # which sees to it that no memory is used again
        kept = np.frombuffer(_engine.Block(32 << 20)).reshape(2048, 2048)  # fresh memory would be zeros
        np.testing.assert_array_equal(kept, 2 * image)
    np.testing.assert_array_equal(first, 2 * image)
    np.testing.assert_array_equal(third, -2 * image)
