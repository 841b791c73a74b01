"""Sums by lags and by patches, against matrices of patches: any size, block, type, layout and mask."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from test_correlate import random_image

from corr2d import Moments, _engine

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
    before, after, size, blocks, kinds, counts=None, *, wanted=True, threads=2, degrees=(0, 0), weights=None
):
    monomials = [len(powers_up_to(degree)) for degree in degrees]
    channels = before.shape[0] if before.ndim == 3 else 1
    order = monomials[0] * channels * size[0] * size[1] + monomials[1] + 1
    sums = np.full((len(blocks), order, order), np.nan)
    centers = (*[CENTERS[kinds[0]]] * channels, CENTERS[kinds[1]])
    _engine.fill_moments(
        before, after, blocks, size, (1, 1), (1, 1), centers, degrees, (FRAME, FRAME), sums, counts, wanted,
        weights, threads,
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
