"""Displaced pairs: the shift that is found, the kernel learned over it, and where it puts its results."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

from corr2d import Kernel, learn
from corr2d.peaks import Planes, find_peaks
from corr2d.shift import _chosen, _moments, _Trial, find_shift

PHOTOS = Path(__file__).parents[1] / "examples" / "photos"
NOT_FOUND = "No shift stands out, so none was assumed. If you know it, pass shift=(rows, columns)."


def gaussian(sigma):
    far = np.arange(-int(4 * sigma + 0.5), int(4 * sigma + 0.5) + 1)
    line = np.exp(-((far / sigma) ** 2) / 2)
    return np.outer(line, line) / line.sum() ** 2


FILTERS = {
    "none": [[1.0]],
    "negative": [[-1.0]],
    "box": np.ones((5, 5)) / 25,
    "edges": [[-1.0, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    "laplacian": [[0.0, 1, 0], [1, -4, 1], [0, 1, 0]],
    "sobel": [[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "emboss": [[-2.0, -1, 0], [-1, 1, 1], [0, 1, 2]],
    "sharpen": [[0.0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    **{f"blur {sigma}": gaussian(sigma) for sigma in (0.5, 1, 2, 4)},
}


@pytest.fixture(scope="module")
def camera():
    return np.asarray(Image.open(PHOTOS / "camera.png"))


@pytest.fixture(scope="module")
def coffee():
    return np.asarray(Image.open(PHOTOS / "coffee.png"))


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).standard_normal((70, 81))


def displaced(scene, kernel, shift, shape, corner=(60, 70)):
    """Two views of a larger scene, `shape` each: at `corner`, and `shift` further up and left, filtered."""
    filtered = scipy.ndimage.correlate(np.asarray(scene, np.float64), kernel)
    (y, x), (rows, columns), (h, w) = corner, shift, shape
    return scene[y : y + h, x : x + w], filtered[y - rows : y - rows + h, x - columns : x - columns + w]


def as_uint8(after):
    return np.clip(np.rint(after), 0, 255).astype(np.uint8)


# The shift is found


@pytest.mark.parametrize("name", FILTERS)
def test_the_shift_is_found_whatever_the_filter(camera, name):
    before, after = displaced(camera, FILTERS[name], (33, -41), (151, 170), (100, 110))
    assert find_shift(before, after) == (33, -41)


@pytest.mark.parametrize("name", ["none", "edges", "sobel", "sharpen", "blur 1"])
@pytest.mark.parametrize("shift", [(0, 0), (-37, 2), (0, 42)])
def test_the_shift_is_found_where_pixels_were_cut_off(camera, name, shift):
    before, after = displaced(camera, FILTERS[name], shift, (151, 170), (100, 110))
    assert find_shift(before, as_uint8(after)) == shift


@pytest.mark.parametrize("name", ["none", "box", "edges", "sobel", "blur 2"])
def test_the_shift_is_found_under_noise(camera, name):
    before, after = displaced(camera, FILTERS[name], (-20, 30), (180, 160), (100, 110))
    after = after + np.random.default_rng(0).normal(0, after.std() / 2, after.shape)
    assert find_shift(before, after) == (-20, 30)


def test_the_sign_is_that_of_roll_and_of_ndimage(noise):
    assert find_shift(noise, np.roll(noise, (5, -9), axis=(0, 1))) == (5, -9)
    assert find_shift(noise, scipy.ndimage.shift(noise, (5, -9), order=0)) == (5, -9)
    assert find_shift(np.roll(noise, (5, -9), axis=(0, 1)), noise) == (-5, 9)


def test_it_is_where_least_squares_over_all_shifts_is_least():
    rng = np.random.default_rng(3)
    scene = scipy.ndimage.gaussian_filter(rng.standard_normal((80, 90)), 1)
    before, after = displaced(scene, FILTERS["sobel"], (4, -6), (30, 33), (20, 25))
    after = after + rng.normal(0, after.std() / 3, after.shape)

    def left(shift):
        rolled = np.roll(before, shift, axis=(0, 1))
        inside = (slice(9, 21), slice(10, 23))
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(rolled, 1), (3, 3))[inside].reshape(-1, 9)
        design = np.column_stack([windows, np.ones(len(windows))])
        target = after[inside].ravel()
        weights = np.linalg.lstsq(design, target, rcond=None)[0]
        return float(((target - design @ weights) ** 2).sum())

    shifts = [(y, x) for y in range(-7, 8) for x in range(-8, 9)]
    assert find_shift(before, after, size=3) == min(shifts, key=left) == (4, -6)


def test_an_off_centre_kernel_is_a_centred_one_shifted(noise):
    kernel = np.zeros((9, 9))
    kernel[6:9, 0:3] = np.random.default_rng(1).standard_normal((3, 3))
    after = scipy.ndimage.correlate(noise, kernel)
    assert find_shift(noise, after) == (-3, 3)
    learned = learn(noise, after, shift="auto")
    np.testing.assert_allclose(learned.weights, kernel[6:9, 0:3], atol=1e-9)
    assert learned.origin == (1 - 3, 1 + 3)


def test_a_size_that_is_given_is_placed(noise):
    kernel = np.random.default_rng(1).standard_normal((2, 4))
    after = np.roll(scipy.ndimage.correlate(noise, kernel), (6, 8), axis=(0, 1))
    learned = learn(noise, after, size=(2, 4), shift="auto")
    np.testing.assert_allclose(learned.weights, kernel, atol=1e-9)
    assert learned.origin == (1 + 6, 2 + 8)


def test_a_size_larger_than_tried_has_its_place(noise):
    after = np.roll(scipy.ndimage.correlate(noise, FILTERS["sobel"]), (6, 8), axis=(0, 1))
    learned = learn(noise, after, size=17, shift="auto")
    assert learned.origin == (8 + 6, 8 + 8)
    np.testing.assert_allclose(learned.weights[7:10, 7:10], FILTERS["sobel"], atol=1e-9)


@pytest.mark.parametrize("axis", [0, 1])
def test_one_row_or_column(axis):
    line = np.expand_dims(np.random.default_rng(0).standard_normal(300), axis)
    assert find_shift(line, np.roll(line, 40, axis=1 - axis)) == ((0, 40) if axis == 0 else (40, 0))


def test_stripes_tell_nothing_along_them():
    rng = np.random.default_rng(0)
    stripes = np.tile(rng.standard_normal(120), (90, 1))
    after = np.roll(stripes, 9, axis=1)
    assert find_shift(stripes, after) == (0, 9)
    assert find_shift(stripes.T, after.T + rng.normal(0, 0.3, (120, 90))) == (9, 0)


def test_of_shifts_that_fit_alike_it_is_the_smallest():
    tiles = np.tile(np.random.default_rng(0).standard_normal((11, 13)), (13, 11))
    assert find_shift(tiles, np.roll(tiles, (3, -4), axis=(0, 1))) == (3, -4)


def test_a_border_is_no_peak(camera):
    # Without fading out, the border, at the same place in both, makes the highest peak: at (0, 0).
    before, after = displaced(camera, gaussian(1), (12, -12), (60, 70))
    assert find_peaks([Planes(before, after, None)])[0] == (12, -12)


def test_missing_pixels_do_not_hide_it(camera):
    before, after = displaced(camera.astype(float), FILTERS["box"], (-18, 22), (150, 140), (100, 110))
    before, after = before.copy(), after.copy()
    before[np.random.default_rng(0).random(before.shape) < 0.01] = np.nan
    after[:50, 60:] = np.nan
    after[100, 3], after[101, 5] = np.inf, -np.inf
    assert find_shift(before, after) == (-18, 22)


def test_pixels_that_do_not_count_do_not_move_it(noise):
    after = np.roll(noise, (6, 7), axis=(0, 1))
    spoilt, where = after.copy(), np.ones(after.shape, bool)
    where[:, :50] = False
    spoilt[:, :50] = 20 * noise[:, :50]  # a copy that is not shifted
    assert max(map(abs, find_shift(noise, spoilt))) < 2
    assert find_shift(noise, spoilt, where=where) == (6, 7)
    assert find_shift(noise, spoilt, where=where[:1]) == (6, 7)
    assert find_peaks([Planes(noise, spoilt, where)])[0] == (6, 7)


def test_clip_is_heard(noise):
    spoilt = np.roll(noise, (6, 7), axis=(0, 1))
    spoilt[noise > 0] = 9 + noise[noise > 0]
    assert find_shift(noise, spoilt) == (0, 0)
    assert find_shift(noise, spoilt, clip=(-9, 9)) in (None, (6, 7))
    assert learn(noise, spoilt, shift=(6, 7), clip=(-9, 9)).r2 == pytest.approx(1)


@pytest.mark.parametrize("scale", [1e-60, 1e60])
def test_units_do_not_matter(noise, scale):
    assert find_shift(noise * scale, np.roll(noise, (6, 7), axis=(0, 1)) * scale) == (6, 7)
    assert find_shift(noise + 1e6, np.roll(noise, (6, 7), axis=(0, 1)) - 1e6) == (6, 7)


@pytest.mark.parametrize("pixels", [1500, 500])
def test_large_pictures_are_scaled_down_and_looked_at_in_spots(camera, monkeypatch, pixels):
    before, after = displaced(camera, FILTERS["edges"], (35, -45), (205, 211), (100, 110))
    monkeypatch.setattr("corr2d.peaks._PLANE_PIXELS", pixels)
    monkeypatch.setattr("corr2d.peaks._THIN", 16)
    monkeypatch.setattr("corr2d.peaks._SPOT", 40)
    assert find_shift(before, as_uint8(after)) == (35, -45)


def test_memory_stays_bounded():
    import tracemalloc

    before = np.random.default_rng(0).integers(0, 256, (3000, 3000), np.uint8)
    tracemalloc.start()
    assert find_shift(before, np.roll(before, (600, -700), axis=(0, 1))) == (600, -700)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6  # one spectrum of all of it would be 72 MB, and there are several


# Nothing stands out


def unrelated():
    rng = np.random.default_rng(0)
    smooth = [scipy.ndimage.gaussian_filter(rng.standard_normal((90, 90)), 5) for _ in range(2)]
    small, constant = rng.standard_normal((90, 80)), np.ones((90, 80))
    return {
        "noise": (small, rng.standard_normal((90, 80))),
        "smooth": smooth,
        "constant before": (constant, small),
        "constant after": (small, constant),
        "all NaN": (small, small * np.nan),
        "all clipped": (small, np.zeros((90, 80), np.uint8)),
        "beyond a quarter": (small, np.roll(small, 40, axis=0)),
        "too small": (small[:3, :4], small[1:4, :4]),
        "one pixel": (small[:1, :1], small[:1, :1]),
    }


@pytest.mark.parametrize("case", unrelated())
def test_where_nothing_stands_out_there_is_no_answer(case):
    assert find_shift(*unrelated()[case]) is None


def test_of_two_shifts_that_cannot_be_told_apart_there_is_no_answer():
    level = np.full(16, 1 / 16)
    best = _Trial((0, 30), 0.5 * level, level)
    steady = _Trial((40, 0), 0.6 * level, level)  # worse in each block
    unsteady = _Trial((40, 0), (0.6 + 0.2 * (-1.0) ** np.arange(16)) * level, level)  # or by chance
    assert _chosen([best, steady]) is best
    assert _chosen([best, unsteady]) is None
    assert _chosen([best, unsteady._replace(shift=(3, 28))]) is best  # another end of the same kernel
    alike = _Trial((0, 1), 0.5 * level, level)
    assert _chosen([best, alike]) is alike


def test_a_window_never_moves_beyond_half_the_picture(noise):
    pairs = [[Planes(noise, noise, None)]]
    assert _moments(pairs, (35, 40), 7, "auto") is not None
    assert _moments(pairs, (36, 0), 7, "auto") is None
    assert _moments(pairs, (0, -41), 7, "auto") is None


def test_empty_pictures_have_no_shift():
    assert find_shift(np.zeros((0, 5)), np.zeros((0, 5))) is None
    assert find_shift(np.zeros((0, 5, 5)), np.zeros((0, 5, 5))) is None


@pytest.mark.parametrize(("x", "y"), [("camera.png", "coffee.png"), ("coffee.png", "chelsea.png")])
def test_unrelated_photographs_have_no_shift(x, y):
    before, after = (np.asarray(Image.open(PHOTOS / name).convert("L"))[40:240, 60:260] for name in (x, y))
    assert find_shift(before, after) is None


def test_learn_says_that_none_was_found():
    before, after = unrelated()["noise"]
    kernel = learn(before, after, size=3, shift="auto")
    assert NOT_FOUND in kernel.notes
    assert kernel.origin == (1, 1)
    np.testing.assert_array_equal(kernel.weights, learn(before, after, size=3).weights)


# The kernel over it


@pytest.mark.parametrize("given", ["auto", (33, -21)])
def test_applying_the_kernel_puts_the_result_where_after_had_it(camera, given, tmp_path):
    before, after = displaced(camera, FILTERS["emboss"], (33, -21), (150, 141))
    kernel = learn(before, after, shift=given)
    assert kernel.origin == (1 + 33, 1 - 21)
    np.testing.assert_allclose(kernel.weights, FILTERS["emboss"], atol=1e-9)
    kernel.save(tmp_path / "kernel.json")
    for k in (kernel, Kernel.load(tmp_path / "kernel.json")):
        result = k(before, padding="same", dtype=float)
        shown = (slice(34, None), slice(None, -22))  # what `before` shows of `after`
        np.testing.assert_allclose(result[shown], after[shown], atol=1e-9)
    assert "shifted: 33 rows down, 21 columns left; origin (34, -20)" in repr(kernel)


@pytest.mark.parametrize("size", [None, 3, (2, 4)])
@pytest.mark.parametrize("shift", [(6, 9), (-6, 9), (6, -9), (-6, -9), (0, 1)])
def test_a_given_shift_learns_from_the_common_part(noise, size, shift):
    rng = np.random.default_rng(0)
    after = scipy.ndimage.correlate(noise, FILTERS["sobel"]) + rng.standard_normal(noise.shape)
    (rows, columns), (h, w) = shift, noise.shape
    x = noise[max(-rows, 0) : h - max(rows, 0), max(-columns, 0) : w - max(columns, 0)]
    y = after[max(rows, 0) : h + min(rows, 0), max(columns, 0) : w + min(columns, 0)]
    cut = learn(x, y, size=size)
    kernel = learn(noise, after, size=size, shift=shift)
    expected = cut.to_dict() | {"origin": [c + n for c, n in zip(cut.origin, shift, strict=True)]}
    for name, n in zip(("center_y", "center_x"), shift, strict=True):  # about an origin that moved
        if name in expected["measures"]:
            expected["measures"][name][0] -= n
    own = ("notes", "parameters")  # those of a filter say where it moves the picture (test_naming.py)
    assert without(kernel.to_dict(), own) == without(expected, own)


def without(values, keys):
    return {key: value for key, value in values.items() if key not in keys}


@pytest.mark.parametrize("name", ["none", "edges", "blur 1"])
def test_auto_changes_nothing_for_a_pair_that_is_not_shifted(camera, name):
    before, after = displaced(camera, FILTERS[name], (0, 0), (120, 110))
    assert learn(before, after, shift="auto") == learn(before, after)
    assert learn(before, after, shift=(0, 0)) == learn(before, after)


def test_a_kernel_that_only_shifts_says_so(noise):
    kernel = learn(noise, np.roll(noise, (4, 9), axis=(0, 1)), shift="auto")
    assert kernel.size == (1, 1)
    assert kernel.notes == (
        "`after` equals the shifted `before` wherever it counts: this kernel changes nothing else.",
    )


def test_clipped_pixels_and_where_go_with_the_shift(camera):
    before, after = displaced(camera, FILTERS["edges"], (25, 17), (140, 150))
    after = as_uint8(after)
    where = np.ones(after.shape, bool)
    where[40:60, 30:90] = False
    after[~where] = 77
    kernel = learn(before, after, size=3, shift="auto", where=where)
    np.testing.assert_allclose(kernel.weights, FILTERS["edges"], atol=1e-6)
    assert kernel.left_out["masked"] == 20 * 60
    assert kernel.left_out["clipped low"] > 1000
    assert kernel.used + sum(kernel.left_out.values()) == (140 - 25 - 2) * (150 - 17 - 2)


# Colours and several pairs


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_colours_share_one_shift(coffee, axis):
    views = [displaced(coffee[..., c], FILTERS["sharpen"], (-12, 19), (100, 110)) for c in range(3)]
    before, after = (np.stack(pictures, axis=axis) for pictures in zip(*views, strict=True))
    assert find_shift(before, after, channel_axis=axis) == (-12, 19)
    kernel = learn(before, after, shift="auto", channel_axis=axis)
    np.testing.assert_allclose(kernel.weights, FILTERS["sharpen"], atol=1e-9)
    where = np.ones(after.shape, bool)
    np.moveaxis(where, axis, 0)[1, 20:40] = False
    assert learn(before, after, size=3, shift="auto", where=where, channel_axis=axis).left_out["masked"] > 0


def test_each_colour_may_have_a_kernel_of_its_own(coffee):
    kernels = [FILTERS["sobel"], FILTERS["negative"], FILTERS["box"]]
    views = [displaced(coffee[..., c], kernels[c], (-12, 19), (100, 110)) for c in range(3)]
    before, after = (np.stack(pictures, axis=-1) for pictures in zip(*views, strict=True))
    kernel = learn(before, after, shift="auto", channel_axis=-1, per_channel=True)
    assert kernel.origin == (2 - 12, 2 + 19)
    np.testing.assert_allclose(kernel.weights[2], FILTERS["box"], atol=1e-9)
    np.testing.assert_allclose(
        kernel(before, padding="same", channel_axis=-1, dtype=float)[:80, 30:], after[:80, 30:], atol=1e-8
    )


def test_a_colour_that_tells_nothing_does_no_harm(coffee):
    before, after = displaced(coffee[..., 0].astype(float), FILTERS["sharpen"], (-12, 19), (100, 110))
    empty = np.zeros_like(before)
    pictures = np.stack([before, empty]), np.stack([after, empty])
    assert find_shift(*pictures, channel_axis=0) == (-12, 19)


@pytest.mark.parametrize("shape", [(10, 9), (9, 30), (12, 13)])
def test_small_pictures_have_an_answer(shape):
    rng = np.random.default_rng(0)
    for _ in range(5):
        scene = rng.standard_normal((40, 60))
        before, after = displaced(scene, FILTERS["none"], (2, -2), shape, (10, 20))
        assert find_shift(before, after) in (None, (2, -2))
        assert find_shift(before, rng.standard_normal(shape)) is None


def test_a_batch_and_pairs_share_one_shift(noise):
    rng = np.random.default_rng(1)
    scenes = [noise, rng.standard_normal((55, 64)), rng.standard_normal((70, 81))]
    pairs = [(x, np.roll(scipy.ndimage.correlate(x, FILTERS["sobel"]), (7, -5), axis=(0, 1))) for x in scenes]
    for shift in ("auto", (7, -5)):
        kernel = learn(iter(pairs), size=3, shift=shift)
        assert kernel.origin == (8, -4)
        assert kernel.r2 == pytest.approx(1)
        assert learn(pairs, shift=shift).origin == (8, -4)
    before, after = (np.stack([pairs[0][i], pairs[2][i]]) for i in (0, 1))
    assert find_shift(before, after) == (7, -5)
    assert learn(before, after, shift="auto").origin == (8, -4)


def test_pairs_that_tell_little_alone_tell_all_together():
    rng = np.random.default_rng(0)
    rows = np.tile(rng.standard_normal(90), (80, 1))
    columns = np.tile(rng.standard_normal((80, 1)), (1, 90))
    pairs = [(x, np.roll(x, (7, -5), axis=(0, 1))) for x in (rows, columns)]
    assert learn(pairs, shift="auto", size=1).origin == (7, -5)


def test_a_given_shift_takes_one_pair_at_a_time():
    alive, most = weakref.WeakSet(), 0

    class Picture(np.ndarray):
        __hash__ = object.__hash__

    def pairs():
        nonlocal most
        rng = np.random.default_rng(0)
        for _ in range(4):
            gc.collect()
            most = max(most, len(alive))
            before = rng.standard_normal((20, 20)).view(Picture)
            alive.add(before)
            pair = before, np.asarray(before) * 2
            del before
            yield pair
            del pair

    learn(pairs(), size=3, shift=(2, 1))
    assert most == 0


def test_no_pairs_are_still_refused():
    with pytest.raises(ValueError, match="at least one pair"):
        learn([], size=3, shift="auto")


def test_inputs_are_left_alone(noise):
    after = np.roll(noise, (4, 9), axis=(0, 1))
    copies = noise.copy(), after.copy()
    noise.flags.writeable = after.flags.writeable = False
    learn(noise, after, shift="auto", where=np.ones((1, 81), bool))
    np.testing.assert_array_equal(noise, copies[0])
    np.testing.assert_array_equal(after, copies[1])


# A hint


def test_a_poorly_explained_pair_is_told_about_its_shift(noise):
    after = np.roll(noise, (12, -9), axis=(0, 1))
    hint = "`after` seems to be shifted against `before` by (12, -9) rows and columns: pass shift='auto'."
    assert hint in learn(noise, after).notes
    assert hint not in learn(noise, after, size=3).notes  # not where a size is known: it takes time
    near = np.roll(noise, 1, axis=1)
    assert learn(noise, near, size=3).notes == ()
    assert not any("shift" in note for note in learn(*unrelated()["noise"], size=3).notes)
    assert hint not in learn(noise, after, shift=(12, -9)).notes


def test_a_well_explained_pair_is_not_looked_at_again(noise, monkeypatch):
    def asked(*_, **__):
        raise AssertionError("looked for a shift")

    monkeypatch.setattr("corr2d.learning.shift_of", asked)
    learn(noise, scipy.ndimage.correlate(noise, FILTERS["sobel"]))
    learn(noise, noise + np.random.default_rng(0).normal(0, 0.8, noise.shape))
    moved = np.roll(noise, 9, axis=0)
    learn(noise, moved, size=3)
    learn(noise, moved, shift=(9, 0))
    with pytest.raises(AssertionError, match="looked for a shift"):
        learn(noise, moved)


# Errors


def message(error, function, *args, **options):
    with pytest.raises(error) as caught:
        function(*args, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("shift", "error"),
    [
        ("automatic", ValueError),
        (3, TypeError),
        ((1.0, 2), TypeError),
        ((True, 2), TypeError),
        (None, TypeError),
        ((1, 2, 3), ValueError),
        ((), ValueError),
    ],
)
def test_shift_text(noise, shift, error):
    assert message(error, learn, noise, noise, shift=shift) == (
        f"`shift` must be 'auto' or (rows, columns), two integers, got {shift!r}."
    )


@pytest.mark.parametrize("shift", [(70, 0), (0, -81), (10**12, 0)])
def test_no_common_part_text(noise, shift):
    assert message(ValueError, learn, noise, noise, shift=shift) == (
        f"`shift` must leave a part that both pictures show, got {shift} for pictures of 70 x 81."
    )


@pytest.mark.parametrize("shift", ["auto", (1, 1)])
def test_smaller_after_text(noise, shift):
    assert message(ValueError, learn, noise, noise[1:-1, 1:-1], shift=shift) == (
        "`before` and `after` must have the same shape to be shifted against each other, got (70, 81) and "
        "(68, 79). Without its border, `after` tells where the kernel lies: leave `shift` out."
    )


@pytest.mark.parametrize("option", ["stride", "dilation"])
def test_steps_text(noise, option):
    assert message(ValueError, learn, noise, noise, size=3, shift="auto", **{option: (1, 2)}) == (
        f"`shift` must be (0, 0) where `{option}` is not 1, got {option}=(1, 2). Cut the pictures to their "
        f"common part first."
    )


def test_what_learn_refuses_find_shift_refuses(noise):
    assert "looks like rows x columns x colours" in message(
        ValueError, find_shift, np.zeros((9, 9, 3)), np.zeros((9, 9, 3))
    )
    assert "`size` must be one or two positive integers" in message(
        ValueError, find_shift, noise, noise, size=0
    )
    assert "`where` must be a bool array" in message(TypeError, find_shift, noise, noise, where=noise)
    assert "`before` is a MaskedArray" in message(TypeError, find_shift, np.ma.array(noise), noise)


def test_weights_are_moved_with_the_pixels(noise):
    after = np.roll(noise, (5, -7), axis=(0, 1))
    after[40:60, 30:50] = 9
    weights = np.ones(noise.shape)
    weights[40:60, 30:50] = 0
    found = learn(noise, after, size=3, shift=(5, -7), weights=weights)
    np.testing.assert_allclose(found.weights, np.pad([[1.0]], 1), atol=1e-9)
    assert found.left_out["masked"] == 20 * 20
