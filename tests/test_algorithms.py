"""Every algorithm gives the answer of reference.py; test_correlate.py asks more of "direct"."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import MODES, correlate, exactly, pads_of
from test_correlate import answer, assert_agrees, random_image
from test_dtypes import LAYOUTS

from corr2d import Kernel, _engine, planning
from corr2d.correlate import corr2d

OTHERS = ("separable", "fft of 32", "fft of 48")
SOBEL = np.outer([1, 2, 1], [-1, 0, 1])


def small_tiles(monkeypatch, side):
    """Let the FFT have no tiles but of `side`: small pictures have seams then, and small kernels are cut."""
    own = planning.COSTS[_engine.isa]
    only = {name: costs._replace(fft={side: (1.0, 0.5)}) for name, costs in own.items()}
    monkeypatch.setitem(planning.COSTS, _engine.isa, only)


@pytest.fixture(params=("direct", *OTHERS))
def algorithm(request, monkeypatch):
    name, *side = request.param.split(" of ")
    if side:
        small_tiles(monkeypatch, int(side[0]))
    return name


def largest(image, kernel, cval=0.0):
    """What errors are relative to: no result is larger."""
    return float(np.abs(kernel).sum()) * max(np.abs(image.astype("f8")).max(initial=0), abs(cval))


def random_kernel(shape, rank=None, seed=1):
    rng = np.random.default_rng(seed)
    if rank is None:
        return rng.standard_normal(shape)
    return rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))


def as_signs(array):
    """What is not finite: NaN, inf, -inf; and 0 for every number."""
    return np.where(np.isfinite(array), 0, array)


# Agreement with the reference

PADDINGS = ("valid", "same", "full", (0, 3, 7, 1))
IMAGES = (((9, 40), "f8"), ((37, 21), "f4"), ((30, 71), "u2"), ((1, 1), "f8"))
# The last ones are cut into blocks: tiles of 32 take 16 x 16 taps at a time, tiles of 48 take 24 x 24.
KERNEL_SHAPES = ((1, 1), (1, 6), (5, 1), (2, 2), (3, 3), (8, 5), (16, 16), (17, 2), (3, 40), (33, 35))


@cache
def truth_of(image_shape, dtype, kernel_shape, padding, mode):
    return correlate(random_image(image_shape, dtype), random_kernel(kernel_shape), padding, mode)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("side", [32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024])
def test_squares_of_every_side(side, dtype, monkeypatch):
    small_tiles(monkeypatch, side)
    # On many, spectra of the largest would be over the limit of memory.
    monkeypatch.setattr(planning, "usable_cpus", lambda: 1)
    image, kernel = random_image((side + 40, side + 9), dtype), random_kernel((side // 3, 5))
    ours = corr2d(image, kernel, padding="same", algorithm="fft")
    truth = corr2d(image.astype("f8"), kernel, padding="same", algorithm="direct")
    error = np.abs(ours - truth).max() / largest(image, kernel)
    assert error < (1e-6 if dtype == "f4" else 1e-14)


@pytest.mark.parametrize("kernel_shape", KERNEL_SHAPES, ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_matches_reference(mode, kernel_shape, algorithm):
    kernel = random_kernel(kernel_shape)  # of full rank: "separable" takes min(kh, kw) terms
    for image_shape, dtype in IMAGES:
        image = random_image(image_shape, dtype)
        for padding in PADDINGS if mode == "constant" else PADDINGS[1:]:
            top, bottom, left, right = pads_of(padding, *kernel_shape)
            rows, columns = image_shape[0] + top + bottom, image_shape[1] + left + right
            if rows >= kernel_shape[0] and columns >= kernel_shape[1]:
                ours = answer(image, kernel, padding=padding, mode=mode, algorithm=algorithm)
                truth = truth_of(image_shape, dtype, kernel_shape, padding, mode)
                assert_agrees(ours, truth, largest(image, kernel))


@pytest.mark.filterwarnings("ignore:`image` has integers beyond")
@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "u2", ">i2", "i4", ">i8", "f2", "f4", ">f4", "f8", ">f8"])
def test_every_type_of_pixel_is_read_right(dtype, algorithm):
    image, kernel = random_image((31, 45), dtype), random_kernel((6, 5))
    truth = correlate(image, kernel, "same", "mirror")
    for out in (None, "f4", "f8"):
        ours = answer(image, kernel, padding="same", mode="mirror", dtype=out, algorithm=algorithm)
        sums = ours.astype("f8") if out == "f8" else ours
        assert_agrees(sums, truth, largest(image, kernel))


ROUNDED = (SOBEL, np.ones((5, 4)), SOBEL / 8, random_kernel((4, 5)) / 3)


@cache
def rounded_truth_of(dtype, out, i):
    return exactly(random_image((6, 36), dtype), ROUNDED[i], out, padding="same")


@pytest.mark.parametrize("out", ["u1", "i1", "u2", "i2", "i4", "i8"])
@pytest.mark.parametrize("dtype", ["?", "u1", "i2", ">u2", "i4", "f4"])
def test_integer_results_are_rounded_and_saturate(dtype, out, algorithm):
    image = random_image((6, 36), dtype)
    for i, kernel in enumerate(ROUNDED):
        ours = answer(image, kernel, padding="same", dtype=out, algorithm=algorithm)
        off = np.abs(ours.astype(object) - rounded_truth_of(dtype, out, i).astype(object)).max()
        whole = not (kernel % 1).any()
        assert off <= (1 if algorithm == "fft" or (algorithm == "separable" and not whole) else 0)


@pytest.mark.parametrize("shape", [(1, 5), (5, 5), (4, 3)], ids=str)
@pytest.mark.parametrize("name", ["direct", "separable"])
def test_what_float32_takes_for_a_tie_is_summed_again(name, shape):
    image, tenth = random_image((60, 200), "u1"), 0.1 + 1e-9
    kernel = np.full(shape, tenth)
    found = planning.plan(image, kernel, dtype="u1", algorithm=name)
    assert (found.sums, found.near_tie > 0) == (np.float32, True)
    tenths = correlate(image.astype("i8"), np.ones(shape)).astype("i8")
    assert (tenths % 10 == 5).mean() > 0.05
    # 1e-9 too much for a tie: every half goes up, where a float32 sum cannot tell.
    expected = np.minimum((tenths + 5) // 10, 255)
    np.testing.assert_array_equal(answer(image, kernel, dtype="u1", algorithm=name), expected)


@pytest.mark.parametrize("name", ["direct", "separable"])
@pytest.mark.parametrize("kind", ["equal", "falling", "rising", "bell", "random"])
@pytest.mark.parametrize("size", [3, 7, 11])
def test_float32_sums_are_as_near_as_is_taken_for_granted(size, kind, name):
    lines = {
        "equal": np.full(size, 0.1), "falling": 0.7 ** np.arange(size), "rising": 1.3 ** np.arange(size),
        "bell": np.exp(-((np.arange(size) - size // 2) ** 2) / size), "random": random_kernel(size),
    }  # fmt: skip
    kernel = np.outer(lines[kind], lines[kind])
    kernel /= np.abs(kernel).sum() / 1.01
    found = planning.plan(np.zeros((60, 200), "u1"), kernel, dtype="u1", algorithm=name)
    assert found.sums == np.float32
    assert 0 < found.near_tie < 0.01
    flat = [np.full((60, 200), value, "u1") for value in (251, 255)]
    for image in (random_image((60, 200), "u1"), *flat):
        sums = corr2d(image, kernel, dtype="f4", algorithm=name)
        off = np.abs(sums - correlate(image.astype("f8"), kernel)).max()
        assert off <= found.near_tie


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["u1", ">u2", "f4", "f8"])
def test_arrays_may_lie_in_memory_anyhow(layout, dtype, algorithm):
    image, kernel = random_image((33, 41), dtype), random_kernel((5, 6))
    options = {"padding": "same", "mode": "wrap", "algorithm": algorithm}
    expected = corr2d(image, kernel, **options)
    np.testing.assert_array_equal(corr2d(layout(image), layout(kernel), **options), expected)
    out = layout(np.zeros_like(expected))
    if out.flags.writeable:
        corr2d(image, kernel, out=out, **options)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("batch", [(0,), (1,), (3,), (2, 3), (2, 0)])
def test_leading_axes_are_a_batch(batch, algorithm):
    images, kernel = random_image((*batch, 20, 35)), random_kernel((4, 3))
    results = answer(images, kernel, algorithm=algorithm)
    assert results.shape == (*batch, 17, 33)
    for i in np.ndindex(*batch):
        assert_agrees(results[i], correlate(images[i], kernel), largest(images, kernel))


@pytest.mark.parametrize("channel_axis", [0, 1, -1])
def test_each_colour_is_filtered_on_its_own_and_the_axis_stays(channel_axis, algorithm):
    image, kernel = random_image((3, 40, 33), "u1"), random_kernel((5, 4))
    options = {"channel_axis": channel_axis, "algorithm": algorithm}
    result = answer(np.moveaxis(image, 0, channel_axis), kernel, **options)
    for ours, plane in zip(np.moveaxis(result, channel_axis, 0), image, strict=True):
        assert_agrees(ours, correlate(plane, kernel), largest(image, kernel))


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (3, 0, 5)])
def test_an_empty_picture_stays_empty(shape, algorithm):
    result = corr2d(np.ones(shape), np.ones((3, 3)), padding="same", algorithm=algorithm)
    assert (result.shape, result.dtype) == (shape, np.float64)


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
@pytest.mark.parametrize("width", [1, 2, 27, 28, 29, 31, 32, 33, 59, 60, 61, 63, 64, 65, 255, 256, 257, 265])
def test_widths_around_the_tiles(width, dtype, algorithm):
    # Of 5 taps, tiles of 32 give 28 results and tiles of 48 give 44; "separable" works in tiles of 256.
    image, kernel = random_image((7, width + 4), dtype), random_kernel((2, 5))
    truth = correlate(image, kernel)
    assert_agrees(answer(image, kernel, algorithm=algorithm), truth, largest(image, kernel))
    image, kernel = image.T.copy(), kernel.T.copy()
    assert_agrees(answer(image, kernel, algorithm=algorithm), truth.T, largest(image, kernel))


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (6, 5), (20, 30), (70, 3), (2, 90)])
def test_a_single_result(shape, algorithm):
    image, kernel = random_image(shape, "f4"), random_kernel(shape)
    ours = answer(image, kernel, algorithm=algorithm)
    assert_agrees(ours, correlate(image, kernel), largest(image, kernel))


@pytest.mark.parametrize("kernel_shape", [(13, 13), (12, 9), (31, 31), (50, 20)])
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
@pytest.mark.parametrize("shape", [(300, 333), (290, 260), (2, 131, 141)])
def test_no_seam_can_be_seen(shape, dtype, kernel_shape, algorithm):
    image, kernel = random_image(shape, dtype), random_kernel(kernel_shape)
    truth = corr2d(image, kernel, padding="same", mode="reflect", dtype="f8", algorithm="direct")
    ours = corr2d(image, kernel, padding="same", mode="reflect", algorithm=algorithm)
    assert_agrees(ours, truth, largest(image, kernel))


@pytest.mark.parametrize("algorithm", ["direct", "separable", "fft"])
@pytest.mark.parametrize("shape", [(1, 100_000), (100_000, 1), (3, 20_000)])
def test_pictures_of_extreme_shape(shape, algorithm):
    image = random_image(shape, "f4")
    kernels = [np.ones((1, 1)), random_kernel((min(shape[0], 700), min(shape[1], 700)))]
    for kernel in kernels:
        truth = corr2d(image, kernel, dtype="f8", algorithm="direct")
        assert_agrees(corr2d(image, kernel, algorithm=algorithm), truth, largest(image, kernel))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("shape", [(3, 3), (9, 4), (20, 31), (140, 6), (6, 140)])
def test_kernels_of_few_terms(shape, rank):
    for dtype in ("f4", "f8"):
        image, kernel = random_image((150, 300), dtype), random_kernel(shape, rank)
        assert planning.plan(image, kernel, algorithm="separable").rank == min(rank, *shape)
        truth = corr2d(image, kernel, dtype="f8", algorithm="direct")
        ours = answer(image, kernel, algorithm="separable")
        assert_agrees(ours, truth, largest(image, kernel))


# Digits


@pytest.mark.parametrize("shape", [(1, 180), (1, 1000), (1, 5000), (180, 1), (3000, 1), (61, 61), (2, 300)])
@pytest.mark.parametrize("algorithm", ["direct", "separable", "fft"])
def test_large_kernels_keep_their_digits(algorithm, shape):
    for value in (0.7, 0.1, 0.9):  # equal terms err in the same direction: the worst that there is
        image = np.full((shape[0] + 2, shape[1] + 9), value, "f4")
        kernel, expected = np.ones(shape), float(image[0, 0]) * shape[0] * shape[1]
        assert np.abs(corr2d(image, kernel, algorithm=algorithm) - expected).max() <= 2e-6 * expected


def test_a_large_offset_costs_no_digits(algorithm):
    rng = np.random.default_rng(3)
    image, kernel = (1e5 + rng.uniform(-1, 1, (200, 220))).astype("f4"), rng.integers(-9, 10, (15, 15))
    kernel[0, 0] -= kernel.sum()
    truth = corr2d(image, kernel, dtype="f8", algorithm="direct")
    assert_agrees(corr2d(image, kernel, algorithm=algorithm), truth, largest(image, kernel))
    if algorithm == "fft":  # which takes the mean out first
        assert_agrees(corr2d(image, kernel, algorithm=algorithm), truth, largest(image - 1e5, kernel))


@pytest.mark.parametrize("value", [1e38, 3e37, 3e36, 1e36, 1e20, 1e18, 1e-18, 1e-30, 1e-33])
def test_pixels_may_be_tiny_and_huge(value, algorithm):
    rng = np.random.default_rng(2)
    signs = rng.integers(0, 2, (150, 160)) * 2 - 1
    spike = np.zeros((150, 160))
    spike[70, 80] = 1
    kernel = random_kernel((7, 9), 2) / 1000
    for image in (signs, np.indices(signs.shape).sum(0) % 2 * 2 - 1, spike, signs[:20, :20]):
        image = (image * value).astype("f4")
        truth = corr2d(image, kernel, dtype="f8", algorithm="direct")
        assert_agrees(corr2d(image, kernel, algorithm=algorithm), truth, largest(image, kernel))


@pytest.mark.parametrize("value", [1e-300, 1e-30, 1e-18, 1e17, 1e30, 1e150, 1e300])
def test_taps_may_be_tiny_and_huge(value, algorithm):
    image, kernel = random_image((40, 50)) / 1e4, random_kernel((5, 7)) * value
    truth = correlate(image, kernel)
    assert_agrees(corr2d(image, kernel, algorithm=algorithm), truth, largest(image, kernel))


def test_taps_of_zero_give_zero(algorithm):
    for shape in ((1, 1), (2, 3), (20, 40)):
        result = corr2d(np.ones((25, 45)), np.zeros(shape), padding="same", algorithm=algorithm)
        np.testing.assert_array_equal(result, np.zeros((25, 45)))


# NaN and infinity


@pytest.mark.parametrize("size", [3, 11, 13, 31])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_a_bad_pixel_reaches_exactly_the_windows_that_hold_it(dtype, bad, size, algorithm):
    side = 32 - size + 1 if size <= 16 else 32 - 16 + 1  # of the results of a tile of 32
    kernels = np.ones((size, size)), random_kernel((size, size), 1), random_kernel((size, size), 2)
    for y, x in ((0, 0), (59, 66), (20, 40), (side - 1, side), (side + size - 2, 2 * side - 1)):
        image = np.ones((60, 67), dtype)
        image[y, x] = bad
        for kernel in kernels:
            for padding, top in (("valid", 0), ("same", size // 2)):
                result = corr2d(image, kernel, padding=padding, algorithm=algorithm)
                truth = np.zeros(result.shape, bool)
                truth[max(y + top - size + 1, 0) : y + top + 1, max(x + top - size + 1, 0) : x + top + 1] = 1
                np.testing.assert_array_equal(~np.isfinite(result), truth)
                direct = corr2d(image, kernel, padding=padding, algorithm="direct")
                np.testing.assert_array_equal(as_signs(result), as_signs(direct))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_tap_of_zero_does_not_hide_a_bad_pixel(bad, algorithm):
    image, kernel = np.ones((70, 80), "f4"), np.zeros((11, 13))
    image[30, 40] = bad
    kernel[0, 0] = 1
    expected = correlate((~np.isfinite(image)).astype("f8"), np.ones((11, 13)), "same") > 0
    result = corr2d(image, kernel, padding="same", algorithm=algorithm)
    np.testing.assert_array_equal(~np.isfinite(result), expected)


@pytest.mark.parametrize("cval", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rank", [1, 2, None])
def test_cval_need_not_be_finite(rank, cval, algorithm):
    for shape in ((3, 3), (12, 13), (20, 18)):
        image, kernel = random_image((70, 75), "f4"), random_kernel(shape, rank)
        result = answer(image, kernel, padding="same", cval=cval, algorithm=algorithm)
        direct = corr2d(image, kernel, padding="same", cval=cval, algorithm="direct")
        np.testing.assert_array_equal(as_signs(result), as_signs(direct))
        assert np.isfinite(result).sum() == (71 - shape[0]) * (76 - shape[1])


def test_cval_is_what_lies_beyond(algorithm):
    image, kernel = random_image((30, 41), "f4"), random_kernel((6, 7))
    for cval in (2.5, -1e4, 1e20):
        truth = correlate(image, kernel, 9, cval=cval)
        ours = answer(image, kernel, padding=9, cval=cval, algorithm=algorithm)
        assert_agrees(ours, truth, largest(image, kernel, cval))
        # Far from the border nothing of it is left, but for what rides in the same tile.
        if algorithm != "fft":
            inside = slice(9, -9), slice(9, -9)
            assert_agrees(ours[inside], truth[inside], largest(image, kernel))


def test_a_nan_at_an_integer_result_is_found(algorithm):
    for y, x in ((0, 0), (99, 149), (50, 3)):
        image = np.ones((100, 150))
        image[y, x] = np.nan
        for kernel in (np.ones((4, 5)), random_kernel((4, 5))):
            for threads in (1, 3):
                with pytest.raises(ValueError, match="leads to NaN"):
                    corr2d(image, kernel, padding="same", dtype="i2", threads=threads, algorithm=algorithm)


def test_an_infinity_at_an_integer_result_saturates(algorithm):
    image = np.ones((40, 50))
    image[20, 20] = np.inf
    for kernel in (np.ones((3, 4)), np.ones((3, 4)) + np.eye(3, 4)):  # of two terms: no inf - inf on the way
        result = corr2d(image, kernel, dtype="u1", algorithm=algorithm)
        expected = corr2d(image, kernel, dtype="u1", algorithm="direct")
        assert expected.max() == 255
        np.testing.assert_array_equal(result, expected)


# Threads and memory


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
@pytest.mark.parametrize("shape", [(3, 400), (201, 267), (3, 150, 133), (700, 65)])
def test_the_same_bits_for_any_number_of_threads(shape, dtype, algorithm):
    image = random_image(shape, dtype)
    if dtype != "u1":  # tiles that hold it go another way
        image[..., -2, 40] = np.nan
        image[..., 2, -30] = np.inf
    for kernel in (random_kernel((9, 12), 1), random_kernel((9, 12), 2), random_kernel((9, 12))):
        options = {"padding": "same", "mode": "mirror", "algorithm": algorithm}
        expected = corr2d(image, kernel, threads=1, **options).tobytes()
        for threads in (2, 3, 7):
            assert corr2d(image, kernel, threads=threads, **options).tobytes() == expected


@pytest.mark.parametrize("rank", [1, 2])
def test_separable_gives_the_same_bits_wherever_the_rows_are_cut(rank):
    image, kernel = random_image((90, 300), "f4"), random_kernel((7, 9), rank)
    image[40, 200] = np.nan
    whole = corr2d(image, kernel, algorithm="separable")
    for y in range(0, 80, 7):
        part = corr2d(image[y:], kernel, algorithm="separable")
        assert part.tobytes() == whole[y:].tobytes()


def test_out_may_be_the_image_and_inputs_are_left_alone(algorithm):
    image, kernel = random_image((70, 80)), random_kernel((6, 5))
    kernel.flags.writeable = image.flags.writeable = False
    before = image.tobytes(), kernel.tobytes()
    expected = corr2d(image, kernel, padding="same", algorithm=algorithm)
    assert (image.tobytes(), kernel.tobytes()) == before
    space = image.copy()
    corr2d(space, kernel, padding="same", out=space, algorithm=algorithm)
    np.testing.assert_array_equal(space, expected)


# Where an algorithm may be named


def test_the_bias_of_a_kernel_is_added_once(algorithm):
    image, weights = random_image((50, 60)), random_kernel((20, 5), 2)
    plain = corr2d(image, weights, algorithm=algorithm)
    ours = Kernel(weights, bias=12.5)(image, padding="valid", algorithm=algorithm)
    np.testing.assert_allclose(ours, plain + 12.5, rtol=0, atol=1e-10)


WAYS = ("direct", "separable", "fft")


@pytest.fixture
def ways_taken(monkeypatch):
    """The ways that the engine was asked to go, as they are taken."""
    taken, position = [], 7  # of `way` in Correlation's arguments
    engine = _engine.Correlation

    def correlation(*arguments):
        taken.append(WAYS[arguments[position]])
        return engine(*arguments)

    monkeypatch.setattr("corr2d._engine.Correlation", correlation)
    monkeypatch.setattr("corr2d.correlate._MOST_KEPT", 0)  # each call asks anew
    return taken


@pytest.mark.parametrize("name", WAYS)
def test_the_engine_goes_the_way_that_is_named(name, ways_taken):
    torch = pytest.importorskip("torch")
    image, weights = random_image((20, 30)), random_kernel((3, 4))
    corr2d(image, weights, algorithm=name)
    Kernel(weights)(image, algorithm=name)
    two = Kernel(np.stack([weights, weights]), bias=np.zeros(2))
    two(np.stack([image, image]), channel_axis=0, algorithm=name)
    assert set(ways_taken) == {name}
    ways_taken.clear()
    corr2d(torch.from_numpy(image), weights, algorithm=name)
    corr2d(torch.from_numpy(image).requires_grad_(), weights, algorithm=name)
    Kernel(weights)(torch.from_numpy(image), algorithm=name)
    assert set(ways_taken) == {name}


@pytest.mark.parametrize("wrong", ["FFT", "winograd", "", None, 1])
def test_error_text_for_algorithm(wrong):
    message = rf"^`algorithm` must be one of 'auto', 'direct', 'separable', 'fft', got {wrong!r}\.$"
    error = ValueError if isinstance(wrong, str) else TypeError
    for call in (corr2d, planning.plan, lambda image, kernel, **how: Kernel(kernel)(image, **how)):
        with pytest.raises(error, match=message):
            call(np.ones((3, 3)), np.ones((1, 1)), algorithm=wrong)


@given(st.sampled_from(WAYS[1:]), st.integers(1, 70), st.integers(1, 70), st.integers(1, 20),
       st.integers(1, 20), st.sampled_from(["same", "full"]), st.sampled_from(MODES),
       st.sampled_from(["u1", "f4", "f8"]))  # fmt: skip
def test_agrees_with_direct(name, h, w, kh, kw, padding, mode, dtype):
    image, kernel = random_image((h, w), dtype), random_kernel((kh, kw))
    options = {"padding": padding, "mode": mode}
    truth = corr2d(image, kernel, dtype="f8", algorithm="direct", **options)
    assert_agrees(corr2d(image, kernel, algorithm=name, **options), truth, largest(image, kernel))
