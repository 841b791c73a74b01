"""Tiles of a pair, and what a kernel makes of them."""

import numpy as np
import pytest
import scipy.ndimage

from corr2d import Kernel
from corr2d.colours import Part
from corr2d.verdict.residuals import MARGIN, TILES, Sample, joined, moments_of, refitted


def resolved(before, after, size, **options):
    given = {"stride": 1, "dilation": 1, "clip": "auto", "background": 0} | options
    part = Part(before, after, given.pop("channel_axis", None), False, given.pop("where", None), None)
    return part.resolved(size=size, **given)


def sample_of(before, after, size, **options):
    return Sample.of(resolved(before, after, size, **options))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (40, 3), (9, 9), (100, 130), (700, 500)])
@pytest.mark.parametrize("size", [(1, 1), (1, 3), (2, 4), (5, 5)])
def test_predictions_are_those_of_the_kernel_where_the_tiles_lie(rng, shape, size):
    before = rng.random((shape[0] + size[0] - 1, shape[1] + size[1] - 1))
    kernel = Kernel(rng.standard_normal(size), bias=0.5)
    after = kernel(before)
    sample = sample_of(before, after, size)
    assert 0 < len(sample.after) <= TILES
    np.testing.assert_allclose(sample.predicted(kernel), sample.after, atol=1e-12)


@pytest.mark.parametrize(("stride", "dilation"), [(2, 1), ((3, 2), 1), (1, 2), ((2, 1), (1, 3))])
def test_strides_and_dilations_are_followed(rng, stride, dilation):
    before, kernel = rng.random((91, 81)), Kernel(rng.standard_normal((3, 2)), bias=-2.0)
    after = kernel(before, stride=stride, dilation=dilation)
    sample = sample_of(before, after, (3, 2), stride=stride, dilation=dilation)
    np.testing.assert_allclose(sample.predicted(kernel), sample.after, atol=1e-12)


def test_a_same_sized_pair_is_looked_at_inside_its_border(rng):
    before = rng.random((70, 90))
    weights = rng.standard_normal((5, 3))
    after = scipy.ndimage.correlate(before, weights, mode="wrap")
    sample = sample_of(before, after, (5, 3))
    np.testing.assert_allclose(sample.predicted(Kernel(weights)), sample.after, atol=1e-12)


def test_tiles_are_spread_and_do_not_overlap():
    places = np.arange(700 * 900.0).reshape(700, 900)
    sample = sample_of(places, places, 1)
    assert len(np.unique(sample.after)) == sample.after.size == 7 * 9 * 32 * 32
    assert sample.after.min() == 0
    assert sample.after.max() == 700 * 900 - 1
    assert sample.places.min() < -0.85
    assert sample.places.max() > 0.85


def test_what_does_not_count_is_told():
    before = np.tile(np.arange(0, 240, dtype=np.uint8), (60, 1))
    after = before.copy()
    after[:, 200:] = 255
    where = np.ones(after.shape, bool)
    where[:30] = False
    sample = sample_of(before, after, 1, where=where)
    np.testing.assert_array_equal(sample.low.any(axis=0), (sample.after == 0).any(axis=0))
    assert sample.low.any()
    assert sample.high.any()
    assert (sample.after[sample.high] == 255).all()
    assert sample.counts.mean() == pytest.approx(0.5 * 199 / 240, abs=0.03)
    assert not (sample.counts & (sample.low | sample.high)).any()
    assert sample.counts.any()


def test_nan_do_not_count(rng):
    before = rng.random((40, 40))
    after = before.copy()
    after[3, 5] = np.nan
    before[20, 20] = np.nan
    sample = sample_of(before, after, 3)
    predicted = sample.predicted(Kernel(np.ones((3, 3))))
    assert (~sample.counts).sum() <= 1
    assert np.isnan(predicted).sum() <= 9


def test_samples_are_copies(rng):
    before, after = rng.random((2, 50, 50))
    sample = sample_of(before, after, 3)
    assert not np.shares_memory(sample.before, before)
    assert not np.shares_memory(sample.after, after)


def test_samples_of_several_pictures_make_one_of_64_tiles(rng):
    kernel = Kernel(rng.standard_normal((4, 3)), bias=1.0)
    some = []
    for shape in ((100, 200), (64, 64), (300, 20)):
        before = rng.random(shape)
        some.append(sample_of(before, kernel(before), (4, 3)))
    whole = joined(some)
    assert len(whole.after) == TILES
    assert whole.after.shape[1:] == tuple(np.min([s.after.shape[1:] for s in some], axis=0))
    np.testing.assert_allclose(whole.predicted(kernel), whole.after, atol=1e-12)


def test_all_pictures_of_a_stack_are_looked_at():
    stack = np.broadcast_to(np.arange(5.0)[:, None, None], (5, 60, 60))
    assert set(np.unique(sample_of(stack, stack, 3).after)) == set(range(5))
    many = np.broadcast_to(np.arange(200.0)[:, None, None], (200, 9, 9))
    values = np.unique(sample_of(many, many, 3).after)
    assert len(values) == TILES
    assert values.max() > 190


def test_no_sample_of_what_cannot_be_judged(rng):
    colours = rng.random((20, 20, 3))
    part = Part(np.moveaxis(colours, -1, 0), colours[..., 0], 0, True, None, None)
    options = {"size": 3, "stride": 1, "dilation": 1, "clip": "auto"}
    assert Sample.of(part.resolved(background=0, **options)) is None
    assert sample_of(colours[..., 0], colours[..., 1], 3, background=1) is None
    weighted = Part(colours[..., 0], colours[..., 1], None, False, None, np.ones((20, 20)))
    assert Sample.of(weighted.resolved(background=0, **options)) is None


@pytest.mark.parametrize(("size", "stride"), [((2, 2), 3), ((1, 3), (4, 2)), ((3, 1), 2), ((3, 3), 1)])
def test_moments_of_the_tiles_are_those_of_the_pair(rng, size, stride):
    before, kernel = rng.random((200, 190)), Kernel(rng.standard_normal(size), bias=1.0)
    after = kernel(before, stride=stride, padding="same")
    sample = sample_of(before, after, size, stride=stride)
    found = moments_of(sample, sample.after, sample.counts).solve()
    np.testing.assert_allclose(found.weights, kernel.weights, atol=1e-9)
    assert found.used == sample.after.size


@pytest.mark.parametrize("size", [(3, 3), (2, 3)])
def test_a_larger_window_is_fitted_about_the_same_centre(rng, size):
    larger = (size[0] + 2 * MARGIN, size[1] + 2 * MARGIN)
    before, weights = rng.random((200, 200)), rng.standard_normal(larger)
    after = Kernel(weights)(before, padding="same")
    sample = sample_of(before, after, size)
    again, kernel = refitted(sample, sample.counts & sample.inner, MARGIN)
    np.testing.assert_allclose(kernel.weights, weights, atol=1e-8)
    np.testing.assert_allclose(again.predicted(kernel)[sample.inner], sample.after[sample.inner], atol=1e-8)
