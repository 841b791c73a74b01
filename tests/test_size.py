"""The size, where the shapes do not tell it."""

from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image
from simulations import size as study

from corr2d import Moments, learn
from corr2d.size import Choice, choose_size, explains, largest_window
from corr2d.size.trimming import Sums, trimmed
from corr2d.solve.words import CHANGES_NOTHING, ONLY_SHIFTS

PHOTOS = Path(__file__).parents[1] / "examples" / "photos"


@pytest.fixture(scope="module")
def photo():
    return np.asarray(Image.open(PHOTOS / "camera.png"))[80:230, 100:290].astype(np.float64)


def random_kernel(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def noisy(picture, decibels, seed=1):
    """Noise of a standard deviation that is 10**(-decibels / 20) of the picture's."""
    return picture + np.random.default_rng(seed).normal(
        0, picture.std() * 10 ** (-decibels / 20), picture.shape
    )


@pytest.mark.parametrize("k", [1, 3, 5, 7, 9, 11, 13, 15])
def test_size_of_a_noise_free_pair(photo, k):
    assert learn(photo, scipy.ndimage.correlate(photo, random_kernel((k, k)))).size == (k, k)


@pytest.mark.parametrize("k", [1, 3, 5, 7, 9, 11, 13, 15])
def test_size_of_a_noisy_pair(photo, k):
    after = noisy(scipy.ndimage.correlate(photo, random_kernel((k, k))), 30)
    assert learn(photo, after).size == (k, k)


@pytest.mark.parametrize("name", ["coffee", "chelsea"])
def test_size_on_other_photographs(name):
    before = np.asarray(Image.open(PHOTOS / f"{name}.png"))[100:250, 100:280, 1].astype(np.float64)
    for k in (3, 9):
        assert learn(before, noisy(scipy.ndimage.correlate(before, random_kernel((k, k))), 30)).size == (k, k)


def test_size_of_an_8_bit_pair(photo):
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
    after = np.clip(np.round(scipy.ndimage.correlate(photo, kernel) + 128), 0, 255).astype(np.uint8)
    learned = learn(photo.astype(np.uint8), after)
    assert learned.size == (3, 3)
    np.testing.assert_allclose(learned.weights, kernel, atol=0.01)


def test_corners_of_a_large_kernel_are_found(photo):
    kernel = np.zeros((13, 13))
    kernel[0, 0], kernel[0, -1], kernel[-1, 0], kernel[-1, -1] = 1, -2, 3, 0.5
    learned = learn(photo, noisy(scipy.ndimage.correlate(photo, kernel), 30))
    assert learned.size == (13, 13)
    np.testing.assert_allclose(learned.weights, kernel, atol=0.2)


@pytest.mark.parametrize("shift", [(0, 1), (-3, 2), (6, -7)])
def test_a_pair_shifted_within_the_window_needs_one_tap_beside_the_pixel(photo, shift):
    learned = learn(photo, np.roll(photo, shift, axis=(0, 1)))
    assert learned.size == (1, 1)
    assert learned.origin == shift
    np.testing.assert_allclose(learned.weights, 1, atol=1e-10)
    assert learned.notes == (ONLY_SHIFTS,)


@pytest.mark.parametrize("axis", [0, 1])
def test_row_pictures_get_row_kernels(axis):
    line = np.random.default_rng(0).standard_normal(400)
    after = np.expand_dims(np.convolve(line, [1, -2, 3, 0, 2], "same"), axis)
    learned = learn(np.expand_dims(line, axis), after)
    assert learned.size == ((1, 5) if axis == 0 else (5, 1))
    np.testing.assert_allclose(learned.weights.ravel(), [2, 0, 3, -2, 1], atol=1e-12)


def test_a_kernel_larger_than_tried_is_noted(photo):
    learned = learn(photo, scipy.ndimage.correlate(photo, random_kernel((19, 19))))
    assert learned.size == (15, 15)
    assert learned.notes[-1] == "15 x 15 is the largest size tried; a larger one may fit better: pass `size`."
    assert learned.errors == "blocks"  # what it does not explain is no white noise


@pytest.mark.parametrize("seed", range(6))
def test_nothing_in_common_gives_one_weight_on_its_pixel(photo, seed):
    learned = learn(photo, np.random.default_rng(seed).standard_normal(photo.shape))
    assert (learned.size, learned.origin) == ((1, 1), (0, 0))


@pytest.mark.parametrize("level", [0.0, 7.5])
def test_a_constant_picture_gives_one_weight_on_its_pixel(photo, level):
    for pair in ((np.full_like(photo, level), photo), (photo, np.full_like(photo, level))):
        learned = learn(*pair)
        assert (learned.size, learned.origin) == ((1, 1), (0, 0))


# Of any height and width, anywhere about the pixel

PLACES = [
    ((2, 2), (1, 1)),
    ((2, 2), (0, 1)),
    ((1, 4), (0, 2)),
    ((3, 7), (1, 3)),
    ((4, 4), (3, 0)),
    ((5, 5), (4, 0)),
    ((8, 3), (0, 4)),
    ((1, 1), (-7, 7)),
    ((2, 3), (7, -5)),
    ((14, 15), (7, 7)),
]


def run(before, kernel, origin):
    """Filter by SciPy, with that tap on the pixel."""
    center = [k // 2 for k in kernel.shape]
    wide = scipy.ndimage.correlate(np.pad(before, 12, "reflect"), kernel)
    moved = np.roll(wide, [o - c for o, c in zip(origin, center, strict=True)], (0, 1))
    return moved[12:-12, 12:-12]


@pytest.mark.parametrize(("shape", "origin"), PLACES)
@pytest.mark.parametrize("decibels", [20, 40, None])
def test_window_is_found_wherever_it_stands(photo, shape, origin, decibels):
    kernel = random_kernel(shape)
    clean = run(photo, kernel, origin)
    after = clean if decibels is None else noisy(clean, decibels)
    learned = learn(photo, after)
    assert (learned.size, learned.origin) == (shape, origin)
    inside = slice(16, -16), slice(16, -16)
    off = (learned(photo, padding="same") - clean)[inside]
    largest = 1e-9 if decibels is None else 0.3 * (after - clean).std() / clean.std()
    assert np.sqrt(np.square(off).mean()) <= largest * clean.std()


def test_window_of_an_8_bit_pair_is_found_wherever_it_stands(photo):
    for shape, origin in PLACES:
        clean = run(photo, random_kernel(shape), origin)
        after = np.round(128 + (clean - clean.mean()) * 30 / clean.std()).clip(0, 255).astype(np.uint8)
        learned = learn(photo.astype(np.uint8), after)
        assert (learned.size, learned.origin) == (shape, origin)


def test_a_kernel_beside_its_pixel_says_so(photo):
    assert "shifted: 3 rows up, 2 columns right; origin (-1, 4)" in repr(
        learn(photo, run(photo, random_kernel((5, 5)), (-1, 4)))
    )
    assert "shifted" not in repr(learn(photo, run(photo, random_kernel((4, 3)), (1, 1))))
    assert "\norigin (1, 1)\n" in repr(learn(photo, run(photo, random_kernel((4, 3)), (1, 1))))
    assert "origin" not in repr(learn(photo, run(photo, random_kernel((4, 3)), (2, 1))))


def test_channels_share_the_window_around_all_of_theirs(photo):
    kernels = [random_kernel((3, 1)), random_kernel((1, 2))]
    after = np.stack([run(photo, kernels[0], (3, 0)), run(photo, kernels[1], (0, 0))])
    learned = learn(np.stack([photo, photo]), after, channel_axis=0, per_channel=True)
    assert (learned.size, learned.origin) == ((4, 2), (3, 0))
    expected = np.zeros((2, 4, 2))
    expected[0, :3, :1], expected[1, 3:, :] = kernels
    np.testing.assert_allclose(learned.weights, expected, atol=1e-9)


def test_mixed_channels_share_a_window(photo):
    before = np.stack([photo, np.rot90(photo, 2)])
    kernels = random_kernel((2, 2, 3))
    after = noisy(sum(run(x, k, (2, 1)) for x, k in zip(before, kernels, strict=True)), 30)[None]
    learned = learn(before, after, channel_axis=0, mix=True)
    assert (learned.size, learned.origin) == ((2, 3), (2, 1))
    np.testing.assert_allclose(learned.weights[0], kernels, atol=0.1)


@pytest.mark.parametrize("loss", ["huber", "tukey"])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_window_beside_the_pixel_goes_with_a_robust_loss(photo, loss, stride):
    kernel = random_kernel((2, 3))
    after = noisy(run(photo, kernel, (3, -1))[::stride, ::stride], 30)
    after[::7, ::9] += 300
    learned = learn(photo, after, loss=loss, stride=stride)
    assert (learned.size, learned.origin) == ((2, 3), (3, -1))
    np.testing.assert_allclose(learned.weights, kernel, atol=0.1)


def test_a_window_beside_the_pixel_counts_in_taps_of_a_dilated_kernel(photo):
    kernel = np.zeros((3, 5))
    kernel[::2, ::2] = random_kernel((2, 3))
    learned = learn(photo, run(photo, kernel, (0, 4)), dilation=2)
    assert (learned.size, learned.origin) == ((2, 3), (0, 2))
    np.testing.assert_allclose(learned.weights, kernel[::2, ::2], atol=1e-9)


def test_a_window_goes_with_a_background(photo):
    kernel = random_kernel((2, 3))
    slope = np.linspace(0, 50, photo.shape[0])[:, None]
    learned = learn(photo, noisy(run(photo, kernel, (0, 2)) + slope, 30), background=1)
    assert (learned.size, learned.origin) == ((2, 3), (0, 2))
    assert learned.background[0] == pytest.approx(25, rel=0.1)


@pytest.mark.parametrize(
    ("symmetric", "size"), [("left-right", (5, 3)), ("radial", (5, 3)), ("4-fold", (5, 5))]
)
def test_symmetric_kernels_get_a_window_about_their_pixel(photo, symmetric, size):
    learned = learn(photo, run(photo, np.ones((2, 3)), (2, 1)), symmetric=symmetric)
    assert (learned.size, learned.origin) == (size, (size[0] // 2, size[1] // 2))


def test_a_given_shift_and_the_place_of_the_window_add_up(photo):
    after = run(photo, random_kernel((3, 2)), (5, -1))
    learned = learn(photo, after, shift=(3, -1))
    assert (learned.size, learned.origin) == ((3, 2), (5, -1))
    back = learn(photo, np.roll(photo, (2, 1), (0, 1)), shift=(1, 1))
    assert (back.size, back.origin, back.notes) == ((1, 1), (2, 1), (ONLY_SHIFTS,))
    wrong = learn(photo, photo, shift=(2, -3))
    assert (wrong.size, wrong.origin, wrong.notes) == ((1, 1), (0, 0), (CHANGES_NOTHING,))


def test_stripes_give_the_smallest_kernel_that_fits(photo):
    stripes = np.tile(photo[:1], (90, 1))
    learned = learn(stripes, scipy.ndimage.correlate(stripes, random_kernel((3, 5))))
    assert (learned.size, learned.origin) == ((1, 5), (0, 2))


def test_what_rounding_leaves_is_not_learned():
    before = np.asarray(Image.open(PHOTOS / "camera.png"))
    kernel = np.random.default_rng(12).uniform(0.1, 1, (2, 2))
    after = np.round(scipy.ndimage.correlate(before.astype(float), kernel / kernel.sum())).astype(np.uint8)
    moments = Moments.of(before, after, size=11)
    assert choose_size(moments, grain=1).size == (2, 2)
    assert choose_size(moments).size == (3, 2)
    assert choose_size(moments, grain=0.1).size == (3, 2)


def test_blocks_decide_where_noise_is_alike_from_pixel_to_pixel(photo):
    clean = run(photo, random_kernel((3, 2), 5), (1, 1))
    noise = scipy.ndimage.gaussian_filter(np.random.default_rng(5).standard_normal(clean.shape), 1)
    after = clean + noise * (clean.std() * 10**-1.25 / noise.std())
    sums = Sums.of(Moments.of(photo, after, size=15))
    not_by_chance = next(step for step in trimmed(sums) if step.surprise > 3.5)
    assert not_by_chance.left.size[0] > 3  # the F test alone would have kept that and one row more
    learned = learn(photo, after)
    assert (learned.size, learned.origin) == ((3, 2), (1, 1))


@pytest.mark.parametrize("y", [40, 80, 120])
def test_a_window_is_put_in_the_middle_where_it_does_as_well(y):
    # Two photographs that have nothing to do with each other: what they share is as well said there.
    coffee, chelsea = (
        np.asarray(Image.open(PHOTOS / f"{name}.png").convert("L")).astype(float)
        for name in ("coffee", "chelsea")
    )
    moments = Moments.of(coffee[y : y + 150, :150], chelsea[140 - y : 290 - y, 150:300], size=15)
    assert choose_size(moments).shift == (0, 0)


def test_several_pairs_share_a_window(photo):
    kernel = random_kernel((3, 4))
    pairs = [(part, noisy(run(part, kernel, (2, 0)), 30)) for part in (photo[:70], photo[80:])]
    assert (learn(pairs).size, learn(pairs).origin) == ((3, 4), (2, 0))


def test_a_small_window_that_explains_is_enough(photo, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "corr2d.learning.largest_window", lambda shapes, k, *_: asked.append(k) or largest_window(shapes, k)
    )
    learn(photo, scipy.ndimage.correlate(photo, random_kernel((3, 3))))
    assert asked == [7]
    asked.clear()
    learn(photo, noisy(scipy.ndimage.correlate(photo, random_kernel((3, 3))), 30))
    assert asked == [7, 15]
    asked.clear()
    # Rounding may hide taps beyond a kernel that ends where the window does.
    after = np.round(scipy.ndimage.correlate(photo, np.ones((7, 3)) / 21)).astype(np.uint8)
    assert learn(photo.astype(np.uint8), after).size == (7, 3)
    assert asked == [7, 15]


@pytest.mark.parametrize(
    ("error", "spread", "dtype", "enough"),
    [
        (0.09, 1.0, "u1", True),  # an integer is off by 1/12 on average
        (0.2, 1.0, "u1", False),
        (0.09, 1.0, "f8", False),
        (1e-13, 1.0, "f8", True),
        (1e-11, 1.0, "f8", False),
        (np.inf, 0.0, "f8", False),  # nothing could be held out
        (0.0, 0.0, "f8", True),
    ],
)
def test_explains(error, spread, dtype, enough):
    assert explains(Choice((3, 3), error, spread), np.dtype(dtype)) is enough


@pytest.mark.parametrize(
    ("shapes", "limit", "size"),
    [
        ([(100, 100)], 15, (15, 15)),
        ([(100, 100)], 7, (7, 7)),
        ([(100, 100), (8, 100)], 7, (5, 7)),
        ([(1, 200)], 15, (1, 15)),
        ([(200, 2)], 15, (15, 1)),
        ([(3, 3)], 15, (1, 1)),
        ([(1, 1)], 15, (1, 1)),
        ([(0, 5)], 15, (1, 1)),
    ],
)
def test_largest_window(shapes, limit, size):
    found = largest_window(shapes, limit)
    if size == (5, 7):  # 8 rows hold windows of up to 7, but too few of them
        assert found[0] < 8
        assert all(
            (h - found[0] + 1) * (w - found[1] + 1) >= 2 * (found[0] * found[1] + 1) for h, w in shapes
        )
    else:
        assert found == size


def test_pixels_in_one_block_need_a_size():
    before = np.random.default_rng(0).standard_normal((40, 40))
    after = np.where((np.arange(40) < 8)[:, None] & (np.arange(40) < 8), before, np.nan)
    with pytest.raises(ValueError, match="`size`") as caught:
        learn(before, after)
    assert str(caught.value) == (
        "`size` must be given: more than half of the pixels that count lie in one block of the picture, "
        "and too few "
        "outside it to test a size on."
    )
    assert learn(before, after, size=1).weights == pytest.approx(1)


def test_choice_tells_the_held_out_error(photo):
    after = scipy.ndimage.correlate(photo, random_kernel((3, 3)))
    after += np.random.default_rng(0).normal(0, 5, after.shape)
    choice = choose_size(Moments.of(photo, after, size=7))
    assert choice.size == (3, 3)
    assert choice.error == pytest.approx(25, rel=0.05)
    assert choice.spread == pytest.approx(after[3:-3, 3:-3].var(), rel=1e-9)


def test_the_study_in_short():
    table = study.exact_windows(2)
    assert [row["pairs"] for row in table.rows] == [2] * 16
    # Of 32 pairs; of those of the whole study, 98 %.
    assert np.mean([row["exact, %"] for row in table.rows]) > 90


def test_a_smooth_kernel_gets_a_window_that_predicts_as_well():
    for row in study.smooth_kernels(4).rows:
        assert row["error"] < 1.5


def test_a_track_gets_room_to_turn(photo):
    after = noisy(scipy.ndimage.correlate(photo, np.ones((1, 9)) / 9), 40)
    learned = learn(photo, after, family="motion")
    assert learned.size == (9, 9)
    assert learned.parameters["length"][0] == pytest.approx(9, abs=0.1)


@pytest.mark.parametrize("shape", [(25, 30), (16, 16), (1, 60), (60, 1), (9, 40)])
def test_noise_alone_gives_one_weight_on_its_pixel_of_small_pictures_too(shape):
    for seed in range(10):
        before, after = np.random.default_rng(seed).standard_normal((2, *shape))
        learned = learn(before, after)
        assert (learned.size, learned.origin) == ((1, 1), (0, 0))


def test_pictures_that_nothing_counts_in_are_refused_as_ever():
    before = np.random.default_rng(0).integers(0, 255, (60, 70)).astype(np.uint8)
    for after in (np.full(before.shape, np.nan), np.where(before > 99, 255, 0).astype(np.uint8)):
        with pytest.raises(ValueError, match="but only 0 pixels count"):
            learn(before, after)
