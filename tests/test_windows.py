"""Strided and dilated pairs: where their windows stand, and that the kernel comes back."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from test_correlate import random_image

from corr2d import Kernel, Moments, corr2d, learn
from corr2d.borders import Steps
from corr2d.windows import Windows, told_size

STEPS = [
    ((1, 1), (2, 2)),
    ((2, 2), (1, 1)),
    ((3, 2), (1, 1)),
    ((1, 1), (3, 1)),
    ((2, 3), (2, 2)),
    ((5, 4), (1, 3)),
]


def patches(before, windows):
    """Give all windows of a picture, (rows, columns, kh, kw), one by one."""
    (kh, kw), (sy, sx), (dy, dx) = windows
    whole = sliding_window_view(before, ((kh - 1) * dy + 1, (kw - 1) * dx + 1))
    return whole[::sy, ::sx, ::dy, ::dx]


def truth_of(before, after, windows, centers, counts=None):
    found = patches(before.astype(float) - centers[0], windows)
    z = np.column_stack(
        [found.reshape(after.size, -1), np.ones(after.size), after.ravel().astype(float) - centers[1]]
    )
    z = z if counts is None else z[counts.ravel()]
    return z.T @ z


@pytest.mark.parametrize(("stride", "dilation"), STEPS, ids=str)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 1), (3, 3)], ids=str)
@pytest.mark.parametrize("kind", ["u1", "f8", "f4"])
def test_sums_of_windows_that_stand_apart(kind, size, stride, dilation):
    windows = Windows(size, Steps(*stride), Steps(*dilation))
    before = random_image((43, 50), kind)
    shape = patches(before, windows).shape[:2]
    after = random_image(shape, kind, seed=1)
    where = np.random.default_rng(2).random(shape) < 0.7
    for counts in (None, where):
        moments = Moments.of(
            before, after, size=size, stride=stride, dilation=dilation, clip=None, where=counts
        )
        truth = truth_of(before, after, windows, moments.center, counts)
        if kind == "u1":
            np.testing.assert_array_equal(moments.total, truth)
        else:
            assert np.abs(moments.total - truth).max() <= 1e-12 * np.abs(truth).max()


@pytest.mark.parametrize(("stride", "dilation"), [((1, 1), (1, 1)), *STEPS], ids=str)
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (4, 5)], ids=str)
@pytest.mark.parametrize("shift", [(0, 0), (1, -1), (7, -6), (-8, 5)], ids=str)
def test_windows_beside_the_middle_reach_their_own_pixels(size, stride, dilation, shift):
    windows = Windows(size, Steps(*stride), Steps(*dilation))
    before = (60, 65)
    after = tuple(-(-n // step) for n, step in zip(before, stride, strict=True))
    of_x, of_y = windows.inside(before, after, shift)
    for axis in (0, 1):
        k, step, gap = size[axis], stride[axis], dilation[axis]
        firsts = [y * step - (k // 2 + shift[axis]) * gap for y in range(after[axis])]
        inside = [y for y, first in enumerate(firsts) if first >= 0 and first + (k - 1) * gap < before[axis]]
        assert range(after[axis])[of_y[axis]] == range(inside[0], inside[-1] + 1)
        assert of_x[axis] == slice(firsts[inside[0]], firsts[inside[-1]] + (k - 1) * gap + 1)


def test_a_pair_without_border_has_no_other_place():
    with pytest.raises(ValueError, match="shift") as caught:
        Windows((3, 3)).inside((9, 9), (7, 7), (0, 1))
    assert str(caught.value) == "`shift` must be (0, 0) where `after` has no border, got (0, 1)."


@pytest.mark.parametrize(("stride", "dilation"), STEPS, ids=str)
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (2, 4), (5, 2)], ids=str)
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_the_kernel_comes_back(padding, size, stride, dilation):
    rng = np.random.default_rng(3)
    before, weights = rng.standard_normal((90, 101)), rng.standard_normal(size)
    kernel = Kernel(weights, bias=0.3)
    after = (
        kernel(before, padding=padding, mode="reflect", stride=stride, dilation=dilation)
        if (padding == "same")
        else kernel(before, stride=stride, dilation=dilation)
    )
    ours = learn(before, after, size=size, stride=stride, dilation=dilation)
    np.testing.assert_allclose(ours.weights, weights, atol=1e-12)
    assert ours.bias == pytest.approx(0.3, abs=1e-12)
    assert any("apply it with the same" in note for note in ours.notes)


@pytest.mark.parametrize("stride", [2, 3, (1, 2)])
def test_the_size_of_a_strided_kernel_is_found(stride):
    before = np.random.default_rng(4).integers(0, 256, (200, 220)).astype(np.uint8)
    weights = np.outer([1, 2, 1], [1, 2, 1]) / 16
    after = corr2d(before, weights, padding="same", mode="mirror", stride=stride, dtype=np.uint8)
    ours = learn(before, after, stride=stride)
    assert ours.size == (3, 3)
    np.testing.assert_allclose(ours.weights, weights, atol=0.01)


def test_area_reduction_is_found_as_the_even_window_it_is():
    before = np.random.default_rng(5).random((120, 160))
    after = before.reshape(60, 2, 80, 2).mean(axis=(1, 3))  # what every editor calls "half size"
    ours = learn(before, after, stride=2)
    np.testing.assert_allclose(ours.weights, [[0.25, 0.25], [0.25, 0.25]], atol=1e-12)
    assert ours.origin == (0, 0)


def test_the_size_of_a_dilated_kernel_is_told_by_the_shapes():
    before, weights = np.random.default_rng(6).random((60, 70)), np.array([[1.0, -2, 1], [0, 3, 0]])
    after = corr2d(before, weights, dilation=(4, 2))
    np.testing.assert_allclose(learn(before, after, dilation=(4, 2)).weights, weights, atol=1e-12)
    assert told_size((60, 70), after.shape, Steps(1, 1), Steps(4, 2)) == (2, 3)


@pytest.mark.parametrize(
    ("stride", "dilation"), [((2, 2), (1, 1)), ((1, 1), (2, 3)), ((2, 1), (3, 2))], ids=str
)
def test_nan_leaves_out_the_windows_that_see_it(stride, dilation):
    rng = np.random.default_rng(7)
    before, weights = rng.random((40, 50)), rng.random((3, 3))
    before[11, 13] = before[30, 31] = np.nan
    after = corr2d(before, weights, stride=stride, dilation=dilation)
    ours = learn(before, after, size=3, stride=stride, dilation=dilation)
    np.testing.assert_allclose(ours.weights, weights, atol=1e-12)
    assert ours.left_out["not finite"] == np.count_nonzero(np.isnan(after)) > 0


def test_colours_pairs_and_masks_of_a_strided_kernel():
    rng = np.random.default_rng(8)
    before, weights = rng.random((60, 70, 3)), rng.random((3, 3))
    after = corr2d(before, weights, stride=2, channel_axis=-1)
    where = np.ones(after.shape, bool)
    where[3:9] = False
    spoilt = np.where(where, after, 9)
    ours = learn(before, spoilt, size=3, stride=2, channel_axis=-1, where=where, per_channel=True)
    np.testing.assert_allclose(ours.weights, [weights] * 3, atol=1e-12)
    ours = learn([(before, after)] * 2, size=3, stride=2, channel_axis=-1)
    np.testing.assert_allclose(ours.weights, weights, atol=1e-12)


def test_a_strided_identity_is_not_said_to_change_nothing():
    before = np.random.default_rng(9).random((30, 30))
    notes = learn(before, before[::2, ::2], size=1, stride=2).notes
    assert not any("changes nothing" in note for note in notes)
    assert any("changes nothing" in note for note in learn(before, before, size=1).notes)


def test_moments_know_their_steps(tmp_path):
    rng = np.random.default_rng(10)
    strided = Moments.of(rng.random((20, 20)), rng.random((10, 10)), size=3, stride=2)
    with pytest.raises(ValueError, match="one stride and dilation"):
        strided + Moments.of(rng.random((20, 20)), rng.random((20, 20)), size=3)
    assert (strided + strided).stride == strided.window((1, 3)).stride == (2, 2)
    strided.save(tmp_path / "m")
    assert Moments.load(tmp_path / "m").stride == (2, 2)


@pytest.mark.parametrize(
    ("shapes", "options", "words"),
    [
        (((20, 20), (9, 10)), {"size": 3, "stride": 2}, r"must have \(9, 9\) rows and columns"),
        (((20, 20), (8, 8)), {"size": 3, "stride": 2}, "where windows of"),
        (((20, 20), (9, 9)), {"stride": 2}, "`size` must be given"),
        (((20, 20), (17, 18)), {"dilation": 2}, "by whole taps at dilation"),
        (((20, 20), (20, 20)), {"size": 11, "dilation": 2}, "must fit into the pictures"),
        (((5, 5), (1, 1)), {"size": 5, "stride": 5}, "must fit into the pictures"),
        (((20, 20), (10, 10)), {"size": 3, "stride": 0}, "`stride` must be"),
    ],
    ids=str,
)
def test_shapes_that_do_not_fit_are_refused(shapes, options, words):
    with pytest.raises(ValueError, match=words):
        learn(np.zeros(shapes[0]), np.zeros(shapes[1]), **options)
