"""Kernels (c_out, c_in, kh, kw) mix channels: out[o] is the sum over i of image[i] with kernel[o, i]."""

import itertools
import re
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import MODES, both, correlate, exactly, pads_of
from test_algorithms import as_signs, largest, small_tiles
from test_correlate import WIDTHS, answer, assert_agrees, random_image
from test_dtypes import LAYOUTS, PIXELS, RESULTS, rows_unaligned

from corr2d.correlate import corr2d

WAYS = ("direct", "separable", "fft", "auto")
CHANNELS = ((1, 3), (3, 1), (2, 4))  # of the image, of the result
STEPS = (
    {"stride": 1, "dilation": 1}, {"stride": 2, "dilation": 1}, {"stride": 1, "dilation": 3},
    {"stride": 3, "dilation": 2}, {"stride": (4, 1), "dilation": (6, 2)}, {"stride": 50, "dilation": 1},
)  # fmt: skip


NAMED = ("direct", "separable", "fft of 32")


@pytest.fixture(params=(*NAMED, "auto"))
def algorithm(request, monkeypatch):
    name, *side = request.param.split(" of ")
    if side:
        small_tiles(monkeypatch, int(side[0]))
    return name


def random_mixing(c_out, c_in, kh, kw, seed=1):
    return np.random.default_rng(seed).standard_normal((c_out, c_in, kh, kw))


def assert_each_agrees(ours, truth, image, kernel, cval=0.0):
    """Every output channel by its own weights: a loud one excuses no errors in a quiet one."""
    assert ours.shape == truth.shape
    for o, weights in enumerate(kernel):
        assert_agrees(ours[..., o, :, :], truth[..., o, :, :], largest(image, weights, cval))


def fits(image_shape, kernel_shape, padding, dilation=1):
    top, bottom, left, right = pads_of(padding, *kernel_shape, dilation)
    (h, w), (kh, kw), (dy, dx) = image_shape, kernel_shape, both(dilation)
    return h + top + bottom > (kh - 1) * dy and w + left + right > (kw - 1) * dx


# Agreement with the reference

IMAGES = (((9, 40), "f8"), ((30, 21), "f4"), ((20, 51), "u2"), ((1, 4), "f4"))
KERNEL_SHAPES = ((1, 1), (3, 3), (4, 3), (2, 5), (7, 1))
BORDERS = [("valid", "constant"), *itertools.product(("same", "full", (0, 3, 7, 1)), MODES)]


@cache
def truth_of(channels, image_shape, dtype, kernel_shape, padding, mode, stride=1, dilation=1):
    image = random_image((channels[0], *image_shape), dtype)
    kernel = random_mixing(channels[1], channels[0], *kernel_shape)
    return correlate(image, kernel, padding, mode, 0, stride, dilation)


@pytest.mark.parametrize(
    "step", STEPS, ids=lambda step: f"stride {step['stride']} dilation {step['dilation']}"
)
@pytest.mark.parametrize("channels", CHANNELS, ids=lambda c: f"{c[0]} to {c[1]} channels")
@pytest.mark.parametrize("algorithm", NAMED, indirect=True)
def test_matches_reference(channels, step, algorithm):
    # Each border with the next kernel and image; test_matches_reference_whatever_is_asked mixes on.
    for (padding, mode), kernel_shape, (image_shape, dtype) in zip(
        BORDERS, itertools.cycle(KERNEL_SHAPES), itertools.cycle(IMAGES), strict=False
    ):
        if fits(image_shape, kernel_shape, padding, step["dilation"]):
            image = random_image((channels[0], *image_shape), dtype)
            kernel = random_mixing(channels[1], channels[0], *kernel_shape)
            ours = answer(image, kernel, padding=padding, mode=mode, algorithm=algorithm, **step)
            truth = truth_of(channels, image_shape, dtype, kernel_shape, padding, mode, *step.values())
            assert_each_agrees(ours, truth, image, kernel)


@pytest.mark.parametrize("dtype", ["u1", "f8"])
@pytest.mark.parametrize("c_out", [1, 2, 5])
def test_agrees_in_every_register_tile(c_out, dtype):
    # A part of a picture gives a part of the result, so one truth serves all sizes.
    for kh, c_in in ((1, 2), (3, 3), (7, 1)):
        image, kernel = (
            random_image((c_in, 13 + kh - 1, max(WIDTHS) + 2), dtype),
            random_mixing(c_out, c_in, kh, 3),
        )
        truth = correlate(image, kernel)
        for rows, columns in itertools.product((1, 2, 6, 7, 13), WIDTHS):
            out = np.full((c_out, rows, columns), np.nan, np.float32 if dtype != "f8" else np.float64)
            corr2d(image[:, : rows + kh - 1, : columns + 2], kernel, out=out, algorithm="direct")
            assert_each_agrees(out, truth[:, :rows, :columns], image, kernel)


@pytest.mark.parametrize("c_in", [1, 2, 3, 6, 9])
def test_every_number_of_channels(c_in, algorithm):
    for c_out, kernel_shape in zip((1, 2, 3, 4, 5, 7, 9), itertools.cycle(((1, 1), (3, 2))), strict=False):
        image, kernel = random_image((c_in, 11, 23), "f4"), random_mixing(c_out, c_in, *kernel_shape)
        truth = truth_of((c_in, c_out), (11, 23), "f4", kernel_shape, "same", "reflect")
        ours = answer(image, kernel, padding="same", mode="reflect", algorithm=algorithm)
        assert_each_agrees(ours, truth, image, kernel)


@pytest.mark.parametrize("channels", [(64, 2), (2, 40)], ids=lambda c: f"{c[0]} to {c[1]} channels")
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_many_channels(dtype, channels, algorithm):
    c_in, c_out = channels
    image, kernel = random_image((c_in, 20, 37), dtype), random_mixing(c_out, c_in, 4, 3)
    truth = truth_of(channels, (20, 37), dtype, (4, 3), "same", "mirror")
    assert_each_agrees(
        answer(image, kernel, padding="same", mode="mirror", algorithm=algorithm), truth, image, kernel
    )


@pytest.mark.parametrize("taps", [(128, 1, 1), (129, 1, 1), (43, 1, 3), (20, 5, 5), (3, 15, 15)], ids=str)
def test_kernels_of_many_taps_keep_their_digits(taps, algorithm):
    # Float32 sums are made in groups of 128 taps: some of these kernels are just that, or one more.
    c_in, kh, kw = taps
    shape, rng = (c_in, kh + 19, kw + 40), np.random.default_rng(5)
    image = rng.random(shape).astype("f4")
    for kernel in (rng.standard_normal((2, *taps)), np.ones((1, *taps))):
        truth = sum_of_planes(image, kernel)
        assert_each_agrees(corr2d(image, kernel, algorithm=algorithm), truth, image, kernel)
    # Equal terms err in the same direction: the worst that there is.
    flat = np.full(shape, 0.7, "f4")
    expected = float(flat[0, 0, 0]) * np.prod(taps)
    ours = corr2d(flat, np.ones((2, *taps)), algorithm=algorithm)
    assert np.abs(ours - expected).max() <= 3e-6 * expected


def sum_of_planes(image, kernel, **options):
    """The same by what test_correlate.py has proved, in float64: each pair of planes on its own."""
    plain = {"dtype": "f8", "algorithm": "direct", **options}
    return np.array(
        [sum(corr2d(plane, taps, **plain) for plane, taps in zip(image, row, strict=True)) for row in kernel]
    )


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize("kernel_shape", [(13, 20), (17, 17), (33, 35), (3, 70)], ids=str)
def test_kernels_larger_than_half_a_tile_are_cut_into_blocks(kernel_shape, side, monkeypatch):
    small_tiles(monkeypatch, side)
    for dtype in ("u1", "f4", "f8"):
        image, kernel = random_image((3, 61, 83), dtype), random_mixing(2, 3, *kernel_shape)
        truth = sum_of_planes(image, kernel, padding="same", mode="wrap")
        ours = answer(image, kernel, padding="same", mode="wrap", algorithm="fft")
        assert_each_agrees(ours, truth, image, kernel)


@pytest.mark.parametrize("count", [1, 2, 5])  # pictures ride in pairs, and the tiles of a single one
@pytest.mark.parametrize("kernel_shape", [(5, 40), (40, 5), (33, 50)], ids=str)
def test_a_nan_reaches_no_more_where_blocks_are_cut(kernel_shape, count, monkeypatch):
    small_tiles(monkeypatch, 32)
    images, kernel = random_image((count, 2, 90, 130), "f4"), random_mixing(2, 2, *kernel_shape)
    images[0, 1, 40, 60], images[-1, 0, 3, 128] = np.nan, np.inf
    options = {"padding": "same", "mode": "reflect"}
    truth = corr2d(images, kernel, algorithm="direct", **options)
    ours = answer(images, kernel, algorithm="fft", **options)
    np.testing.assert_array_equal(as_signs(ours), as_signs(truth))
    finite = np.isfinite(truth)
    assert 0.2 < finite.mean() < 1
    assert np.abs(ours[finite] - truth[finite]).max() < 2e-6 * np.abs(truth[finite]).max()
    for threads in (1, 2, 3):
        np.testing.assert_array_equal(
            corr2d(images, kernel, algorithm="fft", threads=threads, **options), ours
        )


@pytest.mark.parametrize("dtype", ["u1", "f4"])
@pytest.mark.parametrize("kernel_shape", [(3, 3), (15, 12)], ids=str)
@pytest.mark.parametrize("step", [{}, {"stride": 2}, {"dilation": (2, 3)}], ids=str)
def test_no_seam_can_be_seen_in_large_pictures(step, kernel_shape, dtype, algorithm):
    image, kernel = random_image((3, 250, 333), dtype), random_mixing(4, 3, *kernel_shape)
    truth = large_truth(dtype, kernel_shape, **step)
    ours = corr2d(image, kernel, padding="same", mode="reflect", algorithm=algorithm, **step)
    assert_each_agrees(ours, truth, image, kernel)


@cache
def large_truth(dtype, kernel_shape, **step):
    image, kernel = random_image((3, 250, 333), dtype), random_mixing(4, 3, *kernel_shape)
    return sum_of_planes(image, kernel, padding="same", mode="reflect", **step)


@pytest.mark.parametrize("cval", [2.5, -1e4, np.nan])
def test_cval_is_what_lies_beyond_in_every_channel(cval, algorithm):
    image, kernel = random_image((3, 30, 41), "f4"), random_mixing(2, 3, 6, 7)
    ours = answer(image, kernel, padding="full", cval=cval, algorithm=algorithm)
    truth = correlate(image, kernel, "full", cval=cval)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(truth))
    near = np.nan_to_num(cval)
    assert_each_agrees(np.nan_to_num(ours), np.nan_to_num(truth), image, kernel, near)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_loud_channel_leaves_a_quiet_one_its_digits(dtype, algorithm):
    image, kernel = random_image((2, 70, 90), dtype), random_mixing(4, 2, 9, 11)
    kernel *= np.array([1e6, 1e-6, 1.0, 1e-12])[:, None, None, None]
    ours = corr2d(image, kernel, padding="same", algorithm=algorithm)
    assert_each_agrees(ours, sum_of_planes(image, kernel, padding="same"), image, kernel)


# Agreement with others, and with what is known already


@pytest.mark.parametrize("channels", [(1, 1), (3, 2), (5, 7)], ids=lambda c: f"{c[0]} to {c[1]}")
def test_agrees_with_torch(channels):
    torch = pytest.importorskip("torch")
    c_in, c_out = channels
    for dtype, kernel_shape, step in itertools.product(("f4", "f8"), ((3, 3), (4, 2)), STEPS[:5]):
        images, kernel = random_image((2, c_in, 31, 44), dtype), random_mixing(c_out, c_in, *kernel_shape)
        theirs = torch.nn.functional.conv2d(
            torch.from_numpy(images.astype("f8")), torch.from_numpy(kernel), padding=5, **step
        ).numpy()
        for way in WAYS:
            ours = corr2d(images, kernel, padding=5, algorithm=way, **step)
            assert_each_agrees(ours, theirs, images, kernel)


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
@pytest.mark.parametrize("step", [{}, {"stride": (2, 1), "dilation": 2}], ids=str)
def test_what_mixes_nothing_filters_each_channel_on_its_own(step, dtype, algorithm):
    image, alone = random_image((4, 40, 53), dtype), random_mixing(1, 1, 5, 4)[0, 0]
    kernel = np.zeros((4, 4, 5, 4))
    kernel[range(4), range(4)] = alone
    options = {"padding": "same", "mode": "mirror", "algorithm": algorithm, **step}
    ours, each = corr2d(image, kernel, **options), corr2d(image, alone, **options)
    assert_agrees(ours, each, largest(image, alone))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_one_channel_is_filtered_as_without_the_axes(dtype, algorithm):
    image, kernel = random_image((40, 53), dtype), random_mixing(1, 1, 5, 4)
    options = {"padding": "same", "mode": "mirror", "algorithm": algorithm}
    ours, plain = corr2d(image[None], kernel, **options), corr2d(image, kernel[0, 0], **options)
    assert_agrees(ours[0], plain, largest(image, kernel))


def test_results_are_the_sum_of_the_channels_to_the_bit():
    # Whole numbers: exact sums, in any order.
    rng = np.random.default_rng(3)
    for dtype in ("u1", "i2", "f8"):
        image, kernel = rng.integers(0, 100, (5, 20, 33)).astype(dtype), rng.integers(-9, 10, (3, 5, 4, 3))
        truth = sum_of_planes(image, kernel, padding="same", mode="wrap")
        np.testing.assert_array_equal(answer(image, kernel, padding="same", mode="wrap", dtype="f8"), truth)
        order = rng.permutation(5)
        np.testing.assert_array_equal(
            corr2d(image[order], kernel[:, order], padding="same", mode="wrap", algorithm="direct"), truth
        )
        np.testing.assert_array_equal(
            corr2d(image, kernel[::-1], padding="same", mode="wrap", algorithm="direct"), truth[::-1]
        )


# In 1024ths: exact sums.
GREY = np.array([[306, 601, 117]])[:, :, None, None] / 1024
SEPIA = np.array([[402, 787, 194], [357, 702, 172], [279, 547, 134]])[:, :, None, None] / 1024
TURNED = np.eye(3)[::-1, :, None, None]


@pytest.mark.parametrize("matrix", [GREY, SEPIA, TURNED], ids=["grey", "sepia", "bgr"])
def test_a_matrix_of_colours_is_applied_at_every_pixel(matrix, algorithm):
    photograph = random_image((60, 80, 3), "u1")
    truth = photograph.astype("f8") @ matrix[:, :, 0, 0].T
    ours = answer(photograph, matrix, channel_axis=-1, algorithm=algorithm)
    assert_agrees(ours, truth, largest(photograph, matrix))
    rounded = answer(photograph, matrix, channel_axis=-1, dtype="u1", algorithm=algorithm)
    off = np.abs(rounded - np.clip(np.rint(truth), 0, 255)).max()
    assert off <= (0 if algorithm == "direct" else 1)


# Where the channels are


@pytest.mark.parametrize("channel_axis", [0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("dtype", ["u1", "f8"])
def test_the_channels_may_be_on_any_axis_and_stay_there(dtype, channel_axis, algorithm):
    image, kernel = random_image((3, 19, 34), dtype), random_mixing(2, 3, 4, 5)
    for step in ({}, {"stride": (2, 3), "dilation": (1, 2)}):
        result = answer(
            np.moveaxis(image, 0, channel_axis),
            kernel,
            channel_axis=channel_axis,
            algorithm=algorithm,
            **step,
        )
        ours, truth = np.moveaxis(result, channel_axis, 0), correlate(image, kernel, **step)
        assert_each_agrees(ours, truth, image, kernel)


@pytest.mark.parametrize("channel_axis", [None, 0, 1, 2, 3, 4, -1, -2, -3, -5])
def test_other_axes_are_a_batch(channel_axis, algorithm):
    # Only where the channels go is different: without channel_axis they are the third from the end.
    images, kernel = random_image((2, 4, 3, 18, 21), "f4"), random_mixing(2, 3, 3, 4)
    axis = -3 if channel_axis is None else channel_axis
    result = answer(np.moveaxis(images, 2, axis), kernel, channel_axis=channel_axis, algorithm=algorithm)
    ours = np.moveaxis(result, axis, 2)
    assert ours.shape == (2, 4, 2, 16, 18)
    for i in np.ndindex(2, 4):
        assert_each_agrees(ours[i], batch_truth(*i), images, kernel)


@cache
def batch_truth(i, j):
    return correlate(random_image((2, 4, 3, 18, 21), "f4")[i, j], random_mixing(2, 3, 3, 4))


@pytest.mark.parametrize("batch", [(), (0,), (1,), (3,), (2, 0), (1, 1, 2)], ids=str)
def test_a_batch_of_any_shape(batch, algorithm):
    images, kernel = random_image((*batch, 3, 12, 17)), random_mixing(2, 3, 3, 4)
    results = answer(images, kernel, padding="same", algorithm=algorithm)
    assert results.shape == (*batch, 2, 12, 17)
    for i in np.ndindex(*batch):
        assert_each_agrees(results[i], correlate(images[i], kernel, "same"), images, kernel)


def test_columns_are_not_taken_for_colours():
    # A kernel that mixes says where its channels are: (5, 9, 3) is 5 channels of 9 x 3 pixels.
    image, kernel = random_image((5, 9, 3)), random_mixing(2, 5, 2, 2)
    assert_each_agrees(corr2d(image, kernel), correlate(image, kernel), image, kernel)


# Types


@pytest.mark.filterwarnings("ignore:`image` has integers beyond")
@pytest.mark.parametrize("dtype", [*PIXELS, ">u2", ">f4"])
def test_every_type_of_pixel_is_read_right(dtype, algorithm):
    image, kernel = random_image((3, 21, 35), dtype), random_mixing(2, 3, 4, 5)
    truth = truth_of((3, 2), (21, 35), dtype, (4, 5), "same", "mirror")
    for out in ("f4", "f8"):
        ours = answer(image, kernel, padding="same", mode="mirror", dtype=out, algorithm=algorithm)
        assert_each_agrees(ours, truth, image, kernel)


@pytest.mark.filterwarnings("ignore:`image` has integers beyond")
@pytest.mark.parametrize("dtype", PIXELS)
def test_every_type_to_every_type(dtype):
    image, kernel = random_image((2, 7, 19), dtype), np.array([[[[2.0, -1.0]], [[3.0, 1.0]]]])
    for dtype_out in RESULTS:
        ours = answer(image, kernel, padding="same", dtype=dtype_out)
        if dtype_out[0] == "f":
            assert_each_agrees(ours, correlate(image, kernel, "same"), image, kernel)
        elif dtype not in ("u8", "i8"):  # float64 holds the sums of all others
            np.testing.assert_array_equal(ours, exactly(image, kernel, dtype_out, padding="same"))


ROUNDED = (
    np.random.default_rng(2).integers(-9, 10, (2, 3, 3, 2)),
    np.random.default_rng(2).integers(-9, 10, (2, 3, 3, 2)) / 8,  # many ties
    random_mixing(2, 3, 3, 2) / 3,
)


@cache
def rounded_truth(dtype, out, i):
    return exactly(random_image((3, 6, 17), dtype), ROUNDED[i], out, padding="same")


@pytest.mark.parametrize("dtype", ["?", "u1", ">u2", "i4", "f4"])
def test_integer_results_are_rounded_once(dtype, algorithm):
    image = random_image((3, 6, 17), dtype)
    for out, (i, kernel) in itertools.product(("u1", "i4"), enumerate(ROUNDED)):
        ours, truth = (
            answer(image, kernel, padding="same", dtype=out, algorithm=algorithm),
            rounded_truth(dtype, out, i),
        )
        assert ours.shape == truth.shape
        assert np.abs(ours.astype(object) - truth.astype(object)).max() <= (0 if algorithm == "direct" else 1)


@pytest.mark.parametrize("way", WAYS)
def test_halves_of_channels_add_up_before_they_are_rounded(way):
    image = np.ones((4, 40, 50), "u1")
    kernel = np.full((1, 4, 1, 1), 0.25)  # rounded one by one they would be 0
    assert (corr2d(image, kernel, dtype="u1", algorithm=way) == 1).all()
    kernel = np.array([300.0, -100.0, 300.0, -350.0])[
        None, :, None, None
    ]  # 255 or 0 one by one, or on the way
    assert (corr2d(image, kernel, dtype="u1", algorithm=way) == 150).all()


def test_large_pictures_of_bytes_are_exact():
    image = random_image((5, 300, 333), "u1")
    for kernel in (
        np.random.default_rng(2).integers(-3, 4, (2, 5, 5, 5)),
        np.random.default_rng(2).integers(-9, 10, (2, 5, 7, 6)) / 64,
    ):
        sums = sum_of_planes(image, kernel, padding="same")  # exact: powers of two
        truth = np.clip(np.rint(sums), 0, 255)
        for way in WAYS:
            ours = corr2d(image, kernel, padding="same", dtype="u1", algorithm=way)
            assert np.abs(ours - truth).max() <= (0 if way == "direct" else 1)


# NaN and infinity


@pytest.mark.parametrize("size", [1, 3, 12])
@pytest.mark.parametrize("bad", [np.nan, -np.inf])
@pytest.mark.parametrize(
    "step", [{}, {"stride": 3, "dilation": 2}, {"stride": (2, 4), "dilation": (1, 6)}], ids=str
)
def test_a_bad_pixel_of_any_channel_reaches_every_output_channel(step, bad, size, algorithm):
    kernels = np.ones((2, 3, size, size)), random_mixing(2, 3, size, size)
    places, reached = ((0, 0, 0), (1, 59, 66), (2, 24, 48), (1, 31, 18), (0, 36, 36)), 0
    for (channel, y, x), dtype in zip(places, ("f2", "f4", "f8", "f4", "f8"), strict=True):
        image = np.ones((3, 60, 67), dtype)
        image[channel, y, x] = bad
        truth = footprint(y, x, size, **step)
        reached += truth.sum()
        for kernel in kernels:
            result = corr2d(image, kernel, padding="same", algorithm=algorithm, **step)
            np.testing.assert_array_equal(~np.isfinite(result), [truth, truth])
            direct = corr2d(image, kernel, padding="same", algorithm="direct", **step)
            np.testing.assert_array_equal(as_signs(result), as_signs(direct))
    assert reached > 0


@cache
def footprint(y, x, size, **step):
    spike = np.zeros((60, 67))
    spike[y, x] = 1
    return correlate(spike, np.ones((size, size)), "same", **step) > 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_of_zero_do_not_hide_a_bad_pixel(bad, algorithm):
    image, kernel = np.ones((3, 70, 80), "f4"), np.zeros((2, 3, 11, 7))
    image[1, 30, 40] = bad
    kernel[0, 0, 0, 0] = 1  # the channel of the bad pixel has none but zeros
    expected = correlate((~np.isfinite(image[1])).astype("f8"), np.ones((11, 7)), "same") > 0
    assert expected.sum() == 77
    result = corr2d(image, kernel, padding="same", algorithm=algorithm)
    np.testing.assert_array_equal(~np.isfinite(result), [expected, expected])


def test_infinities_of_two_channels_may_cancel(algorithm):
    image = np.ones((2, 40, 50))
    image[0, 20, 20], image[1, 20, 22] = np.inf, -np.inf
    kernel = np.ones((2, 2, 3, 3))
    kernel[1, 1] = -1
    result = corr2d(image, kernel, padding="same", algorithm=algorithm)
    with np.errstate(invalid="ignore"):
        truth = correlate(image, kernel, "same").astype("f8")
    assert np.isnan(truth[0]).sum() == 3
    assert not np.isnan(truth[1]).any()
    np.testing.assert_array_equal(as_signs(result), as_signs(truth))


def test_a_nan_at_an_integer_result_is_found(algorithm):
    for channel, y, x in ((0, 0, 0), (1, 99, 149), (2, 50, 3)):
        image = np.ones((3, 100, 150))
        image[channel, y, x] = np.nan
        for threads in (1, 3):
            with pytest.raises(ValueError, match="leads to NaN"):
                corr2d(
                    image,
                    random_mixing(2, 3, 4, 5),
                    padding="same",
                    dtype="i2",
                    threads=threads,
                    algorithm=algorithm,
                )


# Threads and memory


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
@pytest.mark.parametrize("shape", [(3, 3, 400), (2, 3, 150, 133)], ids=str)
def test_the_same_bits_for_any_number_of_threads(shape, dtype, algorithm):
    image = random_image(shape, dtype)
    if dtype != "u1":  # what sees it goes another way
        image[..., 1, -2, 40] = np.nan
        image[..., 2, 2, -30] = np.inf
    for kernel, step in itertools.product(
        (random_mixing(4, 3, 3, 3), random_mixing(2, 3, 9, 12)), ({}, {"stride": 2, "dilation": 3})
    ):
        options = {"padding": "same", "mode": "mirror", "algorithm": algorithm, **step}
        expected = corr2d(image, kernel, threads=1, **options).tobytes()
        for threads in (2, 7):
            assert corr2d(image, kernel, threads=threads, **options).tobytes() == expected


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_same_bits_wherever_the_picture_is_cut_and_whichever_channels_are_asked_for(dtype):
    image, kernel = random_image((3, 40, 150), dtype), random_mixing(5, 3, 4, 5)
    whole = corr2d(image, kernel, algorithm="direct")
    for rows, y, x, o in itertools.product((1, 2, 6, 7), (0, 1, 3), (0, 1, 5, 16), (0, 2)):
        part = image[:, y : y + rows + 3, x:]
        ours = corr2d(part, kernel[o : o + 3], algorithm="direct")
        assert ours.tobytes() == whole[o : o + 3, y : y + rows, x:].tobytes()


def test_a_row_wider_than_a_band_is_cut_and_gives_the_same_bits(monkeypatch):
    image, kernel = random_image((3, 9, 1000)), random_mixing(2, 3, 3, 4)
    options = {"padding": "same", "mode": "mirror", "algorithm": "direct"}
    whole = corr2d(image, kernel, **options)
    monkeypatch.setattr("corr2d.correlate._BAND_WORK", 1)
    np.testing.assert_array_equal(answer(image, kernel, **options), whole)


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout is not rows_unaligned])
def test_arrays_may_lie_in_memory_anyhow(layout, algorithm):
    options = {"padding": "same", "mode": "wrap", "algorithm": algorithm}
    for dtype in ("u1", ">u2", "f4", ">f4", "f8"):
        image, kernel = random_image((3, 23, 41), dtype), random_mixing(2, 3, 5, 6)
        expected = corr2d(image, kernel, **options)
        np.testing.assert_array_equal(corr2d(layout(image), layout(kernel), **options), expected)
        out = layout(np.zeros_like(expected))
        if out.flags.writeable:
            corr2d(image, kernel, out=out, **options)
            np.testing.assert_array_equal(out, expected)


def test_channels_may_be_reversed_repeated_or_far_apart(algorithm):
    image, kernel = random_image((6, 23, 41), "f4"), random_mixing(2, 3, 4, 5)
    for view in (
        image[::-1][:3],
        image[::2],
        np.broadcast_to(image[0], (3, 23, 41)),
        np.broadcast_to(image[:3, :1], (3, 23, 41)),
        np.moveaxis(np.ascontiguousarray(np.moveaxis(image, 0, -1)), -1, 0)[1:4],
    ):
        expected = corr2d(view.copy(), kernel, padding="same", algorithm=algorithm)
        np.testing.assert_array_equal(corr2d(view, kernel, padding="same", algorithm=algorithm), expected)


@pytest.mark.parametrize("channels", [(3, 3), (3, 2), (1, 3)], ids=lambda c: f"{c[0]} to {c[1]}")
def test_out_may_overlap_the_image(channels, algorithm):
    c_in, c_out = channels
    space, kernel = random_image((4, 30, 40)), random_mixing(c_out, c_in, 3, 5)
    image, out = space[:c_in], space[4 - c_out :]
    expected = corr2d(image.copy(), kernel, padding="same", algorithm=algorithm)
    assert corr2d(image, kernel, padding="same", out=out, algorithm=algorithm) is out
    np.testing.assert_array_equal(out, expected)


def test_inputs_are_left_alone(algorithm):
    image, kernel = random_image((3, 40, 50)), random_mixing(2, 3, 6, 5)
    image.flags.writeable = kernel.flags.writeable = False
    before = image.tobytes(), kernel.tobytes()
    corr2d(image, kernel, padding="full", mode="wrap", stride=2, algorithm=algorithm)
    assert (image.tobytes(), kernel.tobytes()) == before


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("channel_axis", [None, -1])
def test_tensors_may_be_mixed_too(channel_axis, way):
    torch = pytest.importorskip("torch")
    image, kernel = random_image((2, 3, 20, 30), "f4"), random_mixing(2, 3, 4, 3).astype("f4")
    image = image if channel_axis is None else np.ascontiguousarray(np.moveaxis(image, 1, channel_axis))
    options = {"padding": "same", "stride": (2, 3), "channel_axis": channel_axis, "algorithm": way}
    expected = corr2d(image, kernel, **options)
    result = corr2d(torch.from_numpy(image), torch.from_numpy(kernel), **options)
    assert isinstance(result, torch.Tensor)
    np.testing.assert_array_equal(result.numpy(), expected)
    out = torch.zeros(expected.shape)
    assert corr2d(torch.from_numpy(image), kernel, out=out, **options) is out
    np.testing.assert_array_equal(out.numpy(), expected)


# Properties

steps = st.integers(1, 5) | st.tuples(st.integers(1, 7), st.integers(1, 9))


@given(st.integers(1, 4), st.integers(1, 4), st.tuples(st.integers(1, 20), st.integers(1, 40)),
       st.tuples(st.integers(1, 5), st.integers(1, 7)), steps, steps,
       st.sampled_from(["valid", "same", "full", (0, 9, 4, 1)]), st.sampled_from(MODES),
       st.sampled_from(["u1", "i2", "f4", "f8"]), st.sampled_from([None, "f8", "u1", "i4"]),
       st.sampled_from(["direct", "separable", "fft", "fft of 32", "auto"]),
       st.sampled_from([None, 0, 1, -1]))  # fmt: skip
def test_matches_reference_whatever_is_asked(
    c_in, c_out, size, kernel_size, stride, dilation, padding, mode, dtype, out, algorithm, channel_axis
):
    if not fits(size, kernel_size, padding, dilation):
        # As many pixels more as the window needs, rather than another example.
        size = tuple(n + (k - 1) * d for n, k, d in zip(size, kernel_size, both(dilation), strict=True))
    if padding == "valid":
        mode = "constant"
    # Exact sums, in float64.
    image = random_image((c_in, *size), "i2" if dtype[0] == "f" else dtype).astype(dtype)
    kernel = np.random.default_rng(0).integers(-64, 65, (c_out, c_in, *kernel_size)) / 8
    options = {"padding": padding, "mode": mode, "stride": stride, "dilation": dilation}
    axis = 0 if channel_axis is None else channel_axis
    name = algorithm.removesuffix(" of 32")
    with pytest.MonkeyPatch.context() as patch:
        if algorithm != name:
            small_tiles(patch, 32)
        moved = np.moveaxis(image, 0, axis)
        result = answer(moved, kernel, dtype=out, algorithm=name, channel_axis=channel_axis, **options)
    ours, truth = np.moveaxis(result, axis, 0), correlate(image, kernel, **options)
    if name == "direct" and ours.dtype == np.float64:
        np.testing.assert_array_equal(ours, truth)
    elif ours.dtype.kind == "f":
        assert_each_agrees(ours, truth, image, kernel)
    else:
        ends = np.iinfo(out)
        assert ours.shape == truth.shape
        off = np.abs(ours - np.clip(np.rint(truth), ends.min, ends.max)).max()
        assert off <= (0 if name == "direct" else 1)


# Options and errors


@pytest.mark.parametrize(
    "options",
    [{"padding": "full"}, {"padding": 2}, *({"mode": mode} for mode in MODES[1:]), {"cval": 3.0},
     {"stride": 2}, {"dilation": 2}, {"dtype": "u1"}, {"dtype": "f8"}, {"channel_axis": 1},
     {"channel_axis": -1}],
    ids=str,
)  # fmt: skip
def test_every_option_changes_the_answer(options, algorithm):
    image, kernel = random_image((4, 4, 4), "f4"), random_mixing(4, 4, 3, 3)
    plain = corr2d(image, kernel, padding="same", algorithm=algorithm)
    changed = corr2d(image, kernel, **{"padding": "same", "algorithm": algorithm, **options})
    assert changed.shape != plain.shape or not np.array_equal(changed, plain)


@pytest.mark.parametrize(
    ("shape", "channel_axis", "channels"),
    [
        ((4, 9, 7), None, 4),
        ((9, 7, 2), -1, 2),
        ((2, 5, 9, 7), None, 5),
        ((7, 9, 8), 0, 7),
        ((0, 9, 7), None, 0),
        ((9, 8, 3), None, 9),
    ],
)
def test_error_text_for_another_number_of_channels_names_both(shape, channel_axis, channels):
    with pytest.raises(ValueError, match=r"^`(image|kernel)` .*\.$") as caught:
        corr2d(np.ones(shape), np.ones((6, 3, 2, 2)), channel_axis=channel_axis)
    words = str(caught.value).replace(str(shape), "").replace(str((6, 3, 2, 2)), "")
    assert {"3", str(channels)} <= set(re.findall(r"\d+", words))


@pytest.mark.parametrize("shape", [(9, 7), (3, 3)], ids=str)
@pytest.mark.parametrize("channel_axis", [None, 0, -1])
def test_error_text_for_an_image_without_channels(channel_axis, shape):
    with pytest.raises(ValueError, match=rf"^`.*shape {re.escape(str(shape))}"):
        corr2d(np.ones(shape), np.ones((2, 3, 2, 2)), channel_axis=channel_axis)


@pytest.mark.parametrize("channel_axis", [3, -4])
def test_error_text_for_a_channel_axis_that_is_not_there(channel_axis):
    with pytest.raises(ValueError, match=rf"^`.* {channel_axis} .* shape \(3, 9, 7\)\.$"):
        corr2d(np.ones((3, 9, 7)), np.ones((2, 3, 2, 2)), channel_axis=channel_axis)


@pytest.mark.parametrize(
    "shape",
    [(3,), (2, 3, 3), (1, 2, 3, 3, 3), (0, 3, 2, 2), (2, 0, 2, 2), (2, 3, 0, 2), (2, 3, 2, 0)],
    ids=str,
)
def test_error_text_for_kernels_of_other_shapes(shape):
    with pytest.raises(ValueError, match=rf"^`kernel` must have .*, got shape {re.escape(str(shape))}\."):
        corr2d(np.ones((3, 9, 7)), np.ones(shape))


def test_error_text_for_weights_that_are_not_finite():
    kernel = np.ones((2, 3, 2, 2))
    kernel[1, 2, 0, 1], kernel[0, 0, 0, 0] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"^`kernel` must be finite, got 2 NaN or infinite weights\.$"):
        corr2d(np.ones((3, 9, 7)), kernel)


def test_error_text_for_out_counts_the_output_channels():
    for axis, shape, expected in ((None, (3, 9, 7), (2, 8, 6)), (-1, (9, 7, 3), (8, 6, 2))):
        message = f"`out` must have shape {expected} and dtype float64, got {shape} and float64."
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            corr2d(np.ones(shape), np.ones((2, 3, 2, 2)), channel_axis=axis, out=np.zeros(shape))


def test_one_pixel_too_few_is_refused_and_one_more_is_not(algorithm):
    kernel = np.ones((2, 3, 3, 4))
    for dilation, (h, w) in ((1, (3, 4)), ((3, 2), (7, 7))):
        options = {"dilation": dilation, "algorithm": algorithm}
        assert corr2d(np.ones((3, h, w)), kernel, **options).shape == (2, 1, 1)
        for shape in ((h - 1, w), (h, w - 1)):
            over = re.escape(f"over an image of {shape}.")
            with pytest.raises(ValueError, match=f"^`kernel` must fit into the padded image, got .* {over}"):
                corr2d(np.ones((3, *shape)), kernel, **options)


@pytest.mark.parametrize("shape", [(3, 0, 5), (3, 5, 0), (2, 3, 0, 5)], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_an_empty_picture_stays_empty(mode, shape, algorithm):
    kernel = np.ones((2, 3, 3, 3))
    options = {"mode": mode, "algorithm": algorithm}
    assert corr2d(np.ones(shape), kernel, padding="same", **options).shape == (*shape[:-3], 2, *shape[-2:])
    with pytest.raises(
        ValueError, match=r"^`image` has no pixels \(shape .*: only padding='same' has an answer\.$"
    ):
        corr2d(np.ones(shape), kernel, padding="full", **options)
