"""The sums, against explicit loops; that they add up; which pixels count."""

import itertools
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corr2d import Moments

REASONS = ("not finite", "masked", "clipped low", "clipped high")


def sums_by_hand(before, after, size, counts=None):
    """Give sum z z^T about zero, in exact arithmetic. `after` is without border."""
    kh, kw = size
    total = np.zeros((kh * kw + 2, kh * kw + 2), object)
    for y in range(after.shape[0]):
        for x in range(after.shape[1]):
            if counts is None or counts[y, x]:
                window = [before[y + v, x + u] for v in range(kh) for u in range(kw)]
                z = np.array([Fraction(float(p)) for p in (*window, 1, after[y, x])], object)
                total = total + np.outer(z, z)
    return total


def about_zero(moments):
    """Move `total` from the centre back to zero, in exact arithmetic."""
    exact = np.array([[Fraction(float(s)) for s in row] for row in moments.total], object)
    move = np.array([[Fraction(int(i == j)) for j in range(len(exact))] for i in range(len(exact))], object)
    move[:-2, -2] = Fraction(moments.center[0])
    move[-1, -2] = Fraction(moments.center[1])
    return move.dot(exact).dot(move.T)


def random_pair(dtype, shape=(9, 11), size=(3, 2), seed=0):
    rng = np.random.default_rng(seed)
    inner = shape[0] - size[0] + 1, shape[1] - size[1] + 1
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype), rng.standard_normal(inner).astype(dtype)
    high = min(np.iinfo(dtype).max, 2**20)
    return rng.integers(0, high, shape).astype(dtype), rng.integers(0, high, inner).astype(dtype)


# The sums


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i4"])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (2, 5)])
def test_sums_of_integers_are_exact(dtype, size):
    before, after = random_pair(dtype, size=size)
    moments = Moments.of(before, after, size=size, clip=None)
    assert (about_zero(moments) == sums_by_hand(before, after, size)).all()
    assert moments.count == after.size


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_sums_of_floats(dtype):
    before, after = random_pair(dtype)
    expected = sums_by_hand(before, after, (3, 2)).astype(float)
    np.testing.assert_allclose(about_zero(Moments.of(before, after)).astype(float), expected, atol=1e-12)


def test_sums_of_bools_are_counts():
    before, after = (a > 127 for a in random_pair("u1"))
    assert (about_zero(Moments.of(before, after)) == sums_by_hand(before, after, (3, 2))).all()


def test_window_of_a_same_sized_pair_stands_on_its_centre():
    before, _ = random_pair("u1")
    after = np.random.default_rng(1).integers(1, 255, before.shape).astype(np.uint8)
    for kh, kw in ((1, 1), (3, 3), (2, 2), (4, 5)):
        inner = after[kh // 2 : kh // 2 + 10 - kh, kw // 2 : kw // 2 + 12 - kw]
        moments = Moments.of(before, after, size=(kh, kw))
        assert (about_zero(moments) == sums_by_hand(before, inner, (kh, kw))).all()


def test_leading_axes_are_more_pairs():
    pairs = [random_pair("u1", seed=seed) for seed in range(4)]
    before, after = (np.stack(arrays).reshape(2, 2, *arrays[0].shape) for arrays in zip(*pairs, strict=True))
    expected = sum(sums_by_hand(*pair, (3, 2)) for pair in pairs)
    assert (about_zero(Moments.of(before, after, clip=None)) == expected).all()


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (3, 3), (1, 1), (2, 70)])
def test_every_shape_is_covered_by_folds_and_tiles(shape):
    before, after = random_pair("u1", shape, (1, 1))
    moments = Moments.of(before, after, size=1, clip=None)
    assert (about_zero(moments) == sums_by_hand(before, after, (1, 1))).all()


def test_folds_share_the_pixels_out():
    before, after = random_pair("u1", (34, 33), (3, 2))
    counts = Moments.of(before, after, clip=None).sums[:, -2, -2]
    assert counts.sum() == 32 * 32
    assert (counts == 64).all()


def test_folds_share_out_what_where_leaves():
    before, after = random_pair("f8", (40, 50), (1, 1))
    where = np.zeros((40, 50), bool)
    where[7:15, 20:36] = True
    counts = Moments.of(before, after, size=1, where=where).sums[:, -2, -2]
    assert (counts == 8).all()


# They add up


def tiles_of(n, window, cuts):
    """Cut n places into parts; each part of `before` reaches over to the next by the window."""
    edges = [0, *sorted({c % n for c in cuts} - {0}), n]
    return [(slice(a, b + window - 1), slice(a, b)) for a, b in itertools.pairwise(edges)]


@settings(max_examples=60)
@given(
    kind=st.sampled_from(["u1", "i1", "f8", "u2"]),
    rows=st.lists(st.integers(1, 30), max_size=3),
    columns=st.lists(st.integers(1, 30), max_size=3),
    order=st.randoms(use_true_random=False),
    size=st.sampled_from([(1, 1), (3, 3), (2, 4)]),
)
def test_moments_of_tiles_add_up_in_any_order(kind, rows, columns, order, size):
    before, after = random_pair(kind, (24, 31), size)
    whole = Moments.of(before, after, size=size)
    tiles = [
        Moments.of(before[y, x], after[v, u], size=size)
        for y, v in tiles_of(after.shape[0], size[0], rows)
        for x, u in tiles_of(after.shape[1], size[1], columns)
    ]
    order.shuffle(tiles)
    total = tiles[0]
    for tile in tiles[1:]:
        total = total + tile
    assert total.count == whole.count
    assert total.left_out == whole.left_out
    if kind in ("u1", "i1"):
        assert total.center == whole.center
        np.testing.assert_array_equal(total.total, whole.total)
        assert total.solve().weights.tobytes() == whole.solve().weights.tobytes()
        assert total.solve().bias == whole.solve().bias
    else:
        expected = about_zero(whole).astype(float)
        scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        assert (np.abs(about_zero(total).astype(float) - expected) <= 1e-12 * scale).all()
        np.testing.assert_allclose(total.solve().weights, whole.solve().weights, atol=1e-12)


def test_pictures_about_different_centres_add_up():
    pairs = [random_pair("f8", seed=0), random_pair("f8", seed=1)]
    pairs[1] = pairs[1][0] + 1000, pairs[1][1] - 500
    parts = [Moments.of(*pair) for pair in pairs]
    assert parts[0].center != parts[1].center
    expected = sum(sums_by_hand(*pair, (3, 2)) for pair in pairs).astype(float)
    for total in (parts[0] + parts[1], parts[1] + parts[0]):
        np.testing.assert_allclose(about_zero(total).astype(float), expected, rtol=1e-12)


def test_adding_keeps_the_parts():
    before, after = random_pair("u1")
    one = Moments.of(before, after)
    sums, left_out = one.sums.copy(), dict(one.left_out)
    two = one + one
    np.testing.assert_array_equal(one.sums, sums)
    assert one.left_out == left_out
    assert two.left_out == {reason: 2 * n for reason, n in left_out.items()}


def test_notes_add_up_once():
    before = np.array([[2**60, 1, 5]])
    one = Moments.of(before, [[1.0, 2.0, 4.0]], size=1)
    assert (one + one).notes == ("`before` has integers beyond 2**53, which were rounded to float64.",)


def test_moments_of_different_sizes_refuse():
    before, _ = random_pair("u1")
    with pytest.raises(ValueError, match="window size") as caught:
        Moments.of(before, before, size=3) + Moments.of(before, before, size=5)
    assert str(caught.value) == (
        "Only moments of one window size add up, got (3, 3) and (5, 5). Take .window(size) of the larger."
    )
    with pytest.raises(TypeError, match="unsupported operand"):
        Moments.of(before, before, size=3) + 1


# Smaller windows


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (5, 5), (1, 5), (4, 3), (2, 2)])
def test_window_equals_the_smaller_window_on_the_same_pixels(size):
    rng = np.random.default_rng(0)
    before, after = rng.integers(0, 256, (2, 20, 23)).astype(np.uint8)
    kh, kw = size
    rows, columns = slice(2, -2), slice(2, -2)
    inner = after[rows, columns]
    window = before[2 - kh // 2 : 18 + kh - 1 - kh // 2, 2 - kw // 2 : 21 + kw - 1 - kw // 2]
    small = Moments.of(before, after, size=5, clip=None).window(size)
    assert small.size == size
    np.testing.assert_array_equal(small.total, Moments.of(window, inner, size=size, clip=None).total)


def test_windows_of_large_ones_add_to_small_ones():
    before = np.random.default_rng(0).integers(0, 256, (80, 80)).astype(np.uint8)
    small = Moments.of(before, before, size=3)
    large = Moments.of(before, before, size=31)
    assert len(large.sums) < len(small.sums)  # fewer folds fit into the memory
    both = small + large.window((3, 3))
    assert both.count == small.count + large.count


@pytest.mark.parametrize("size", [(7, 5), (5, 7), (0, 3)])
def test_window_must_lie_inside(size):
    with pytest.raises(ValueError, match="inside") as caught:
        Moments.of(np.eye(9), np.eye(9), size=5).window(size)
    assert str(caught.value) == f"`size` must lie inside the window of (5, 5), got {size}."


@pytest.mark.parametrize(
    ("size", "shift"),
    [((1, 1), (-2, 2)), ((2, 3), (0, -1)), ((2, 4), (-1, 0)), ((4, 3), (0, 1)), ((5, 1), (0, 2))],
)
def test_a_window_may_stand_beside_the_middle(size, shift):
    before, after = np.random.default_rng(0).integers(0, 256, (2, 20, 23)).astype(np.uint8)
    (kh, kw), (down, along) = size, shift
    top, left = 2 - kh // 2 - down, 2 - kw // 2 - along
    window = before[top : 15 + top + kh, left : 18 + left + kw]
    moments = Moments.of(before, after, size=5, clip=None).window(size, shift)
    assert (moments.size, moments.shift) == (size, shift)
    np.testing.assert_array_equal(
        moments.total, Moments.of(window, after[2:-2, 2:-2], size=size, clip=None).total
    )
    assert moments.solve(ridge=1).origin == (kh // 2 + down, kw // 2 + along)
    inner = moments.window((1, 1))
    assert inner.shift == shift
    assert moments.window(size) is moments


@pytest.mark.parametrize("shift", [(2, 0), (-2, 0), (0, 2), (0, -2)])
def test_a_window_beside_the_middle_must_lie_inside(shift):
    with pytest.raises(ValueError, match="inside") as caught:
        Moments.of(np.eye(9), np.eye(9), size=5).window((3, 3), shift)
    assert str(caught.value) == (
        f"`shift` must leave the 3 x 3 window inside that of (5, 5) at shift (0, 0), got {shift}."
    )


def test_windows_in_different_places_do_not_add_up():
    moments = Moments.of(np.eye(9), np.eye(9), size=3)
    with pytest.raises(ValueError, match="shift") as caught:
        moments.window((1, 1), (1, 0)) + moments.window((1, 1))
    assert str(caught.value) == "Only moments of one `shift` add up, got (1, 0) and (0, 0)."


# Which pixels count


def left_out_by_hand(before, after, size, where=None, clip=None):
    """Count with explicit loops; of several reasons the first."""
    counts, found = np.ones(after.shape, bool), dict.fromkeys(REASONS, 0)
    for y, x in np.ndindex(after.shape):
        window = before[y : y + size[0], x : x + size[1]]
        if not (np.isfinite(after[y, x]) and np.isfinite(window).all()):
            reason = "not finite"
        elif where is not None and not where[y, x]:
            reason = "masked"
        elif clip is not None and after[y, x] <= clip[0]:
            reason = "clipped low"
        elif clip is not None and after[y, x] >= clip[1]:
            reason = "clipped high"
        else:
            continue
        counts[y, x] = False
        found[reason] += 1
    return counts, found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (4, 4)])
def test_left_out_pixels_are_counted_once_under_the_first_reason(seed, size):
    rng = np.random.default_rng(seed)
    before, after = random_pair("f8", (20, 22), size, seed)
    before[rng.random(before.shape) < 0.01] = np.nan
    before[rng.random(before.shape) < 0.005] = -np.inf
    after[rng.random(after.shape) < 0.1] = np.nan
    after[rng.random(after.shape) < 0.1] = np.inf
    where = rng.random(after.shape) < 0.8
    clip = (-1, 0.5)
    counts, expected = left_out_by_hand(before, after, size, where, clip)
    moments = Moments.of(before, after, size=size, where=where, clip=clip)
    assert moments.left_out == expected
    assert min(expected.values()) > 0
    assert moments.count + sum(moments.left_out.values()) == after.size
    hand = sums_by_hand(np.where(np.isfinite(before), before, 0), after, size, counts)
    np.testing.assert_allclose(about_zero(moments).astype(float), hand.astype(float), atol=1e-12)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "i8", "u8"])
def test_ends_of_integers_do_not_count(dtype):
    ends = np.iinfo(dtype)
    after = np.array([[ends.min, ends.max, 5, ends.max, 7]], dtype)
    before = np.arange(5.0)[None]
    moments = Moments.of(before, after, size=1)
    assert moments.left_out == {"not finite": 0, "masked": 0, "clipped low": 1, "clipped high": 2}
    assert moments.count == 2
    assert Moments.of(before, after, size=1, clip=None).count == 5


@pytest.mark.parametrize("after", [[[0.0, 255.0, 1.0]], [[True, False, True]]])
def test_floats_and_bools_have_no_ends(after):
    assert Moments.of([[1.0, 2.0, 4.0]], np.array(after), size=1).count == 3


def test_clip_may_name_ends_beyond_the_type():
    after = np.array([[0, 128, 255]], np.uint8)
    assert Moments.of([[1, 2, 3]], after, size=1, clip=(-1, 300)).count == 3
    assert Moments.of([[1, 2, 3]], after, size=1, clip=(0, np.inf)).left_out["clipped low"] == 1


# Cost


def test_memory_is_bounded():
    rng = np.random.default_rng(0)
    before, after = rng.integers(0, 256, (2, 3000, 3000), dtype=np.uint8)
    tracemalloc.start()
    moments = Moments.of(before, after, size=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert moments.count + sum(moments.left_out.values()) == 2998 * 2998
    assert peak < 150e6


@pytest.mark.parametrize("shape", [(1, 2_000_000), (2_000_000, 1)])
def test_long_pictures(shape):
    before = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    tracemalloc.start()
    moments = Moments.of(before, before, size=(1, 3) if shape[0] == 1 else (3, 1), clip=None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert moments.count == 2_000_000 - 2
    assert peak < 150e6


def test_constant_pictures_far_from_zero_have_a_centre():
    moments = Moments.of(np.full((5, 5), 1e9), np.full((5, 5), 1e-9), size=3)
    assert moments.center == pytest.approx((1e9, 1e-9), rel=1e-6)


def test_nothing_that_counts_is_no_scale():
    moments = Moments.of([[1e300, 1.0]], [[1.0, 2.0]], size=1, where=[[False, False]])
    assert moments.count == 0
