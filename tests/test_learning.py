"""From pairs of pictures to a kernel, by the front door."""

import gc
import re
import tracemalloc
import weakref
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image, ImageFilter

from corr2d import Kernel, corr2d, learn

PHOTOS = Path(__file__).parents[1] / "examples" / "photos"
MODES = {"zero": {"mode": "constant"}, "reflect": {"mode": "reflect"}, "wrap": {"mode": "wrap"}}


@pytest.fixture(scope="module")
def camera():
    return np.asarray(Image.open(PHOTOS / "camera.png"))


@pytest.fixture(scope="module")
def photo(camera):
    """A part with texture, in float64."""
    return camera[100:240, 120:280].astype(np.float64)


@pytest.fixture(scope="module")
def coffee():
    return np.asarray(Image.open(PHOTOS / "coffee.png"))[:90, 200:300]


def random_kernel(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def filtered(image, kernel, **border):
    """SciPy's answer as large as the picture, in float64: nothing of ours."""
    return scipy.ndimage.correlate(np.asarray(image, np.float64), kernel, **(border or {"mode": "constant"}))


def valid(image, kernel):
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(image, np.float64), np.shape(kernel))
    return np.einsum("yxvu,vu->yx", windows, kernel)


def rel_k(learned, kernel):
    return np.linalg.norm(learned.weights - kernel) / np.linalg.norm(kernel)


def textbook():
    X = np.ones((6, 8))
    X[:, 2:6] = 0
    return X, valid(X, [[1.0, -1.0]])


# The textbook


@pytest.mark.parametrize("kind", [np.asarray, np.ndarray.tolist], ids=["arrays", "lists"])
def test_textbook_kernel_comes_back_exactly(kind):
    kernel = learn(*map(kind, textbook()))
    np.testing.assert_array_equal(kernel.weights, [[1, -1]])
    assert kernel.bias == 0
    assert kernel.noise == 0
    assert kernel.r2 == 1


def test_textbook_rows_are_learned_from_the_transpose():
    X, Y = textbook()
    np.testing.assert_array_equal(learn(X.T, Y.T).weights, [[1], [-1]])


# Every option changes the answer


def test_size_changes_the_answer(photo):
    after = filtered(photo, random_kernel((3, 3)))
    assert learn(photo, after, size=5).size == (5, 5)
    assert learn(photo, after, size=(3, 4)).size == (3, 4)


def test_channel_axis_says_where_the_colours_are(coffee):
    kernel = random_kernel((3, 3))
    after = np.stack([filtered(coffee[..., c], kernel) for c in range(3)], axis=-1)
    expected = learn(coffee, after, size=3, channel_axis=-1)
    assert rel_k(expected, kernel) < 1e-10
    assert expected.used == 88 * 98 * 3
    for axis in (0, 1, -2):
        moved = learn(np.moveaxis(coffee, -1, axis), np.moveaxis(after, -1, axis), size=3, channel_axis=axis)
        np.testing.assert_allclose(moved.weights, expected.weights, atol=1e-12)


def test_per_channel_finds_one_kernel_for_each_colour(coffee):
    kernels = random_kernel((3, 3, 3))
    after = np.stack([filtered(coffee[..., c], kernels[c]) + c for c in range(3)], axis=-1)
    learned = learn(coffee, after, size=3, channel_axis=-1, per_channel=True)
    np.testing.assert_allclose(learned.weights, kernels, atol=1e-10)
    np.testing.assert_allclose(learned.bias, [0, 1, 2], atol=1e-8)
    assert learned.rank.tolist() == [9, 9, 9]
    assert learn(coffee, after, size=3, channel_axis=-1).r2 < 0.99


def test_per_channel_chooses_one_size_for_all(coffee):
    kernels = np.zeros((3, 5, 5))
    kernels[0, 2, 2] = 1
    kernels[1, 1:4, 1:4] = random_kernel((3, 3))
    kernels[2] = random_kernel((5, 5))
    after = np.stack([filtered(coffee[..., c], kernels[c]) for c in range(3)], axis=-1)
    learned = learn(coffee, after, channel_axis=-1, per_channel=True)
    np.testing.assert_allclose(learned.weights, kernels, atol=1e-10)


def test_where_leaves_pixels_out(photo):
    kernel = random_kernel((3, 3))
    after = filtered(photo, kernel)
    after[:70] = 0
    where = np.ones(photo.shape, bool)
    where[:70] = False
    learned = learn(photo, after, size=3, where=where)
    assert rel_k(learned, kernel) < 1e-10
    assert learned.left_out["masked"] == 69 * 158
    assert rel_k(learn(photo, after, size=3), kernel) > 1e-2


def test_where_of_a_row_broadcasts(photo):
    kernel = random_kernel((3, 3))
    after = filtered(photo, kernel)
    after[:, 80:] = 0
    learned = learn(photo, after, size=3, where=np.arange(160)[None] < 80)
    assert rel_k(learned, kernel) < 1e-10


def test_where_goes_with_per_channel(coffee):
    kernels = random_kernel((3, 3, 3))
    after = np.stack([filtered(coffee[..., c], kernels[c]) for c in range(3)], axis=-1)
    where = np.ones(after.shape, bool)
    where[20:50, :, 1] = False
    after[~where] = -1e6
    learned = learn(coffee, after, size=3, channel_axis=-1, per_channel=True, where=where)
    np.testing.assert_allclose(learned.weights, kernels, atol=1e-10)
    assert learned.left_out["masked"] == 30 * 98


def test_clip_names_the_ends_of_floats(photo):
    kernel = random_kernel((3, 3))
    after = np.clip(filtered(photo, kernel), 50, 300)
    learned = learn(photo, after, size=3, clip=(50, 300))
    assert rel_k(learned, kernel) < 1e-10
    inside = after[1:-1, 1:-1]
    assert learned.left_out["clipped low"] == np.count_nonzero(inside == 50) > 0
    assert learned.left_out["clipped high"] == np.count_nonzero(inside == 300) > 0
    assert rel_k(learn(photo, after, size=3), kernel) > 0.05


# Exactness


@pytest.mark.parametrize("k", [3, 5, 9, 15])
@pytest.mark.parametrize("border", MODES)
def test_noise_free_kernel_comes_back_whatever_the_border(photo, k, border):
    kernel = random_kernel((k, k))
    learned = learn(photo, filtered(photo, kernel, **MODES[border]), size=k)
    assert rel_k(learned, kernel) < 1e-10
    assert abs(learned.bias) < 1e-7
    assert learned.rank == k * k
    assert learned.notes == ()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 1), (2, 2), (4, 3), (3, 8)])
def test_rectangular_and_even_kernels(photo, shape):
    kernel = random_kernel(shape)
    assert rel_k(learn(photo, valid(photo, kernel)), kernel) < 1e-10


@pytest.mark.parametrize("shape", [(2, 2), (4, 3), (3, 8)])
def test_even_window_of_a_same_sized_pair_is_centred_as_by_same_padding(photo, shape):
    kernel = random_kernel(shape)
    assert rel_k(learn(photo, corr2d(photo, kernel, padding="same"), size=shape), kernel) < 1e-10


@pytest.mark.parametrize("k", [3, 9])
def test_large_offset_costs_no_digits(photo, k):
    before = 1e5 + photo / 127.5 - 1
    kernel = random_kernel((k, k))
    learned = learn(before, valid(before, kernel))
    assert rel_k(learned, kernel) < 1e-10
    before_16 = np.round(59000 + photo * 20).astype(np.uint16)
    assert rel_k(learn(before_16, valid(before_16, kernel)), kernel) < 1e-10


def test_float32_keeps_its_digits(photo):
    # Small values beside a middle of 0.5, which float32 cannot subtract without loss.
    before = ((photo / 255) ** 3).astype(np.float32) + np.float32(0.3) * (photo > 100).astype(np.float32)
    kernel = random_kernel((3, 3))
    learned = learn(before, valid(before, kernel))
    assert rel_k(learned, kernel) < 1e-12


@pytest.mark.parametrize(
    "dtype", ["?", "u1", "i1", "u2", "i2", "u4", "i8", "f2", "f4", "f8", ">f8", ">u2", ">f4"]
)
def test_dtypes_of_before(photo, dtype):
    before = (photo > 100 if dtype == "?" else photo / 3).astype(dtype)
    kernel = random_kernel((3, 3))
    assert rel_k(learn(before, valid(before, kernel)), kernel) < 1e-10


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "i8", "f2", "f4", ">i4", ">f8"])
def test_dtypes_of_after(photo, dtype):
    after = valid(photo, [[1, 2, 1]]) // 8
    expected = learn(photo, after).weights
    np.testing.assert_allclose(learn(photo, after.astype(dtype)).weights, expected, rtol=1e-12)


def test_bool_after_has_no_clipped_end(photo):
    after = photo[:, 1:-1] > 128
    learned = learn(photo, after)
    assert learned.used == after.size
    np.testing.assert_array_equal(learned.weights, learn(photo, after.astype(float)).weights)


def test_integers_beyond_2_53_are_noted():
    before = np.random.default_rng(0).integers(0, 2**62, (20, 20))
    note = "`before` has integers beyond 2**53, which were rounded to float64."
    assert note in learn(before, before[1:-1, 1:-1].astype(float)).notes
    assert learn(before >> 10, before[1:-1, 1:-1].astype(float)).notes == ()


def test_strides_and_byte_order_do_not_matter(photo):
    kernel = random_kernel((3, 3))
    after = valid(photo, kernel)
    expected = learn(photo, after).weights
    for change in (
        np.asfortranarray,
        lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
        lambda a: np.repeat(a, 2, 1)[:, ::2],
    ):
        np.testing.assert_allclose(learn(change(photo), change(after)).weights, expected, atol=1e-12)


def test_inputs_are_left_alone(photo):
    before, after = photo.copy(), filtered(photo, random_kernel((3, 3)))
    before[3, 3] = np.nan
    where = np.ones(photo.shape, bool)
    copies = [a.copy() for a in (before, after, where)]
    for array in (before, after, where):
        array.flags.writeable = False
    learn(before, after, where=where)
    for array, copy in zip((before, after, where), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


# Several pairs


def test_batch_is_as_good_as_its_pictures(photo):
    kernel = random_kernel((3, 3))
    batch = np.stack([photo[:50, :60], photo[60:110, 40:100]])
    after = np.stack([valid(x, kernel) for x in batch])
    learned = learn(batch, after)
    assert learned.used == 2 * 48 * 58
    assert rel_k(learned, kernel) < 1e-10
    pairs = learn(zip(batch, after, strict=True))
    np.testing.assert_allclose(pairs.weights, learned.weights, atol=1e-12)


def test_pairs_that_tell_little_alone_tell_all_together(photo):
    kernel = random_kernel((3, 3))
    rows = np.tile(photo[:1, :30], (20, 1))
    columns = np.tile(photo[:20, :1], (1, 30))
    pairs = [(x, valid(x, kernel)) for x in (rows, columns)]
    ranks = [learn(*pair).rank for pair in pairs]
    together = learn(pairs)
    assert max(ranks) < together.rank
    assert together.rank == 5  # the row sums and the column sums, which share the sum of all


def test_lists_of_pairs_are_pairs(photo):
    kernel = random_kernel((3, 3))
    assert rel_k(learn([[photo, valid(photo, kernel)]]), kernel) < 1e-10


def test_a_smaller_after_tells_the_size_for_all(photo):
    kernel = random_kernel((3, 3))
    pairs = [(photo, filtered(photo, kernel)), (photo, valid(photo, kernel))]
    for order in (pairs, pairs[::-1]):
        learned = learn(order)
        assert learned.size == (3, 3)
        assert learned.used == 2 * 138 * 158


def test_one_pair_at_a_time():
    alive = weakref.WeakSet()
    most = 0

    class Picture(np.ndarray):  # a plain ndarray in a WeakSet cannot be hashed
        __hash__ = object.__hash__

    def pairs():
        nonlocal most
        rng = np.random.default_rng(0)
        for _ in range(5):
            gc.collect()
            most = max(most, len(alive))
            before = rng.standard_normal((20, 20)).view(Picture)
            alive.add(before)
            pair = before, np.asarray(before) * 2
            del before
            yield pair
            del pair

    assert learn(pairs(), size=3).used == 5 * 18 * 18
    assert most == 0


def test_memory_stays_bounded_over_many_pairs():
    def pairs():
        rng = np.random.default_rng(0)
        for _ in range(30):
            before = rng.standard_normal((300, 300))
            yield before, before

    tracemalloc.start()
    learn(pairs(), size=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # a pair is 1.4 MB and its patches 8; thirty pairs would be 43 MB


# Clipping and missing pixels


def test_edges_of_an_8_bit_picture_give_8(camera):
    before = Image.fromarray(camera)
    after = before.filter(ImageFilter.FIND_EDGES)
    expected = np.full((3, 3), -1.0)
    expected[1, 1] = 8
    learned = learn(np.asarray(before), np.asarray(after), size=3)
    np.testing.assert_allclose(learned.weights, expected, atol=1e-6)
    assert abs(learned.bias) < 1e-4
    inside = np.asarray(after)[1:-1, 1:-1]
    assert learned.left_out["clipped low"] == np.count_nonzero(inside == 0)
    assert learned.left_out["clipped high"] == np.count_nonzero(inside == 255)
    assert learned.used + sum(learned.left_out.values()) == inside.size
    assert abs(learn(np.asarray(before), np.asarray(after), size=3, clip=None).weights[1, 1] - 8) > 1


def test_scattered_nan_leave_a_size_to_choose(photo):
    # 4 % of NaN leave 14 % of the 7 x 7 windows whole, and of the 15 x 15 windows one in ten thousand.
    rng = np.random.default_rng(0)
    kernel = random_kernel((3, 3))
    after = filtered(photo, kernel) + rng.normal(0, 3, photo.shape)
    before = np.where(rng.random(photo.shape) < 0.04, np.nan, photo)
    learned = learn(before, after)
    assert learned.size == (3, 3)
    assert rel_k(learned, kernel) < 0.02


def test_size_of_a_small_part(photo):
    kernel = random_kernel((3, 3))
    where = np.zeros(photo.shape, bool)
    where[5:35, 5:38] = True
    learned = learn(photo, filtered(photo, kernel), where=where)
    assert learned.size == (3, 3)
    assert rel_k(learned, kernel) < 1e-10


# What cannot be answered


def message(error, *args, **options):
    with pytest.raises(error) as caught:
        learn(*args, **options)
    return str(caught.value)


def test_too_few_pixels_text():
    X = np.arange(16.0).reshape(4, 4)
    assert message(ValueError, X, X, size=3) == (
        "A 3 x 3 kernel with a bias has 10 unknowns, but only 4 pixels count. "
        "Take a smaller size or larger pictures."
    )


def test_all_clipped_text():
    X = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Y = np.zeros((6, 6), np.uint8)
    Y[:2] = 255
    assert message(ValueError, X, Y) == (
        "A 3 x 3 kernel with a bias has 10 unknowns, but only 0 pixels count (24 clipped low, 12 clipped "
        "high were "
        "left out). Take a smaller size or larger pictures. Pass clip=None if the ends of the range are data."
    )


def test_all_masked_text():
    X = np.ones((8, 8))
    assert message(ValueError, X, X, size=3, where=np.zeros((8, 8), bool)) == (
        "A 3 x 3 kernel with a bias has 10 unknowns, but only 0 pixels count (36 masked were left out). "
        "Take a smaller size or larger pictures."
    )


def test_all_nan_text():
    X = np.full((8, 8), np.nan)
    assert message(ValueError, X, X, size=3) == (
        "A 3 x 3 kernel with a bias has 10 unknowns, but only 0 pixels count (36 not finite were left out). "
        "Take a smaller size or larger pictures."
    )


X, Y = np.arange(60.0).reshape(6, 10) ** 2, np.arange(32.0).reshape(4, 8)
REFUSED = {
    "1-d": (
        ValueError,
        (X[0], Y),
        {},
        "`before` must have at least two axes (rows, columns), got shape (10,).",
    ),
    "0-d": (ValueError, (X, 3.0), {}, "`after` must have at least two axes (rows, columns), got shape ()."),
    "complex": (
        TypeError,
        (X + 0j, Y),
        {},
        "`before` must hold real numbers of at most 64 bits, got dtype complex128. Filter .real and .imag "
        "one by one.",
    ),
    "strings": (
        TypeError,
        ("ab", "cd"),
        {},
        "`before` must hold real numbers of at most 64 bits, got dtype <U2.",
    ),
    "object": (
        TypeError,
        (X, Y.astype(object)),
        {},
        "`after` must hold real numbers of at most 64 bits, got dtype object.",
    ),
    "masked": (
        TypeError,
        (np.ma.array(X), Y),
        {},
        "`before` is a MaskedArray, whose mask would be ignored. Give a plain array: fill the masked "
        "pixels first, "
        "for instance with NaN.",
    ),
    "ragged": (
        ValueError,
        ([[1, 2], [3]], Y),
        {},
        "`before` must be a rectangular array of numbers: setting an array element with a sequence. The "
        "requested "
        "array has an inhomogeneous shape after 1 dimensions. The detected shape was (2,) + inhomogeneous "
        "part.",
    ),
    "larger": (
        ValueError,
        (Y, X),
        {},
        "`after` must be as large as `before` or smaller by the kernel's border, got 4 x 8 before and 6 x "
        "10 after.",
    ),
    "turned": (
        ValueError,
        (X, X.T),
        {},
        "`after` must be as large as `before` or smaller by the kernel's border, got 6 x 10 before and 10 "
        "x 6 after. "
        "One of them seems to be turned by 90 degrees.",
    ),
    "turned and smaller": (
        ValueError,
        (X, Y.T),
        {},
        "`after` must be as large as `before` or smaller by the kernel's border, got 6 x 10 before and 8 x "
        "4 after. "
        "One of them seems to be turned by 90 degrees.",
    ),
    "channels": (
        ValueError,
        (np.ones((3, 6, 10)), np.ones((2, 6, 10))),
        {},
        "`before` and `after` must have the same channels and leading axes, got (3, 6, 10) and (2, 6, 10).",
    ),
    "channels, one by one": (
        ValueError,
        (np.ones((6, 10, 3)), np.ones((6, 10, 4))),
        {"channel_axis": -1, "per_channel": True, "size": 3},
        "`before` and `after` must have the same channels, at least one, got 3 and 4.",
    ),
    "no channels": (
        ValueError,
        (np.ones((6, 10, 0)), np.ones((6, 10, 0))),
        {"channel_axis": -1, "per_channel": True, "size": 3},
        "`before` and `after` must have the same channels, at least one, got 0 and 0.",
    ),
    "colour without channel_axis": (
        ValueError,
        (np.ones((6, 10, 3)), np.ones((6, 10, 3))),
        {},
        "`before` has shape (6, 10, 3), which looks like rows x columns x colours. Pass channel_axis=-1 "
        "for a colour "
        "picture, or before[None] if these are 6 pictures of 3 columns.",
    ),
    "per_channel without channel_axis": (
        ValueError,
        (X, X),
        {"per_channel": True},
        "`per_channel` needs `channel_axis`, to know where the colours are.",
    ),
    "size that contradicts the shapes": (
        ValueError,
        (X, Y),
        {"size": 5},
        "`size` must be (3, 3), which 6 x 10 before and 4 x 8 after tell, got (5, 5).",
    ),
    "size too large": (
        ValueError,
        (X, X),
        {"size": 7},
        "`size` must fit into the pictures of 6 x 10, got (7, 7).",
    ),
    "size 0": (ValueError, (X, X), {"size": 0}, "`size` must be one or two positive integers, got 0."),
    "size of three": (
        ValueError,
        (X, X),
        {"size": (3, 3, 3)},
        "`size` must be one or two positive integers, got (3, 3, 3).",
    ),
    "size 2.5": (TypeError, (X, X), {"size": 2.5}, "`size` must be one or two positive integers, got 2.5."),
    "size of floats": (
        TypeError,
        (X, X),
        {"size": (3.5, 3)},
        "`size` must be one or two positive integers, got (3.5, 3).",
    ),
    "size text": (TypeError, (X, X), {"size": "3"}, "`size` must be one or two positive integers, got '3'."),
    "clip word": (
        ValueError,
        (X, Y),
        {"clip": "on"},
        "`clip` must be 'auto', (low, high) or None, got 'on'.",
    ),
    "clip number": (TypeError, (X, Y), {"clip": 5}, "`clip` must be 'auto', (low, high) or None, got 5."),
    "clip of texts": (
        TypeError,
        (X, Y),
        {"clip": ("a", "b")},
        "`clip` must be 'auto', (low, high) or None, got ('a', 'b').",
    ),
    "clip in the wrong order": (
        ValueError,
        (X, Y),
        {"clip": (5, 5)},
        "`clip` must be (low, high) with low < high, got (5, 5).",
    ),
    "clip NaN": (
        ValueError,
        (X, Y),
        {"clip": (float("nan"), 1)},
        "`clip` must be (low, high) with low < high, got (nan, 1).",
    ),
    "where of integers": (
        TypeError,
        (X, Y),
        {"where": np.ones((4, 8), int)},
        "`where` must be a bool array, True where a pixel counts, got dtype int64.",
    ),
    "where of another shape": (
        ValueError,
        (X, Y),
        {"where": np.ones((3, 3), bool)},
        "`where` must broadcast to the shape of `after`, (4, 8), got (3, 3).",
    ),
    "where of another shape, per channel": (
        ValueError,
        (X[None], Y[None]),
        {"where": np.ones((3, 3), bool), "channel_axis": 0, "per_channel": True},
        "`where` must broadcast to the shape of `after`, (1, 4, 8), got (3, 3).",
    ),
    "masked where": (
        TypeError,
        (X, Y),
        {"where": np.ma.ones((4, 8), bool)},
        "`where` is a MaskedArray, whose mask would be ignored. Give a plain array: fill the masked pixels "
        "first, "
        "for instance with NaN.",
    ),
    "where with several pairs": (
        ValueError,
        ([(X, Y)],),
        {"where": np.ones((4, 8), bool)},
        "`where` belongs to one pair. In several pairs, leave pixels out by making them NaN, or add up "
        "`Moments`.",
    ),
    "no pair": (ValueError, ([],), {}, "`before` must hold at least one pair (before, after), got none."),
    "no pair in a stream": (
        ValueError,
        (iter(()),),
        {"size": 3},
        "`before` must hold at least one pair (before, after), got none.",
    ),
    "before alone": (
        TypeError,
        (X,),
        {},
        "Without `after`, `before` must be an iterable of pairs (before, after), got one of ndarray.",
    ),
    "a number alone": (
        TypeError,
        (5,),
        {},
        "Without `after`, `before` must be an iterable of pairs (before, after), got int.",
    ),
    "a text alone": (
        TypeError,
        ("a.png",),
        {},
        "Without `after`, `before` must be an iterable of pairs (before, after), got one of str.",
    ),
    "triples": (
        TypeError,
        ([(X, Y, Y)],),
        {},
        "Without `after`, `before` must be an iterable of pairs (before, after), got one of tuple.",
    ),
    "pairs of two sizes": (
        ValueError,
        ([(X, Y), (X, X[1:])],),
        {},
        "All pairs must be of one kernel size, but their shapes tell (3, 3) and (2, 1).",
    ),
    "pairs of two channel counts": (
        ValueError,
        ([(np.ones((c, 6, 10)), np.ones((c, 4, 8))) for c in (1, 2)],),
        {"channel_axis": 0, "per_channel": True},
        "All pairs must have the same channels, got 1 and 2.",
    ),
    "scaled down": (
        ValueError,
        (np.zeros((1000, 1000)), np.zeros((500, 500))),
        {},
        "A window of 501 x 501 needs sums of 469 GB, more than the 4 GB that are allowed. If `after` is "
        "scaled down, pass `stride` and `size`. Otherwise take a smaller size, or compare like parts of the "
        "pictures.",
    ),
    "empty": (ValueError, (X[:0], X[:0]), {}, "`size` must fit into the pictures of 0 x 10, got (1, 1)."),
    "batch of none": (
        ValueError,
        (X[None][:0], Y[None][:0]),
        {},
        "A 3 x 3 kernel with a bias has 10 unknowns, but only 0 pixels count. Take a smaller size or "
        "larger pictures.",
    ),
    "huge": (
        ValueError,
        (X * 1e120, Y),
        {},
        "`before` has pixels beyond 1e100 that count, whose squares are too large to sum. Make them NaN if "
        "they mark "
        "missing pixels; else divide the picture by a constant.",
    ),
    "huge after": (
        ValueError,
        (X, np.where(Y == 5, -1.7e308, Y)),
        {},
        "`after` has pixels beyond 1e100 that count, whose squares are too large to sum. Make them NaN if "
        "they mark "
        "missing pixels; else divide the picture by a constant.",
    ),
    "tiny": (
        ValueError,
        (X * 1e-150, Y),
        {},
        "`before` varies by less than 1e-100, whose squares are too small to sum. Multiply the picture by "
        "a constant.",
    ),
    "subnormal after": (
        ValueError,
        (X, Y * 1e-320),
        {},
        "`after` varies by less than 1e-100, whose squares are too small to sum. Multiply the picture by a "
        "constant.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusal_text(case):
    error, args, options, text = REFUSED[case]
    assert message(error, *args, **options) == text


def test_an_error_of_the_iterable_is_the_users_own(photo):
    def pairs():
        yield photo, photo[1:-1, 1:-1]
        raise LookupError("disk gone")

    with pytest.raises(LookupError, match=re.escape("disk gone")):
        learn(pairs())


@pytest.mark.parametrize("scale", [1e-90, 1e-30, 1e30, 1e90])
def test_units_scale_the_kernel_and_nothing_else(photo, scale):
    kernel = random_kernel((3, 3))
    after = valid(photo, kernel)
    assert rel_k(learn(photo * scale, after), kernel / scale) < 1e-10
    assert rel_k(learn(photo, after * scale), kernel * scale) < 1e-10


def test_huge_pixels_that_do_not_count_do_no_harm(photo):
    kernel = random_kernel((3, 3))
    after = filtered(photo, kernel)
    where = np.ones(photo.shape, bool)
    after[10, 10:20], where[10, 10:20] = -1.7e308, False
    assert rel_k(learn(photo, after, size=3, where=where), kernel) < 1e-10


@pytest.mark.parametrize("shape", [(6, 8), (3, 3), (1, 20), (20, 1), (1, 3), (2, 2), (1, 100)])
def test_tiny_pictures_have_an_answer(shape):
    before = np.random.default_rng(0).standard_normal(shape)
    learned = learn(before, 2 * before + 1)
    assert isinstance(learned, Kernel)
    assert abs(learned.weights[0, 0] - 2) < 1e-12
    assert abs(learned.bias - 1) < 1e-12


def test_one_pixel_is_too_few():
    assert message(ValueError, [[1.0]], [[2.0]]) == (
        "A 1 x 1 kernel with a bias has 2 unknowns, but only 1 pixels count. Take a smaller size or larger "
        "pictures."
    )


def test_the_ring_around_the_tried_window_does_not_count():
    # On a checkerboard one weight explains the inside, so 1 x 1 is chosen; the zeros beyond the border do not
    # fit.
    board = np.indices((40, 40)).sum(axis=0) % 2 * 200.0 + 20
    after = corr2d(board, np.ones((3, 3)) / 9, padding="same")
    kernel = learn(board, after)
    assert kernel.used == 34 * 34
    assert kernel.noise < 1e-5
