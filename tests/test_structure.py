"""Shares of a residual that curves, surroundings and the place explain."""

import numpy as np
import pytest
import scipy.ndimage
from test_residuals import sample_of

from corr2d.verdict.structure import _SIDE, Structure, _Around, _median, neighbours


@pytest.fixture
def rng():
    return np.random.default_rng(1)


@pytest.fixture
def image(rng):
    return scipy.ndimage.gaussian_filter(rng.standard_normal((300, 320)), 2)


def looked(image, residual):
    """Give the structure of a pair whose kernel changes nothing and leaves `residual`."""
    sample = sample_of(image, image + residual, 1)
    rest = sample_of(image, residual, 1).after
    return Structure.of(sample, sample.after - rest, rest, sample.counts)


def test_noise_has_no_structure(image, rng):
    structure = looked(image, rng.standard_normal(image.shape))
    assert max(structure.shares()) < 0.01
    assert abs(structure.place()) < 0.01
    assert abs(structure.everything()) < 0.01
    assert abs(structure.gradient()) < 0.03


def test_a_share_is_the_share_of_the_variance(image, rng):
    curve = image**2 - np.polyval(np.polyfit(image.ravel(), image.ravel() ** 2, 1), image)
    noise = rng.standard_normal(image.shape) * curve.std()
    assert looked(image, curve + noise).shares().curve == pytest.approx(0.5, abs=0.05)
    assert looked(image, curve + noise / 3).shares().curve == pytest.approx(0.9, abs=0.03)


def test_each_kind_is_found_by_its_name(image):
    y, x = np.mgrid[-1:1:300j, -1:1:320j]
    shares = looked(image, scipy.ndimage.median_filter(image, 3) - scipy.ndimage.uniform_filter(image, 3))
    assert shares.shares().surroundings > 0.9
    assert shares.shares().curve < 0.1
    varying = looked(image, x * y * (image - scipy.ndimage.uniform_filter(image, 3)))
    assert varying.place() > 0.9
    assert varying.shares().both < 0.1
    steep = looked(image, scipy.ndimage.gaussian_gradient_magnitude(image, 1))
    assert steep.gradient() > 0.9
    assert steep.shares().surroundings > 0.8
    own = np.kron(np.random.default_rng(0).standard_normal((8, 8)), np.ones((38, 40)))[:300, :320]
    assert looked(image, own).shares().tiles > 0.5


def test_the_sums_are_those_of_the_features(image, rng):
    """Against a fit by NumPy's own least squares to everything that the sums are made of."""
    sample = sample_of(image, image, 1)
    predicted, rest = sample.after, rng.standard_normal(sample.after.shape)
    structure = Structure.of(sample, predicted, rest, sample.counts)
    part = (slice(None), slice(_SIDE), slice(_SIDE))
    z = predicted[part]
    middle, deviation = z.mean(), z.std()
    z = ((z - middle) / deviation).reshape(len(z), -1)
    r = rest[part]
    r = ((r - r.mean()) / r.std()).reshape(len(r), -1)
    np.testing.assert_allclose(structure.tiles[:, 0, 1], z.sum(axis=1), atol=1e-2)
    np.testing.assert_allclose(structure.tiles[:, 1, -1], (z * r).sum(axis=1), atol=1e-2)
    np.testing.assert_allclose(structure.tiles[:, -1, -1], (r * r).sum(axis=1), rtol=1e-4)


def test_surroundings_are_those_of_scipy(image):
    sample = sample_of(image, image, 1)
    around = _Around.of(sample)
    inner = sample.inner[:, :_SIDE, :_SIDE].transpose(1, 2, 0)
    seen = sample.before[:, : _SIDE + 8, : _SIDE + 8]
    mean, deviation = seen.mean(), seen.std()
    for radius in (1, 2, 4):
        expected = sample_of(image, scipy.ndimage.uniform_filter(image, 2 * radius + 1), 1).after
        expected = (expected[:, :_SIDE, :_SIDE].transpose(1, 2, 0) - mean) / deviation
        np.testing.assert_allclose(around.mean(radius)[inner], expected[inner], atol=1e-4)
    for y, x in ((0, 0), (2, -2), (-1, 4)):
        expected = sample_of(image, scipy.ndimage.shift(image, (-y, -x), order=0), 1).after
        expected = (expected[:, :_SIDE, :_SIDE].transpose(1, 2, 0) - mean) / deviation
        np.testing.assert_allclose(around.at(y, x)[inner], expected[inner], atol=1e-4)


def test_surroundings_stand_on_every_so_many_th_pixel(image):
    sample = sample_of(image, image[::3, ::2], 1, stride=(3, 2))
    around = _Around.of(sample)
    seen = sample.before[:, : (_SIDE - 1) * 3 + 9, : (_SIDE - 1) * 2 + 9]
    mean, deviation = seen.mean(), seen.std()
    expected = (sample.after[:, :_SIDE, :_SIDE].transpose(1, 2, 0) - mean) / deviation
    np.testing.assert_allclose(around.at(0, 0), expected, atol=1e-4)
    assert around.mean(4).shape == expected.shape


def test_median_is_that_of_numpy(rng):
    nine = list(rng.random((9, 50, 3)).astype(np.float32))
    np.testing.assert_array_equal(_median(nine), np.median(nine, axis=0))


def test_neighbours_are_alike_as_numpy_says(rng):
    noise = rng.standard_normal((20, 40, 40))
    blurred = scipy.ndimage.uniform_filter(noise, (0, 2, 2))
    counts = np.ones(noise.shape, bool)
    assert abs(neighbours(noise, counts)) < 0.02
    expected = np.corrcoef(blurred[:, :, 1:].ravel(), blurred[:, :, :-1].ravel())[0, 1]
    assert neighbours(blurred, counts) == pytest.approx(expected, abs=0.02)
    blurred[:, ::2] = 1e9
    counts[:, ::2] = False
    assert neighbours(blurred, counts) == pytest.approx(expected, abs=0.03)
    assert neighbours(noise, np.zeros(noise.shape, bool)) == 0


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_pictures_are_no_trouble(value):
    flat = np.full((40, 40), value)
    structure = looked(flat, np.zeros((40, 40)))
    assert np.isfinite(structure.shares()).all()
    assert np.isfinite([structure.place(), structure.everything(), structure.gradient()]).all()
