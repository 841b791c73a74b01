"""The size, where the shapes do not tell it."""

from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

from corr2d import Moments, learn
from corr2d.size import Choice, choose_size, explains, largest_window

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


def test_a_one_pixel_shift_needs_three(photo):
    learned = learn(photo, np.roll(photo, 1, axis=1))
    assert learned.size == (3, 3)
    np.testing.assert_allclose(learned.weights, [[0, 0, 0], [1, 0, 0], [0, 0, 0]], atol=1e-10)


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
    assert learned.notes == ("15 x 15 is the largest size tried; a larger one may fit better: pass `size`.",)


def test_nothing_in_common_gives_one_weight(photo):
    after = np.random.default_rng(0).standard_normal(photo.shape)
    assert learn(photo, after).size == (1, 1)


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
