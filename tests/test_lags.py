"""Sums by lags and by patches, against matrices of patches: any size, block, type, layout and mask."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from test_correlate import random_image

from corr2d import Moments, _engine, costs, learn
from corr2d.costs import LagCosts
from corr2d.lags import Lags, best_side
from corr2d.pair import Model
from corr2d.windows import Windows

CENTERS = {"u1": 128.0, "i1": 0.0, "u2": 32768.0, "f4": 0.25, "f8": -0.5}
EXACT = ("u1", "i1")


FRAME = (3.5, -2.0, 0.125, 0.25)  # middle row and column, units per row and column


def monomial(i, j, shape, frame):
    """Give the powers i of the row and j of the column, in units of the frame."""
    y, x = np.indices(shape)
    return ((y - frame[0]) * frame[2]) ** i * ((x - frame[1]) * frame[3]) ** j


def powers_up_to(degree):
    return [(n - i, i) for n in range(degree + 1) for i in range(n + 1)]


def truth_of(before, after, size, centers, counts=None, degrees=(0, 0), weights=None):
    """Give sum weight z z^T of the pixels that count, in float64."""
    channels = np.reshape(before, (-1, *before.shape[-2:])).astype(float)
    shape = channels.shape[1:]
    z = []
    for i, j in powers_up_to(degrees[0]):
        for channel, center in zip(channels, centers, strict=False):
            plane = (channel - center) * monomial(i, j, shape, FRAME)
            z.append(sliding_window_view(plane, size).reshape(after.size, -1))
    z += [monomial(i, j, after.shape, FRAME).reshape(-1, 1) for i, j in powers_up_to(degrees[1])[1:]]
    z = np.column_stack([*z, np.ones(after.size), after.ravel().astype(float) - centers[-1]])
    if counts is not None:
        z = z[counts.ravel()]
        weights = None if weights is None else weights[counts]
    return z.T @ (z if weights is None else z * weights.reshape(-1, 1))


def engine_sums(
    before,
    after,
    size,
    blocks,
    kinds,
    counts=None,
    *,
    wanted=True,
    threads=2,
    degrees=(0, 0),
    weights=None,
    side=0,
):
    monomials = [len(powers_up_to(degree)) for degree in degrees]
    channels = before.shape[0] if before.ndim == 3 else 1
    order = monomials[0] * channels * size[0] * size[1] + monomials[1] + 1
    sums = np.full((len(blocks), order, order), np.nan)
    centers = (*[CENTERS[kinds[0]]] * channels, CENTERS[kinds[1]])
    _engine.fill_moments(
        before, after, blocks, size, (1, 1), (1, 1), centers, degrees, (FRAME, FRAME), sums, counts, wanted,
        weights, threads, side,
    )  # fmt: skip
    return sums


def random_pair(kinds, size, shape, seed):
    before = random_image((shape[0] + size[0] - 1, shape[1] + size[1] - 1), kinds[0], seed=seed)
    return before, random_image(shape, kinds[1], seed=seed + 1)


def part_of(before, after, size, block):
    top, left, rows, columns = block
    window = before[top : top + rows + size[0] - 1, left : left + columns + size[1] - 1]
    return window, after[top : top + rows, left : left + columns]


def assert_agrees(ours, truth, kinds):
    if all(kind in EXACT for kind in kinds):
        np.testing.assert_array_equal(ours, truth)
    else:
        assert np.abs(ours - truth).max() <= 1e-12 * np.abs(truth).max()


KINDS = [("u1", "u1"), ("i1", "u1"), ("f8", "f8"), ("f4", "u1"), ("u1", "f4"), ("u2", "u2")]
SIZES = [(1, 1), (1, 6), (7, 1), (2, 2), (3, 5), (4, 3), (9, 9), (5, 17)]


@pytest.mark.parametrize("kinds", KINDS, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (33, 1), (7, 40), (20, 31)], ids=str)
def test_blocks_of_any_size(shape, size, kinds):
    rng = np.random.default_rng(shape[1])
    before, after = random_pair(kinds, size, shape, seed=size[0])
    cuts = [sorted({0, n, *rng.integers(0, n + 1, 2).tolist()}) for n in shape]
    blocks = [(t, left, b - t, r - left) for t, b in pairwise(cuts[0]) for left, r in pairwise(cuts[1])]
    mask = rng.random(shape) < 0.5
    centers = tuple(CENTERS[kind] for kind in kinds)
    whole = engine_sums(before, after, size, blocks, kinds)
    chosen = engine_sums(before, after, size, blocks, kinds, mask)
    others = engine_sums(before, after, size, blocks, kinds, mask, wanted=False)
    for i, block in enumerate(blocks):
        part = part_of(before, after, size, block)
        of_block = mask[block[0] : block[0] + block[2], block[1] : block[1] + block[3]]
        assert_agrees(whole[i], truth_of(*part, size, centers), kinds)
        if of_block.any():
            assert_agrees(chosen[i], truth_of(*part, size, centers, of_block), kinds)
        else:
            assert not chosen[i].any()
        assert_agrees(chosen[i] + others[i], whole[i], kinds)


@pytest.mark.parametrize("kinds", [("u1", "u1"), ("f8", "f8")], ids=str)
@pytest.mark.parametrize("shape", [(131, 1030), (300, 517), (64, 256), (128, 512)], ids=str)
def test_tiles_cover_a_large_block(shape, kinds):
    before, after = random_pair(kinds, (4, 6), shape, seed=3)
    block, centers = (0, 0, *shape), tuple(CENTERS[kind] for kind in kinds)
    truth = truth_of(before, after, (4, 6), centers)
    assert_agrees(engine_sums(before, after, (4, 6), [block], kinds)[0], truth, kinds)
    every = np.ones(shape, bool)
    assert_agrees(engine_sums(before, after, (4, 6), [block], kinds, every)[0], truth, kinds)


@pytest.mark.parametrize("kinds", [("u1", "u1"), ("f8", "f8"), ("f4", "f4"), ("u2", "u2")], ids=str)
def test_any_layout(kinds):
    size, shape = (3, 4), (21, 35)
    before, after = random_pair(kinds, size, shape, seed=5)
    expected = engine_sums(before, after, size, [(0, 0, *shape)], kinds)
    mask = np.random.default_rng(0).random(shape) < 0.3
    chosen = engine_sums(before, after, size, [(0, 0, *shape)], kinds, mask)
    for change in (
        lambda a: np.asfortranarray(a),
        lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
        lambda a: np.repeat(np.repeat(a, 2, axis=0), 3, axis=1)[::2, ::3],
        lambda a: a.astype(a.dtype.newbyteorder()),
    ):
        for x, y in ((change(before), after), (before, change(after))):
            np.testing.assert_array_equal(engine_sums(x, y, size, [(0, 0, *shape)], kinds), expected)
            ours = engine_sums(x, y, size, [(0, 0, *shape)], kinds, np.asfortranarray(mask))
            np.testing.assert_array_equal(ours, chosen)


@pytest.mark.parametrize("kinds", [("u1", "u1"), ("f8", "f8")], ids=str)
def test_the_same_bits_for_any_number_of_threads(kinds):
    before, after = random_pair(kinds, (5, 5), (200, 700), seed=7)
    blocks = [(0, 0, 100, 700), (100, 0, 100, 350), (100, 350, 100, 350)]
    mask = np.random.default_rng(0).random((200, 700)) < 0.5
    for counts in (None, mask):
        options = (before, after, (5, 5), blocks, kinds, counts)
        assert len({engine_sums(*options, threads=n).tobytes() for n in (1, 2, 3, 7)}) == 1


@pytest.mark.parametrize("extreme", [0, 255])
def test_whole_numbers_do_not_overflow(extreme):
    # The largest products there are, over many tiles.
    shape, size = (260, 1100), (2, 3)
    before = np.full((shape[0] + 1, shape[1] + 2), extreme, np.uint8)
    after = np.full(shape, extreme, np.uint8)
    block = [(0, 0, *shape)]
    for counts in (None, np.ones(shape, bool)):
        sums = engine_sums(before, after, size, block, ("u1", "u1"), counts)[0]
        assert set(np.delete(np.delete(sums, 6, 0), 6, 1).ravel()) == {(extreme - 128.0) ** 2 * after.size}
        assert set(np.delete(sums[6], 6)) == {(extreme - 128.0) * after.size}


def test_a_line_longer_than_its_parts():
    before, after = random_pair(("u1", "u1"), (2, 3), (2, 5000), seed=9)
    for x, y, size in ((before, after, (2, 3)), (before.T, after.T, (3, 2))):
        ours = engine_sums(x, y, size, [(0, 0, *y.shape)], ("u1", "u1"))[0]
        np.testing.assert_array_equal(ours, truth_of(x, y, size, (128, 128)))


# Several planes, monomials of the position, weights


@pytest.mark.parametrize("kinds", [("u1", "u1"), ("f8", "f8"), ("f4", "u1")], ids=str)
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (3, 1), (2, 3), (4, 4)], ids=str)
@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("degrees", [(0, 0), (0, 2), (1, 1), (2, 1)], ids=str)
def test_channels_and_monomials(degrees, channels, size, kinds):
    shape = (13, 21)
    planes = [random_pair(kinds, size, shape, seed=seed) for seed in range(channels)]
    before, after = np.stack([x for x, _ in planes]), planes[0][1]
    centers = (*[CENTERS[kinds[0]]] * channels, CENTERS[kinds[1]])
    blocks = [(0, 0, 13, 8), (0, 8, 6, 13), (6, 8, 7, 13)]
    mask = np.random.default_rng(0).random(shape) < 0.5
    exact = kinds if degrees == (0, 0) else ("f8", "f8")
    whole = engine_sums(before, after, size, blocks, kinds, degrees=degrees)
    chosen = engine_sums(before, after, size, blocks, kinds, mask, degrees=degrees)
    total = truth_of(before, after, size, centers, degrees=degrees)
    assert_agrees(whole.sum(axis=0), total, exact)
    assert_agrees(chosen.sum(axis=0), truth_of(before, after, size, centers, mask, degrees), exact)
    np.testing.assert_array_equal(whole, whole.transpose(0, 2, 1))
    interleaved = np.ascontiguousarray(np.moveaxis(before, 0, -1))  # rows x columns x colours
    np.testing.assert_array_equal(
        engine_sums(np.moveaxis(interleaved, -1, 0), after, size, blocks, kinds, degrees=degrees), whole
    )


@pytest.mark.parametrize("kinds", [("u1", "u1"), ("f8", "f8")], ids=str)
@pytest.mark.parametrize("degrees", [(0, 0), (1, 2)], ids=str)
def test_weights(degrees, kinds):
    size, shape = (3, 2), (150, 600)
    before, after = random_pair(kinds, size, shape, seed=4)
    rng = np.random.default_rng(4)
    weights, mask = rng.random(shape) - 0.2, rng.random(shape) < 0.7
    centers = tuple(CENTERS[kind] for kind in kinds)
    for some, layout in ((mask, np.ascontiguousarray), (np.ones(shape, bool), np.asfortranarray)):
        ours = engine_sums(
            before, after, size, [(0, 0, *shape)], kinds, some, degrees=degrees, weights=layout(weights)
        )[0]
        truth = truth_of(before, after, size, centers, some, degrees, weights)
        assert np.abs(ours - truth).max() <= 1e-12 * np.abs(truth).max()
    halves = [(0, 0, 70, 600), (70, 0, 80, 600)]
    options = (before, after, size, halves, kinds, mask)
    assert len({engine_sums(*options, weights=weights, threads=n).tobytes() for n in (1, 2, 5)}) == 1


# What does not count


def test_offsets_cost_no_digits():
    rng = np.random.default_rng(1)
    before, after = 1e5 + rng.standard_normal((150, 160)), 1e5 + rng.standard_normal((146, 156))
    moments = Moments.of(before, after)
    exact = truth_of(before, after, (5, 5), moments.center)
    assert np.abs(moments.total - exact).max() <= 1e-12 * np.abs(exact).max()
    assert np.abs(np.diagonal(exact)).max() < 10 * before.size  # of squares of 1, not of 1e5


@pytest.mark.parametrize("share", [0.001, 0.1, 0.35, 0.45, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["u1", "f8"])
def test_any_share_may_be_left_out(kind, share):
    before, after = random_pair((kind, kind), (3, 4), (90, 120), seed=11)
    where = np.random.default_rng(2).random(after.shape) >= share
    moments = Moments.of(before, after, where=where, clip=None)
    assert_agrees(moments.total, truth_of(before, after, (3, 4), moments.center, where), (kind, kind))


@pytest.mark.parametrize("filler", [1e30, 1e160, np.inf, np.nan])
def test_what_is_left_out_may_be_as_large_as_it_likes(filler):
    # A mask hides a region that both pictures fill with a number that marks missing pixels.
    before, after = random_pair(("f8", "f8"), (3, 3), (80, 90), seed=13)
    where = np.ones(after.shape, bool)
    where[20:30, 20:30] = False
    expected = Moments.of(before, after, where=where)
    before[22:30, 22:30] = filler
    after[20:30, 20:30] = filler
    ours = Moments.of(before, after, where=where)
    np.testing.assert_allclose(ours.total, expected.total, rtol=0, atol=1e-11 * expected.total.max())


# By FFT


@pytest.mark.parametrize("kinds", KINDS, ids=str)
@pytest.mark.parametrize("size", [*SIZES, (32, 11), (6, 10)], ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (33, 1), (7, 40), (47, 66)], ids=str)
def test_blocks_of_any_size_by_fft(shape, size, kinds):
    side = 32 if size[1] <= 11 else 64
    before, after = random_pair(kinds, size, shape, seed=size[0])
    centers = tuple(CENTERS[kind] for kind in kinds)
    top, left = shape[0] // 3, shape[1] // 4
    blocks = [(0, 0, *shape), (top, left, shape[0] - top, shape[1] - left), (top, left, 1, 1)]
    for ours, block in zip(engine_sums(before, after, size, blocks, kinds, side=side), blocks, strict=True):
        assert_agrees(ours, truth_of(*part_of(before, after, size, block), size, centers), kinds)


@pytest.mark.parametrize("side", [32, 64, 128, 256, 512])
@pytest.mark.parametrize("kinds", [("u1", "u1"), ("f8", "f8")], ids=str)
def test_squares_of_any_side(kinds, side):
    # Parts of a block, tiles and strips in odd and even numbers; 512: larger than all of it.
    size, shape = (4, 6), (130, 300)
    before, after = random_pair(kinds, size, shape, seed=3)
    truth = truth_of(before, after, size, tuple(CENTERS[kind] for kind in kinds))
    assert_agrees(engine_sums(before, after, size, [(0, 0, *shape)], kinds, side=side)[0], truth, kinds)


def test_more_tiles_beside_each_other_than_a_part_has():
    size, shape = (2, 11), (3, 900)  # 75 tiles of 12 columns
    before, after = random_pair(("u1", "u1"), size, shape, seed=3)
    ours = engine_sums(before, after, size, [(0, 0, *shape)], ("u1", "u1"), side=32)[0]
    np.testing.assert_array_equal(ours, truth_of(before, after, size, (128, 128)))


@pytest.mark.parametrize("size", [(21, 21), (33, 31), (2, 65)], ids=str)
def test_large_windows_by_fft(size):
    kinds, shape = ("f4", "f4"), (50, 170)
    before, after = random_pair(kinds, size, shape, seed=5)
    blocks = [(0, 0, 50, 100), (0, 100, 50, 70)]
    whole = engine_sums(before, after, size, blocks, kinds, side=256)
    directly = engine_sums(before, after, size, blocks, kinds)
    assert_agrees(whole, directly, kinds)
    if size[0] * size[1] < 500:
        assert_agrees(whole.sum(axis=0), truth_of(before, after, size, (0.25, 0.25)), kinds)


@pytest.mark.parametrize("kinds", [("u1", "u1"), ("f8", "f8")], ids=str)
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (3, 1), (4, 4)], ids=str)
@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("degrees", [(0, 0), (0, 2), (1, 1), (2, 1)], ids=str)
def test_channels_and_monomials_by_fft(degrees, channels, size, kinds):
    shape = (33, 61)
    planes = [random_pair(kinds, size, shape, seed=seed) for seed in range(channels)]
    before, after = np.stack([x for x, _ in planes]), planes[0][1]
    centers = (*[CENTERS[kinds[0]]] * channels, CENTERS[kinds[1]])
    blocks = [(0, 0, 33, 28), (0, 28, 16, 33), (16, 28, 17, 33)]
    exact = kinds if degrees == (0, 0) else ("f8", "f8")
    whole = engine_sums(before, after, size, blocks, kinds, degrees=degrees, side=32)
    assert_agrees(whole.sum(axis=0), truth_of(before, after, size, centers, degrees=degrees), exact)
    np.testing.assert_array_equal(whole, whole.transpose(0, 2, 1))


@pytest.mark.parametrize("kinds", [("u1", "u1"), ("f8", "f8")], ids=str)
def test_the_same_bits_by_fft_for_any_number_of_threads(kinds):
    before, after = random_pair(kinds, (5, 5), (200, 700), seed=7)
    blocks = [(0, 0, 100, 700), (100, 0, 100, 350), (100, 350, 100, 350)]
    options = (before, after, (5, 5), blocks, kinds)
    assert len({engine_sums(*options, threads=n, side=32).tobytes() for n in (1, 2, 3, 7)}) == 1


@pytest.mark.parametrize("side", [32, 1024])
def test_8_bits_are_exact_at_their_largest(side):
    # All pixels at the ends of their range: the largest sums, and the largest roundings.
    rng, shape, size = np.random.default_rng(0), (60, 1100), (2, 3)
    before, after = (255 * rng.integers(0, 2, n).astype(np.uint8) for n in ((61, 1102), shape))
    for x, y in ((before, after), (before * 0, after | 255)):
        by_fft = engine_sums(x, y, size, [(0, 0, *shape)], ("u1", "u1"), side=side)
        np.testing.assert_array_equal(by_fft, engine_sums(x, y, size, [(0, 0, *shape)], ("u1", "u1")))


def test_whole_numbers_are_exact_in_floats_too():
    kinds, size, shape = ("f8", "f8"), (3, 4), (90, 130)
    before, after = random_pair(("u1", "u1"), size, shape, seed=1)
    x, y = before + CENTERS["f8"], after + CENTERS["f8"]
    ours = engine_sums(x, y, size, [(0, 0, *shape)], kinds, side=64)[0]
    np.testing.assert_array_equal(ours, truth_of(x, y, size, (-0.5, -0.5)))
    # Halves are none: nothing is rounded, though the other picture's are whole.
    halves = engine_sums(x + 0.5 * (before > 99), y, size, [(0, 0, *shape)], kinds, side=64)[0]
    assert_agrees(halves, truth_of(x + 0.5 * (before > 99), y, size, (-0.5, -0.5)), kinds)
    assert (halves[-1, :12] % 1).any()


@pytest.mark.parametrize("large", [1e8, 1e100])
def test_one_pixel_may_be_large(large):
    # It costs the digits of all sums, as it does directly: relative to the largest.
    kinds, size, shape = ("f8", "f8"), (5, 4), (80, 90)
    before, after = random_pair(kinds, size, shape, seed=13)
    before[40, 40] = after[7, 7] = large
    ours = engine_sums(before, after, size, [(0, 0, *shape)], kinds, side=64)[0]
    assert_agrees(ours, truth_of(before, after, size, (-0.5, -0.5)), kinds)


def test_a_small_plane_keeps_its_digits_beside_a_large_one():
    size, shape = (3, 3), (60, 70)
    before, after = random_pair(("f8", "f8"), size, shape, seed=2)
    planes = np.stack([before * 1e-60, before[::-1] * 1e60])
    about_zero = ("i1", "i1")
    ours = engine_sums(planes, after, size, [(0, 0, *shape)], about_zero, side=32)[0]
    truth = truth_of(planes, after, size, (0, 0, 0))
    for part in (np.s_[:9, :9], np.s_[:9, 9:18], np.s_[9:18, 9:18], np.s_[-1, :9], np.s_[-1, 9:18]):
        assert_agrees(ours[part], truth[part], ("f8", "f8"))


@pytest.mark.parametrize("side", [-32, 16, 48, 2048, 32])
def test_a_side_must_hold_the_lags(side):
    before, after = random_pair(("f8", "f8"), (3, 12), (20, 30), seed=0)
    with pytest.raises(ValueError, match="the side must be 0, or a power of two"):
        engine_sums(before, after, (3, 12), [(0, 0, 20, 30)], ("f8", "f8"), side=side)
    tall = before.T, after.T, (12, 3), [(0, 0, 30, 20)], ("f8", "f8")
    assert np.isfinite(engine_sums(*tall, side=32)).all()


# Which way


@pytest.fixture
def by_fft(monkeypatch):
    """Sums by lags are made by FFT, whatever that costs."""
    monkeypatch.setattr("corr2d.summing.best_side", lambda *_, **__: 64)


@pytest.mark.usefixtures("by_fft")
@pytest.mark.parametrize("filler", [1e30, 1e160, np.inf, np.nan])
def test_what_is_left_out_may_be_large_by_fft(filler):
    test_what_is_left_out_may_be_as_large_as_it_likes(filler)


@pytest.mark.usefixtures("by_fft")
@pytest.mark.parametrize("kind", ["u1", "f8"])
def test_what_does_not_count_is_taken_out_by_fft(kind):
    test_any_share_may_be_left_out(kind, 0.1)


@pytest.mark.usefixtures("by_fft")
def test_rounding_is_told_from_what_the_pair_tells_by_fft():
    stripes = np.tile(np.random.default_rng(0).random(150), (140, 1))
    kernel = learn(stripes, stripes[3:-3, 3:-3] * 0.3, size=7)
    assert "does not change from row to row" in str(kernel)
    assert np.isinf(kernel.stderr).all()


def plain(size, channels=1, varying=0):
    return Model.plain(Windows(size), (9, 9))._replace(channels=channels, varying=varying, background=varying)


@pytest.fixture
def known_costs(monkeypatch):
    """Costs that hold on any machine."""
    each = LagCosts(real=0.05, whole=0.02, squares={64: (2e4, 4e3), 128: (7e4, 3e4), 256: (4e5, 2e5)})
    monkeypatch.setitem(costs.LAG_COSTS, _engine.isa, each)


@pytest.mark.usefixtures("known_costs")
def test_the_cheapest_side_is_taken():
    large, small = [(0, 0, 512, 512)] * 16, [(0, 0, 40, 50)]
    assert best_side(plain((5, 5)), large, whole=False) == 0
    assert best_side(plain((15, 15)), large, whole=False) == 128
    assert best_side(plain((15, 15)), large, whole=True) == 0  # is quicker directly
    assert best_side(plain((31, 31)), large, whole=True) in (128, 256)
    assert best_side(plain((65, 65)), large, whole=True) == 256  # what the lags fit in
    assert best_side(plain((9, 9)), large, whole=False) == 0
    assert best_side(plain((9, 9), channels=3), large, whole=False) == 64  # transforms are shared
    assert best_side(plain((21, 21)), small, whole=False) == 0
    assert best_side(plain((21, 21)), [], whole=False) == 0
    assert best_side(plain((1, 300)), large, whole=False) == 0


@pytest.mark.usefixtures("known_costs")
def test_spectra_stay_within_their_memory():
    # 10 planes and 10 targets are 221 spectra: 16 MB of side 64, 61 MB of side 128.
    assert best_side(plain((15, 15), varying=3), [(0, 0, 512, 512)], whole=False) == 64
    assert best_side(plain((31, 31), varying=3), [(0, 0, 512, 512)], whole=False) == 0


@pytest.mark.parametrize("block", [(1, 1), (50, 70), (51, 150), (300, 2000), (2000, 300)])
@pytest.mark.parametrize("size", [(1, 1), (3, 1), (5, 7), (15, 12)])
def test_squares_are_counted(size, block):
    # One by one, as engine/lags_fft.hpp lays them out.
    pairs = strips = parts = 0
    tall, wide = 64 - (size[0] - 1), 64 - 2 * (size[1] - 1)
    across = min(-(-block[1] // wide), 64)
    down = -(-16 // across)
    for top in range(0, block[0], down * tall):
        for left in range(0, block[1], across * wide):
            rows = len(range(top, min(top + down * tall, block[0]), tall))
            columns = len(range(left, min(left + across * wide, block[1]), wide))
            beside = 64 // (3 * (size[1] - 1)) if size[1] > 1 else 1
            squares = rows * columns + (len(range(0, rows, beside)) if size[1] > 1 else 0)
            parts += 1
            pairs += -(-rows * columns // 2)
            strips += -(-squares // 2) - -(-rows * columns // 2)
    counted = Lags(*size, 1, 1).squares(*block, 64)
    assert counted[2] == parts
    assert pairs <= counted[0] <= pairs * 1.6 + 1  # the last part is counted as large as the others
    assert strips <= counted[1] <= strips + parts


@pytest.mark.usefixtures("by_fft")
def test_the_side_goes_to_the_engine(monkeypatch):
    sides, fill = [], _engine.fill_moments
    monkeypatch.setattr(_engine, "fill_moments", lambda *given: (sides.append(given[-1]), fill(*given)))
    before, after = random_pair(("f4", "f4"), (5, 5), (40, 42), seed=0)
    Moments.of(before, after)
    assert sides == [64]
    Moments.of(before, after, weights=np.ones(after.shape))  # window by window
    assert sides == [64, 0]


def test_costs_are_known_for_every_instruction_set():
    assert set(costs.LAG_COSTS) == set(costs.COSTS)
