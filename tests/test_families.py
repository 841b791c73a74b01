"""The shapes, against counting small squares, and against the filters that everyone calls by their names."""

import numpy as np
import pytest
import scipy.ndimage

from corr2d.families import COMMON, UNITS, box, disk, gaussian, motion
from corr2d.solve.family import FAMILIES

SIZES = [(1, 1), (1, 6), (5, 1), (4, 7), (7, 7)]
FINE = 100  # squares along a side of a tap


def counted(size, inside, center):
    """The share of each tap inside, in parts of 1 / FINE^2, made to sum to one."""
    kh, kw = size
    y = (np.arange(kh * FINE) + 0.5) / FINE - 0.5 - kh // 2 - center[0]
    x = (np.arange(kw * FINE) + 0.5) / FINE - 0.5 - kw // 2 - center[1]
    share = inside(y[:, None], x).reshape(kh, FINE, kw, FINE).mean(axis=(1, 3))
    return share / share.sum()


@pytest.mark.parametrize("center", [(0, 0), (0.3, -0.4)])
@pytest.mark.parametrize("size", SIZES)
def test_a_tap_has_the_share_of_its_area_that_the_shape_covers(size, center):
    for radius in (0.3, 1.7, 3.2, 9):
        inside = counted(size, lambda y, x, r=radius: y**2 + x**2 < r**2, center)
        np.testing.assert_allclose(disk(size, radius, *center), inside, atol=2e-3)
    for height, width in ((0.5, 2.3), (3, 3), (9, 1.4)):
        inside = counted(size, lambda y, x, h=height, w=width: (abs(y) < h / 2) & (abs(x) < w / 2), center)
        np.testing.assert_allclose(box(size, height, width, *center), inside, atol=2e-2)
    for length, angle in ((1, 10), (3.3, 33), (6, -71), (4, 135)):
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        inside = counted(
            size,
            lambda y, x, n=length, c=c, s=s: (abs(x * c - y * s) < n / 2) & (abs(x * s + y * c) < 0.5),
            center,
        )
        np.testing.assert_allclose(motion(size, length, angle, *center), inside, atol=5e-3)


@pytest.mark.parametrize("sigma", [0.7, 1.5])
def test_gaussian_is_that_of_scipy(sigma):
    dot = np.zeros((15, 15))
    dot[7, 7] = 1
    theirs = scipy.ndimage.gaussian_filter(dot, sigma, radius=7)
    np.testing.assert_allclose(gaussian((15, 15), sigma, sigma), theirs, atol=1e-15)
    theirs = scipy.ndimage.gaussian_filter(dot, (1.5 * sigma, sigma), radius=7)
    np.testing.assert_allclose(gaussian((15, 15), 1.5 * sigma, sigma, 90), theirs, atol=1e-15)


def test_whole_pixels_have_equal_taps():
    np.testing.assert_allclose(box((3, 5), 3, 5), 1 / 15)
    for angle in (0, 180, -180):
        np.testing.assert_allclose(motion((3, 5), 5, angle), np.outer([0, 1, 0], np.full(5, 0.2)), atol=1e-15)
    np.testing.assert_allclose(motion((3, 3), 3, 90), np.outer(np.full(3, 1 / 3), [0, 1, 0]), atol=1e-15)


def test_angles_are_anti_clockwise_as_the_picture_is_seen():
    for kernel in (motion((5, 5), 5, 45), gaussian((5, 5), 2, 0.5, 45)):
        assert kernel[0, 4] > kernel[0, 0]
        np.testing.assert_allclose(kernel, np.rot90(kernel, 2), atol=1e-15)
        np.testing.assert_allclose(kernel, kernel.T[::-1, ::-1], atol=1e-15)


def test_the_centre_is_counted_down_and_to_the_right():
    for kernel in (gaussian((5, 5), 0.5, 0.5, 0, 1, -2), disk((5, 5), 0.9, 1, -2), box((5, 5), 1, 1, 1, -2)):
        assert np.unravel_index(kernel.argmax(), kernel.shape) == (3, 0)
    assert box((4, 4), 1, 1).argmax() == 2 * 4 + 2  # the tap (kh // 2, kw // 2) of an even window


@pytest.mark.parametrize("name", FAMILIES)
def test_taps_follow_the_parameters_without_a_jump(name):
    shape, rng = FAMILIES[name].shape, np.random.default_rng(0)
    for _ in range(50):
        here = [*rng.uniform(1, 3, 2)[: len(FAMILIES[name].names)], *rng.uniform(-1, 1, 2)]
        here = [round(2 * p) / 2 for p in here]  # where edges of shape and tap meet
        if len(FAMILIES[name].names) == 3:
            here.insert(2, 45.0)
        for i in range(len(here)):
            there = [p + 1e-6 * (i == j) for j, p in enumerate(here)]
            assert np.abs(shape((5, 6), *there) - shape((5, 6), *here)).max() < 1e-5


@pytest.mark.parametrize("name", FAMILIES)
def test_coordinates_lead_back_to_the_parameters(name):
    family = FAMILIES[name]
    parameters = [3.0, 1.7, -35.0][: len(family.names)]
    if name == "motion":
        parameters = [3.0, -35.0]
    place = family.place_of(*parameters, 0.25, -0.5)
    np.testing.assert_allclose(family.parameters_at(*place), [*parameters, 0.25, -0.5], atol=1e-12)
    assert len(family.ends((3, 4))) == len(place)
    assert set(UNITS) >= {*family.names, *COMMON} - {"gain"}


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: box((3, 3), "1", 1), TypeError, "`height` must be a finite number, got '1'"),
        (lambda: box((3, 3), 1, np.inf), ValueError, "`width` must be a finite number, got inf"),
        (lambda: disk((3, 3), 0), ValueError, "`radius` must be positive, got 0"),
        (lambda: disk((3, 3), 1, np.nan), ValueError, "`center_y` must be a finite number, got nan"),
        (lambda: gaussian((3, 3), 1, -1), ValueError, "`sigma_short` must be positive, got -1"),
        (lambda: motion((3, 3), 1, None), TypeError, "`angle` must be a finite number, got None"),
        (lambda: motion((3, 0), 1), ValueError, r"`size` must be two positive integers \(kh, kw\), got"),
        (lambda: disk(3, 1), ValueError, "`size` must be two positive integers"),
        (lambda: disk((3, 3), 1, 7), ValueError, "must reach into the window"),
        (lambda: motion((3, 3), 2, 0, 0, 9), ValueError, "must reach into the window"),
    ],
)
def test_shapes_that_are_none_are_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
