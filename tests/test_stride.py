"""Every s-th result, of taps that stand d pixels apart: `stride` and `dilation`, by every algorithm."""

import itertools
import re
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import MODES, both, correlate, exactly, pads_of
from test_algorithms import ROUNDED, as_signs, largest, random_kernel, small_tiles
from test_correlate import WIDTHS, answer, assert_agrees, random_image
from test_dtypes import LAYOUTS, PIXELS, RESULTS

from corr2d import _engine
from corr2d.correlate import corr2d

WAYS = ("direct", "separable", "fft", "auto")
# Coprime, equal, with a common factor; wider than the kernels, than the images; other down than across.
STEPS = [
    {"stride": stride, "dilation": dilation}
    for stride, dilation in (
        (1, 2), (2, 1), (2, 2), (3, 2), (4, 6), (6, 4), ((2, 3), (3, 2)), ((1, 5), (4, 1)), (1, 11), (60, 9),
    )
]  # fmt: skip
FEW_STEPS = [STEPS[3], STEPS[5], STEPS[6]]


def steps(some=STEPS):
    return pytest.mark.parametrize(
        "step", some, ids=lambda step: f"stride {step['stride']} dilation {step['dilation']}"
    )


NAMED = ("direct", "separable", "fft of 32")


@pytest.fixture(params=(*NAMED, "auto"))
def algorithm(request, monkeypatch):
    name, *side = request.param.split(" of ")
    if side:
        small_tiles(monkeypatch, int(side[0]))
    return name


def fits(image_shape, kernel_shape, padding, dilation):
    top, bottom, left, right = pads_of(padding, *kernel_shape, dilation)
    (h, w), (kh, kw), (dy, dx) = image_shape, kernel_shape, both(dilation)
    return h + top + bottom > (kh - 1) * dy and w + left + right > (kw - 1) * dx


def spread(kernel, dilation):
    """The kernel that does the same at dilation 1: with zeros between the taps."""
    (kh, kw), (dy, dx) = kernel.shape, both(dilation)
    wide = np.zeros(((kh - 1) * dy + 1, (kw - 1) * dx + 1))
    wide[::dy, ::dx] = kernel
    return wide


def dense(image, kernel, stride, dilation, padding="valid", **options):
    """The same by what test_correlate.py has proved: a kernel with zeros in it, then every s-th result."""
    (sy, sx), pads = both(stride), pads_of(padding, *kernel.shape, dilation)
    plain = corr2d(image, spread(kernel, dilation), padding=pads, dtype="f8", algorithm="direct", **options)
    return plain[..., ::sy, ::sx]


# Agreement with the reference

IMAGES = (((9, 40), "f8"), ((30, 21), "f4"), ((20, 51), "u2"), ((1, 4), "f4"))
KERNEL_SHAPES = ((1, 1), (1, 5), (3, 3), (4, 1), (5, 6))
BORDERS = [("valid", "constant"), *itertools.product(("same", "full", (0, 3, 7, 1)), MODES)]


@cache
def truth_of(image_shape, dtype, kernel_shape, padding, mode, stride, dilation):
    image, kernel = random_image(image_shape, dtype), random_kernel(kernel_shape)
    return correlate(image, kernel, padding, mode, 0, stride, dilation)


@steps()
@pytest.mark.parametrize("algorithm", NAMED, indirect=True)
def test_matches_reference(step, algorithm):
    # Each kernel at each border, over the next image; test_matches_reference_whatever_is_asked mixes on.
    for ((padding, mode), kernel_shape), (image_shape, dtype) in zip(
        itertools.product(BORDERS, KERNEL_SHAPES), itertools.cycle(IMAGES), strict=False
    ):
        if fits(image_shape, kernel_shape, padding, step["dilation"]):
            image, kernel = random_image(image_shape, dtype), random_kernel(kernel_shape)
            ours = answer(image, kernel, padding=padding, mode=mode, algorithm=algorithm, **step)
            truth = truth_of(image_shape, dtype, kernel_shape, padding, mode, *step.values())
            assert_agrees(ours, truth, largest(image, kernel))


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
@steps(
    [
        {"stride": s, "dilation": d}
        for s, d in ((1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (4, 2), (5, 1), (8, 3))
    ]
)
def test_agrees_in_every_register_tile(step, dtype):
    # A part of a picture gives a part of the result, so one truth serves all sizes.
    s, d = step.values()
    for kh in (1, 7):
        kernel = random_kernel((kh, 3))
        below, beside = (kh - 1) * d + 1, 2 * d + 1
        image = random_image((12 * s + below, (max(WIDTHS) - 1) * s + beside), dtype)
        truth = correlate(image, kernel, **step)
        for rows, columns in itertools.product((1, 2, 6, 7, 13), WIDTHS):
            part = image[: (rows - 1) * s + below, : (columns - 1) * s + beside]
            out = np.full((rows, columns), np.nan, np.float32 if dtype != "f8" else np.float64)
            corr2d(part, kernel, out=out, algorithm="direct", **step)
            assert_agrees(out, truth[:rows, :columns], largest(image, kernel))


@pytest.mark.parametrize("kw", [1, 2, 4, 7, 8, 9, 16, 33])
def test_agrees_for_every_kernel_width(kw):
    for step, kh, dtype in itertools.product(FEW_STEPS, (1, 2, 6, 7), ("f4", "f8")):
        image, kernel = random_image((13, 70), dtype), random_kernel((kh, kw))
        truth = correlate(image, kernel, "same", **step)
        assert_agrees(answer(image, kernel, padding="same", **step), truth, largest(image, kernel))


@pytest.mark.parametrize("width", [1, 2, 27, 28, 29, 31, 32, 33, 128, 255, 256, 257])
@steps(FEW_STEPS)
def test_widths_around_the_tiles(step, width, algorithm):
    for columns in (width, (width - 1) * both(step["stride"])[1] + 1):  # in pixels, and in results
        image, kernel = random_image((9, columns), "f4"), random_kernel((2, 5))
        truth = correlate(image, kernel, "same", **step)
        ours = answer(image, kernel, padding="same", algorithm=algorithm, **step)
        assert_agrees(ours, truth, largest(image, kernel))


@pytest.mark.parametrize("mode", MODES)
@steps(FEW_STEPS)
def test_padding_may_be_many_times_the_picture(step, mode, algorithm):
    image, kernel = random_image((3, 2)), random_kernel((2, 3))
    options = {"padding": (25, 0, 3, 31), "mode": mode, **step}
    ours = answer(image, kernel, algorithm=algorithm, **options)
    assert_agrees(ours, correlate(image, kernel, **options), largest(image, kernel))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stride", [1, 2, 100])
@pytest.mark.parametrize("dilation", [(1, 40), (65, 1), (65, 40)], ids=str)
def test_taps_may_stand_farther_apart_than_the_picture_is_large(dilation, stride, mode, algorithm):
    image, kernel = random_image((7, 9)), random_kernel((3, 4))
    options = {"padding": "same", "mode": mode, "stride": stride, "dilation": dilation}
    truth = truth_of((7, 9), "f8", (3, 4), "same", mode, stride, dilation)
    assert_agrees(answer(image, kernel, algorithm=algorithm, **options), truth, largest(image, kernel))


@pytest.mark.parametrize("far", [40, 1000, 10**9])
def test_only_the_middle_tap_meets_the_picture_where_the_others_are_far_away(far, algorithm, monkeypatch):
    made, engine = [], _engine.Correlation

    def correlation(*arguments):
        made.append(None)
        assert len(made) <= 20 * 31, "work was prepared for results that are not there"
        return engine(*arguments)

    monkeypatch.setattr("corr2d._engine.Correlation", correlation)
    monkeypatch.setattr("corr2d.correlate._MOST_KEPT", 0)  # each call asks anew
    image, kernel = random_image((20, 31)), random_kernel((3, 3))
    for stride in (1, 2):
        made.clear()
        ours = corr2d(image, kernel, padding="same", stride=stride, dilation=far, algorithm=algorithm)
        truth = kernel[1, 1] * image[::stride, ::stride]
        assert_agrees(ours, truth, largest(image, kernel))
        assert made


@pytest.mark.parametrize("far", [4, 31, 10**9])
def test_a_stride_beyond_the_picture_leaves_the_first_result(far, algorithm):
    image, kernel = random_image((20, 31)), random_kernel((4, 3))
    whole = corr2d(image, kernel, algorithm=algorithm)
    for stride in ((far, 100), (100, far), (far, far)):
        ours = corr2d(image, kernel, stride=stride, algorithm=algorithm)
        rows, columns = -(-17 // stride[0]), -(-29 // stride[1])
        assert ours.shape == (rows, columns)
        assert_agrees(ours, whole[:: stride[0], :: stride[1]], largest(image, kernel))


@pytest.mark.parametrize("dtype", ["f4", "u1"])
@pytest.mark.parametrize("kernel_shape", [(200, 300), (1500, 3), (2, 5000)], ids=str)
@steps(
    [{"stride": 2, "dilation": 1}, {"stride": 1, "dilation": (3, 2)}, {"stride": (2, 3), "dilation": (2, 9)}]
)
def test_kernels_too_tall_for_the_scratch_memory_agree(step, kernel_shape, dtype):
    # Whole numbers: exact sums. Where the picture repeats, taps h rows or w columns apart see the same pixel.
    rng, (dy, dx) = np.random.default_rng(0), both(step["dilation"])
    image, kernel = rng.integers(0, 255, (20, 25)), rng.integers(-3, 4, kernel_shape)
    folded, (top, _, left, _) = np.zeros(image.shape), pads_of("same", *kernel_shape, step["dilation"])
    v, u = np.indices(kernel_shape)
    np.add.at(folded, ((v * dy - top) % 20, (u * dx - left) % 25), kernel)
    truth = correlate(image, folded, (0, 19, 0, 24), "wrap", stride=step["stride"])
    ours = answer(image.astype(dtype), kernel, padding="same", mode="wrap", **step)
    np.testing.assert_array_equal(ours, truth)


@pytest.mark.parametrize("cval", [2.5, -1e4, np.nan])
@steps(FEW_STEPS)
def test_cval_is_what_lies_beyond(step, cval, algorithm):
    image, kernel = random_image((30, 41), "f4"), random_kernel((6, 7))
    ours = answer(image, kernel, padding="full", cval=cval, algorithm=algorithm, **step)
    truth = correlate(image, kernel, "full", cval=cval, **step)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(truth))
    finite = ~np.isnan(truth)
    assert finite.any()
    assert_agrees(ours[finite], truth[finite], largest(image, kernel, np.nan_to_num(cval)))


# Agreement with others, and with what is known already


@pytest.mark.parametrize("dtype", ["u1", "f4"])
@pytest.mark.parametrize("kernel_shape", [(12, 9), (31, 20)], ids=str)
@steps([STEPS[1], STEPS[0], STEPS[3], STEPS[4]])
def test_no_seam_can_be_seen_in_large_pictures(step, kernel_shape, dtype, algorithm):
    image, kernel = random_image((250, 333), dtype), random_kernel(kernel_shape)
    truth = large_truth(dtype, kernel_shape, *step.values())
    ours = corr2d(image, kernel, padding="same", mode="reflect", algorithm=algorithm, **step)
    assert_agrees(ours, truth, largest(image, kernel))


@cache
def large_truth(dtype, kernel_shape, *step):
    image, kernel = random_image((250, 333), dtype), random_kernel(kernel_shape)
    return dense(image, kernel, *step, "same", mode="reflect")


@pytest.mark.parametrize("way", WAYS)
@steps([STEPS[1], STEPS[6]])
def test_a_large_photograph_is_rounded_once(step, way):
    image = random_image((500, 700), "u1")
    for kernel in (np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256, random_image((6, 5), "i1") / 64):
        sums = dense(image, kernel, **step, padding="same", mode="mirror")  # exact: powers of two
        truth = np.clip(np.rint(sums), 0, 255)
        ours = corr2d(image, kernel, padding="same", mode="mirror", dtype="u1", algorithm=way, **step)
        assert ours.shape == truth.shape
        assert np.abs(ours - truth).max() <= (0 if way == "direct" else 1)


@pytest.mark.parametrize("kernel_shape", [(1, 1), (4, 3), (2, 7)], ids=str)
def test_agrees_with_torch(kernel_shape):
    torch = pytest.importorskip("torch")
    kernel = random_kernel(kernel_shape)
    for dtype, step, pad in itertools.product(("f4", "f8"), STEPS[1:8], (0, 3)):
        image = random_image((31, 44), dtype)
        planes, taps = torch.from_numpy(image.astype("f8"))[None, None], torch.from_numpy(kernel)[None, None]
        theirs = torch.nn.functional.conv2d(planes, taps, padding=pad, **step)[0, 0].numpy()
        for way in WAYS:
            ours = corr2d(image, kernel, padding=pad, algorithm=way, **step)
            assert_agrees(ours, theirs, largest(image, kernel))


@steps([{"stride": 1, "dilation": 1}, {"stride": (1, 1), "dilation": (1, 1)}])
def test_steps_of_one_change_no_bit(step, algorithm):
    for dtype, kernel in itertools.product(
        ("u1", "f4", "f8"), (random_kernel((6, 5), 1), random_kernel((9, 12)))
    ):
        image = random_image((70, 90), dtype)
        for options in ({}, {"padding": "same", "mode": "wrap"}, {"padding": 3, "cval": 7}, {"dtype": "i2"}):
            plain = corr2d(image, kernel, algorithm=algorithm, **options)
            assert corr2d(image, kernel, algorithm=algorithm, **options, **step).tobytes() == plain.tobytes()


@pytest.mark.parametrize("apart", [2, 3, (4, 1), (2, 5)], ids=str)
def test_equal_steps_filter_the_thinned_picture(apart, algorithm):
    rows, columns = both(apart)
    image, kernel = random_image((80, 130)), random_kernel((4, 5))
    ours = corr2d(image, kernel, stride=apart, dilation=apart, algorithm=algorithm)
    thin = np.ascontiguousarray(image[::rows, ::columns])
    assert_agrees(ours, corr2d(thin, kernel, algorithm="direct"), largest(image, kernel))


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_one_tap_of_one_thins_the_picture(dtype):
    image = random_image((30, 41), dtype)
    if dtype != "u1":
        image[3, 5], image[4, 6] = np.nan, np.inf
    for sy, sx in ((1, 2), (2, 1), (3, 4), (29, 40), (30, 41)):
        thin = corr2d(image, [[1.0]], stride=(sy, sx), dilation=(sx, sy), algorithm="direct")
        np.testing.assert_array_equal(thin, image[::sy, ::sx])


@pytest.mark.parametrize("dilation", [1, 2, (3, 1), (1, 4)], ids=str)
def test_the_centre_of_the_kernel_stays_at_the_pixel(dilation):
    # kernel[kh // 2, kw // 2] is the centre, of even sizes too; the others move the picture by whole steps.
    image, (dy, dx) = random_image((24, 24)), both(dilation)
    for (kh, kw), (v, u) in itertools.product(((3, 3), (4, 4), (2, 5)), ((0, 0), (1, 1), (1, 0))):
        kernel = np.zeros((kh, kw))
        kernel[v, u] = 1
        moved = corr2d(image, kernel, padding="same", mode="wrap", dilation=dilation, stride=(2, 3))
        expected = np.roll(image, ((kh // 2 - v) * dy, (kw // 2 - u) * dx), (0, 1))[::2, ::3]
        np.testing.assert_array_equal(moved, expected)


@pytest.mark.parametrize("padding", ["valid", "same", "full", 2, (0, 3, 7, 1)], ids=str)
def test_there_is_a_result_wherever_the_window_fits(padding):
    for (h, w), (kh, kw), step in itertools.product(((12, 19), (13, 20)), ((1, 1), (3, 2), (4, 3)), STEPS):
        if not fits((h, w), (kh, kw), padding, step["dilation"]):
            continue
        (sy, sx), (dy, dx) = both(step["stride"]), both(step["dilation"])
        top, bottom, left, right = pads_of(padding, kh, kw, step["dilation"])
        rows = [y for y in range(0, h + top + bottom, sy) if y + (kh - 1) * dy < h + top + bottom]
        columns = [x for x in range(0, w + left + right, sx) if x + (kw - 1) * dx < w + left + right]
        shape = corr2d(np.ones((h, w)), np.ones((kh, kw)), padding=padding, **step).shape
        assert shape == (len(rows), len(columns))
        if padding == "same":
            assert shape == (-(-h // sy), -(-w // sx))


# Types


@pytest.mark.filterwarnings("ignore:`image` has integers beyond")
@pytest.mark.parametrize("dtype", [*PIXELS, ">u2", ">f4"])
def test_every_type_of_pixel_is_read_right(dtype, algorithm):
    image, kernel = random_image((31, 45), dtype), random_kernel((6, 5))
    for step, out in itertools.product(FEW_STEPS, ("f4", "f8")):
        truth = correlate(image, kernel, "same", "mirror", **step)
        ours = answer(image, kernel, padding="same", mode="mirror", dtype=out, algorithm=algorithm, **step)
        assert_agrees(ours, truth, largest(image, kernel))


@pytest.mark.filterwarnings("ignore:`image` has integers beyond")
@pytest.mark.parametrize("dtype", PIXELS)
def test_every_type_to_every_type(dtype):
    image, kernel = random_image((7, 39), dtype), np.array([[2.0, -1.0], [3.0, 1.0]])
    step = {"stride": (1, 2), "dilation": (2, 3)}
    for dtype_out in RESULTS:
        ours = answer(image, kernel, padding="same", dtype=dtype_out, **step)
        if dtype_out[0] == "f":
            assert_agrees(ours, correlate(image, kernel, "same", **step))
        elif dtype not in ("u8", "i8"):  # float64 holds the sums of all others
            np.testing.assert_array_equal(ours, exactly(image, kernel, dtype_out, padding="same", **step))


@cache
def rounded_truth(dtype, out, i, **options):
    return exactly(random_image((7, 26), dtype), ROUNDED[i], out, padding="same", **options)


@pytest.mark.parametrize("dtype", ["?", "u1", ">u2", "i4", "f4"])
@steps([STEPS[3], STEPS[6]])
def test_integer_results_are_rounded_and_saturate(step, dtype, algorithm):
    image = random_image((7, 26), dtype)
    for out, (i, kernel) in itertools.product(("u1", "i4"), enumerate(ROUNDED)):
        ours = answer(image, kernel, padding="same", dtype=out, algorithm=algorithm, **step)
        truth = rounded_truth(dtype, out, i, **step)
        assert ours.shape == truth.shape
        assert np.abs(ours.astype(object) - truth.astype(object)).max() <= (0 if algorithm == "direct" else 1)


# NaN and infinity


@pytest.mark.parametrize("size", [3, 13])
@pytest.mark.parametrize("bad", [np.nan, -np.inf])
@steps([STEPS[0], STEPS[1], STEPS[2], STEPS[4], STEPS[6]])
def test_a_bad_pixel_reaches_exactly_the_results_whose_taps_meet_it(step, bad, size, algorithm):
    kernels = np.ones((size, size)), random_kernel((size, size), 2), random_kernel((size, size))
    places, reached = ((0, 0), (59, 66), (20, 40), (31, 19), (36, 37)), 0
    for (y, x), dtype in zip(places, ("f2", "f4", "f8", "f4", "f8"), strict=True):
        image = np.ones((60, 67), dtype)
        image[y, x] = bad
        truth = footprint(y, x, size, *step.values())
        reached += truth.sum()
        for kernel in kernels:
            result = corr2d(image, kernel, padding="same", algorithm=algorithm, **step)
            np.testing.assert_array_equal(~np.isfinite(result), truth)
            direct = corr2d(image, kernel, padding="same", algorithm="direct", **step)
            np.testing.assert_array_equal(as_signs(result), as_signs(direct))
    assert reached > 0


@cache
def footprint(y, x, size, stride, dilation):
    spike = np.zeros((60, 67))
    spike[y, x] = 1
    return correlate(spike, np.ones((size, size)), "same", "constant", 0, stride, dilation) > 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e38])
def test_what_lies_between_the_taps_is_never_met(bad, algorithm):
    # Equal steps see every third row and every second column: anything may be in the others.
    thin, kernel = random_image((31, 55), "f4"), random_kernel((6, 4))
    image = np.full((93, 110), bad, "f4")
    image[::3, ::2] = thin
    options = {"stride": (3, 2), "dilation": (3, 2)}
    ours = answer(image, kernel, algorithm=algorithm, **options)
    if np.isfinite(bad) and algorithm != "direct":  # whose errors are relative to the largest pixel
        assert np.isfinite(ours).all()
        return
    assert_agrees(ours, correlate(thin, kernel), largest(thin, kernel))
    if not np.isfinite(bad):
        whole = corr2d(image, kernel, dtype="i2", algorithm=algorithm, **options)
        np.testing.assert_array_equal(whole, np.rint(ours))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@steps(FEW_STEPS)
def test_a_tap_of_zero_does_not_hide_a_bad_pixel(step, bad, algorithm):
    image, kernel = np.ones((70, 80), "f4"), np.zeros((7, 6))
    image[30, 40] = bad
    kernel[0, 0] = 1
    expected = correlate((~np.isfinite(image)).astype("f8"), np.ones((7, 6)), "same", **step) > 0
    assert expected.any()
    result = corr2d(image, kernel, padding="same", algorithm=algorithm, **step)
    np.testing.assert_array_equal(~np.isfinite(result), expected)


@pytest.mark.parametrize("mode", MODES[1:])
@steps([STEPS[0], STEPS[2], STEPS[6]])
def test_a_bad_pixel_is_repeated_with_the_border(step, mode, algorithm):
    image, kernel = np.ones((6, 7)), random_kernel((5, 4))
    image[0, 1] = np.nan
    truth = correlate(image, kernel, "full", mode, **step)
    result = corr2d(image, kernel, padding="full", mode=mode, algorithm=algorithm, **step)
    np.testing.assert_array_equal(np.isnan(result), np.isnan(truth))


@steps(FEW_STEPS)
def test_a_nan_at_an_integer_result_is_found(step, algorithm):
    for y, x in ((0, 0), (96, 144), (48, 6)):
        image = np.ones((100, 150))
        image[y, x] = np.nan
        for threads in (1, 3):
            with pytest.raises(ValueError, match="leads to NaN"):
                corr2d(
                    image,
                    random_kernel((4, 5)),
                    padding="full",
                    dtype="i2",
                    threads=threads,
                    algorithm=algorithm,
                    **step,
                )


# Threads and memory


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
@pytest.mark.parametrize("shape", [(3, 400), (3, 150, 133), (700, 65)], ids=str)
@steps([STEPS[0], STEPS[6]])
def test_the_same_bits_for_any_number_of_threads(step, shape, dtype, algorithm):
    image = random_image(shape, dtype)
    if dtype != "u1":  # what sees it goes another way
        image[..., -2, 40] = np.nan
        image[..., 2, -30] = np.inf
    for kernel in (random_kernel((9, 12), 1), random_kernel((9, 12))):
        options = {"padding": "same", "mode": "mirror", "algorithm": algorithm, **step}
        expected = corr2d(image, kernel, threads=1, **options).tobytes()
        for threads in (2, 7):
            assert corr2d(image, kernel, threads=threads, **options).tobytes() == expected


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@steps(FEW_STEPS)
def test_the_same_bits_wherever_the_picture_is_cut(step, dtype):
    (sy, sx), (dy, _) = both(step["stride"]), both(step["dilation"])
    image, kernel = random_image((70, 190), dtype), random_kernel((4, 5))
    whole = corr2d(image, kernel, algorithm="direct", **step)
    for rows, y, x in itertools.product((1, 2, 6, 7), (0, 1, 3), (0, 1, 5, 16)):
        part = image[y * sy : (y + rows - 1) * sy + 3 * dy + 1, x * sx :]
        ours = corr2d(part, kernel, algorithm="direct", **step)
        assert ours.tobytes() == whole[y : y + rows, x:].tobytes()


@steps(FEW_STEPS)
def test_a_row_wider_than_a_band_is_cut_and_gives_the_same_bits(step, monkeypatch):
    image, kernel = random_image((9, 3000)), random_kernel((3, 4))
    options = [
        {"padding": padding, "mode": mode, "algorithm": "direct", **step}
        for padding, mode in ((2, "mirror"), ("same", "constant"))
    ]
    whole = [corr2d(image, kernel, **o) for o in options]
    monkeypatch.setattr("corr2d.correlate._BAND_WORK", 1)
    for o, expected in zip(options, whole, strict=True):
        np.testing.assert_array_equal(answer(image, kernel, **o), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@steps(FEW_STEPS)
def test_arrays_may_lie_in_memory_anyhow(step, layout, algorithm):
    options = {"padding": "same", "mode": "wrap", "algorithm": algorithm, **step}
    for dtype in ("u1", ">u2", "f4", ">f4", "f8"):
        image, kernel = random_image((33, 41), dtype), random_kernel((5, 6))
        expected = corr2d(image, kernel, **options)
        np.testing.assert_array_equal(corr2d(layout(image), layout(kernel), **options), expected)
        out = layout(np.zeros_like(expected))
        if out.flags.writeable:
            corr2d(image, kernel, out=out, **options)
            np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("pixels", [(1, 41), (33, 1)], ids=str)
def test_a_broadcast_picture_is_read_where_it_is(pixels, algorithm):
    image, kernel = np.broadcast_to(random_image(pixels), (2, 33, 41)), random_kernel((3, 4))
    options = {"padding": "same", "stride": (2, 3), "dilation": (3, 2), "algorithm": algorithm}
    np.testing.assert_array_equal(corr2d(image, kernel, **options), corr2d(image.copy(), kernel, **options))


@pytest.mark.parametrize(("dy", "dx"), [(0, 0), (0, 1), (7, 9), (20, 20)])
def test_out_may_overlap_the_image(dy, dx, algorithm):
    space, kernel = random_image((60, 70)), random_kernel((4, 3))
    image, out = space[:40, :51], space[dy : dy + 20, dx : dx + 17]
    options = {"padding": "same", "mode": "wrap", "stride": (2, 3), "dilation": 2, "algorithm": algorithm}
    expected = corr2d(image.copy(), kernel, **options)
    assert corr2d(image, kernel, out=out, **options) is out
    np.testing.assert_array_equal(out, expected)


# Batches, colours, tensors


@pytest.mark.parametrize("batch", [(0,), (1,), (3,), (2, 3), (2, 0)], ids=str)
@steps(FEW_STEPS)
def test_leading_axes_are_a_batch(step, batch, algorithm):
    images, kernel = random_image((*batch, 20, 35)), random_kernel((4, 3))
    results = answer(images, kernel, padding="same", algorithm=algorithm, **step)
    sy, sx = both(step["stride"])
    assert results.shape == (*batch, -(-20 // sy), -(-35 // sx))
    for i in np.ndindex(*batch):
        assert_agrees(results[i], correlate(images[i], kernel, "same", **step), largest(images, kernel))


@pytest.mark.parametrize("channel_axis", [0, 1, -1])
@steps(FEW_STEPS)
def test_each_colour_is_filtered_on_its_own_and_the_axis_stays(step, channel_axis, algorithm):
    image, kernel = random_image((3, 40, 33), "u1"), random_kernel((5, 4))
    options = {"channel_axis": channel_axis, "algorithm": algorithm, **step}
    result = answer(np.moveaxis(image, 0, channel_axis), kernel, **options)
    for ours, plane in zip(np.moveaxis(result, channel_axis, 0), image, strict=True):
        assert_agrees(ours, correlate(plane, kernel, **step), largest(image, kernel))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "options", [{}, {"padding": "same", "mode": "mirror"}, {"padding": 2, "cval": 3.0}], ids=str
)
def test_tensors_take_the_same_options(options, way):
    torch = pytest.importorskip("torch")
    image, kernel = random_image((2, 40, 50), "f4"), random_kernel((4, 3))
    options = {"stride": (2, 3), "dilation": (3, 2), "algorithm": way, **options}
    expected = corr2d(image, kernel, **options)
    result = corr2d(torch.from_numpy(image), torch.from_numpy(kernel), **options)
    assert isinstance(result, torch.Tensor)
    np.testing.assert_array_equal(result.numpy(), expected)
    out = torch.zeros(expected.shape)
    assert corr2d(torch.from_numpy(image), kernel, out=out, **options) is out
    np.testing.assert_array_equal(out.numpy(), expected)


# Properties

pairs = st.integers(1, 6) | st.tuples(st.integers(1, 7), st.integers(1, 9))
sizes = st.tuples(st.integers(1, 30), st.integers(1, 40))
kernel_sizes = st.tuples(st.integers(1, 7), st.integers(1, 9))
paddings = st.sampled_from(["valid", "same", "full"]) | st.tuples(*[st.integers(0, 20)] * 4)


def exact_pair(size, kernel_size, dtype="f8"):
    """A picture and a kernel whose sums are exact in float64."""
    image = random_image(size, "i2" if np.dtype(dtype).kind == "f" else dtype).astype(dtype)
    return image, np.random.default_rng(0).integers(-64, 65, kernel_size) / 8


@given(sizes, kernel_sizes, pairs, pairs, paddings, st.sampled_from(MODES),
       st.sampled_from(["u1", "i2", "f4", "f8"]), st.sampled_from([None, "f8", "u1", "i4"]),
       st.sampled_from(["direct", "separable", "fft", "fft of 32", "auto"]))  # fmt: skip
def test_matches_reference_whatever_is_asked(
    size, kernel_size, stride, dilation, padding, mode, dtype, out, algorithm
):
    if not fits(size, kernel_size, padding, dilation):
        # As many pixels more as the window needs, rather than another example.
        size = tuple(n + (k - 1) * d for n, k, d in zip(size, kernel_size, both(dilation), strict=True))
    if padding == "valid":
        mode = "constant"
    image, kernel = exact_pair(size, kernel_size, dtype)
    options = {"padding": padding, "mode": mode, "stride": stride, "dilation": dilation}
    name = algorithm.removesuffix(" of 32")
    with pytest.MonkeyPatch.context() as patch:
        if algorithm != name:
            small_tiles(patch, 32)
        ours = answer(image, kernel, dtype=out, algorithm=name, **options)
    truth = correlate(image, kernel, **options)
    if name == "direct" and ours.dtype == np.float64:
        np.testing.assert_array_equal(ours, truth)
    elif ours.dtype.kind == "f":
        assert_agrees(ours, truth, largest(image, kernel))
    else:
        ends = np.iinfo(out)
        assert ours.shape == truth.shape
        off = np.abs(ours - np.clip(np.rint(truth), ends.min, ends.max)).max()
        assert off <= (0 if name == "direct" else 1)


@given(sizes, kernel_sizes, pairs, pairs, st.sampled_from(["same", "full"]), st.sampled_from(MODES),
       st.sampled_from(WAYS))  # fmt: skip
def test_transposing_all_transposes_the_result(size, kernel_size, stride, dilation, padding, mode, way):
    image, kernel = exact_pair(size, kernel_size)
    options = {"padding": padding, "mode": mode, "algorithm": way}
    upright = corr2d(image, kernel, stride=stride, dilation=dilation, **options)
    turned = corr2d(image.T, kernel.T, stride=both(stride)[::-1], dilation=both(dilation)[::-1], **options)
    assert_agrees(turned.T, upright, largest(image, kernel))


@given(st.integers(1, 5), st.integers(1, 5), kernel_sizes, pairs, st.integers(-3, 3), st.integers(-3, 3))
def test_a_shift_by_the_stride_shifts_the_result_by_one(sy, sx, kernel_size, dilation, down, right):
    # Where the picture repeats, and its size is a multiple of the stride.
    image, kernel = exact_pair((6 * sy, 7 * sx), kernel_size)
    options = {
        "padding": "same",
        "mode": "wrap",
        "stride": (sy, sx),
        "dilation": dilation,
        "algorithm": "direct",
    }
    shifted = corr2d(np.roll(image, (down * sy, right * sx), (0, 1)), kernel, **options)
    np.testing.assert_array_equal(shifted, np.roll(corr2d(image, kernel, **options), (down, right), (0, 1)))


# Options and errors


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2}, {"stride": 3}, {"stride": (1, 2)}, {"stride": (2, 1)},
        {"dilation": 2}, {"dilation": 3}, {"dilation": (1, 2)}, {"dilation": (2, 1)},
        {"stride": 2, "dilation": 2}, {"stride": (1, 2), "dilation": (2, 1)},
    ],
    ids=str,
)  # fmt: skip
def test_every_option_changes_the_answer(options, algorithm):
    image, kernel = random_image((9, 9)), random_kernel((3, 3))
    others = [{}, *({name: value} for name, value in options.items() if len(options) > 1)]
    for name, value in options.items():
        if isinstance(value, tuple):
            others.append({**options, name: value[::-1]})
    changed = corr2d(image, kernel, padding="same", algorithm=algorithm, **options)
    for other in others:
        plain = corr2d(image, kernel, padding="same", algorithm=algorithm, **other)
        assert changed.shape != plain.shape or not np.allclose(changed, plain)


@pytest.mark.parametrize("name", ["stride", "dilation"])
def test_an_int_stands_for_both_and_a_pair_may_come_in_any_form(name, algorithm):
    image, kernel = random_image((20, 30)), random_kernel((3, 4))
    options = {"padding": "same", "algorithm": algorithm}
    expected = corr2d(image, kernel, **{name: (2, 2)}, **options)
    for value in (2, np.int64(2), np.uint8(2), [2, 2], (np.int32(2), 2)):
        np.testing.assert_array_equal(corr2d(image, kernel, **{name: value}, **options), expected)


RULE = "must be an int or (rows, columns), each at least 1"


@pytest.mark.parametrize("name", ["stride", "dilation"])
@pytest.mark.parametrize("wrong", [0, -1, (0, 1), (1, 0), (0, 0), (2, -3), np.int64(0)], ids=repr)
def test_error_text_for_steps_below_one(wrong, name):
    with pytest.raises(ValueError, match=f"^{re.escape(f'`{name}` {RULE}, got {wrong!r}.')}$"):
        corr2d(np.ones((6, 8)), np.ones((2, 2)), **{name: wrong})


@pytest.mark.parametrize("name", ["stride", "dilation"])
@pytest.mark.parametrize(
    "wrong",
    [
        True,
        1.0,
        2.5,
        "2",
        "12",
        None,
        (),
        (1,),
        (1, 2, 3),
        (1, 2.0),
        (True, 1),
        (1, None),
        ("1", "2"),
        {1: 2},
    ],
    ids=repr,
)
def test_error_text_for_steps_of_another_kind(wrong, name):
    with pytest.raises(TypeError, match=f"^{re.escape(f'`{name}` {RULE}, got {wrong!r}.')}$"):
        corr2d(np.ones((6, 8)), np.ones((2, 2)), **{name: wrong})


@pytest.mark.parametrize("name", ["stride", "dilation"])
def test_tensors_get_the_same_errors(name):
    torch = pytest.importorskip("torch")
    for error, wrong in ((ValueError, 0), (TypeError, 1.5)):
        with pytest.raises(error, match=f"^{re.escape(f'`{name}` {RULE}, got {wrong!r}.')}$"):
            corr2d(torch.ones(6, 8), torch.ones(2, 2), **{name: wrong})


def test_error_text_for_out_counts_the_stride():
    message = "`out` must have shape (3, 4) and dtype float64, got (5, 7) and float64."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        corr2d(np.ones((6, 8)), np.ones((2, 2)), stride=2, out=np.zeros((5, 7)))


@pytest.mark.parametrize("stride", [1, 2, 100])
def test_one_pixel_too_few_is_refused_and_one_more_is_not(stride, algorithm):
    options = {"stride": stride, "algorithm": algorithm}
    for dilation, (h, w) in ((3, (7, 10)), ((1, 5), (3, 16)), ((4, 1), (9, 4))):
        kernel = np.ones((3, 4))
        assert corr2d(np.ones((h, w)), kernel, dilation=dilation, **options).shape == (1, 1)
        assert corr2d(
            np.ones((h - 2, w)), kernel, padding=(0, 2, 0, 0), dilation=dilation, **options
        ).shape == (1, 1)
        for shape in ((h - 1, w), (h, w - 1), (h - 2, w), (2, w), (1, 1)):
            over = re.escape(f"over an image of {shape}.")
            with pytest.raises(ValueError, match=f"^`kernel` must fit into the padded image, got .* {over}"):
                corr2d(np.ones(shape), kernel, dilation=dilation, **options)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0), (3, 0, 5)], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_an_empty_picture_stays_empty(mode, shape, algorithm):
    options = {"padding": "same", "mode": mode, "algorithm": algorithm}
    for step in FEW_STEPS:
        sy, sx = both(step["stride"])
        result = corr2d(np.ones(shape), np.ones((3, 3)), **options, **step)
        assert result.shape == (*shape[:-2], -(-shape[-2] // sy), -(-shape[-1] // sx))


@pytest.mark.parametrize("padding", ["valid", "full", 9], ids=str)
def test_an_empty_picture_has_no_other_answer(padding):
    message = "`image` has no pixels (shape (0, 8)): only padding='same' has an answer."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        corr2d(np.ones((0, 8)), np.ones((3, 3)), padding=padding, stride=2, dilation=2)
