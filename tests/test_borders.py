import re

import numpy as np
import pytest
from reference import MODES, pads_of, surround

from corr2d.borders import Pads, resolve_padding
from corr2d.correlate import corr2d

IMAGE = np.arange(12.0).reshape(3, 4)
PADDING_RULE = "`padding` must be 'valid', 'same', 'full', an int or (top, bottom, left, right)"
MODE_RULE = "`mode` must be one of 'constant', 'reflect', 'mirror', 'nearest', 'wrap'"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pad", [0, 1, 2, 3, 4, 5, 13])
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (2, 2), (3, 5), (40, 70)])
def test_each_mode_shows_the_pixels_it_promises(shape, pad, mode):
    image = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    shown = surround(image, (pad,) * 4, mode, 0)
    np.testing.assert_array_equal(corr2d(image, [[1.0]], padding=pad, mode=mode), shown)
    # NumPy's own names for the same.
    theirs = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge"}.get(mode, mode)
    np.testing.assert_array_equal(shown, np.pad(image, pad, theirs))


@pytest.mark.parametrize("kernel_shape", [(1, 1), (1, 4), (2, 2), (3, 5), (4, 3), (9, 10)])
@pytest.mark.parametrize("padding", ["valid", "same", "full", 0, 3, (1, 2, 3, 4), [4, 3, 2, 1], np.int64(2)])
def test_padding_in_every_form(padding, kernel_shape):
    expected = pads_of(int(padding) if isinstance(padding, np.int64) else padding, *kernel_shape)
    assert resolve_padding(padding, kernel_shape) == Pads(*expected)


def test_same_puts_the_centre_where_scipy_ndimage_does():
    spike = np.zeros((5, 5))
    spike[2, 2] = 1
    assert np.argwhere(corr2d(spike, [[1.0, 0.0], [0.0, 0.0]], padding="same")).tolist() == [[3, 3]]
    assert np.argwhere(corr2d(spike, [[0.0, 0.0], [0.0, 1.0]], padding="same")).tolist() == [[2, 2]]


def test_each_side_is_padded_for_itself():
    assert corr2d(IMAGE, [[1.0]], padding=(1, 0, 0, 0)).tolist() == [[0, 0, 0, 0], *IMAGE.tolist()]
    assert corr2d(IMAGE, [[1.0]], padding=(0, 1, 0, 0)).tolist() == [*IMAGE.tolist(), [0, 0, 0, 0]]
    assert corr2d(IMAGE, [[1.0]], padding=(0, 0, 1, 0)).tolist() == [[0, *row] for row in IMAGE.tolist()]
    assert corr2d(IMAGE, [[1.0]], padding=(0, 0, 0, 1)).tolist() == [[*row, 0] for row in IMAGE.tolist()]


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("symmetric", " Did you mean 'reflect' (NumPy's 'symmetric')?"),
        ("edge", " Did you mean 'nearest' (NumPy's 'edge')?"),
        ("replicate", " Did you mean 'nearest' (OpenCV's and torch's 'replicate')?"),
        ("BORDER_REPLICATE", " Did you mean 'nearest' (OpenCV's and torch's 'BORDER_REPLICATE')?"),
        ("BORDER_REFLECT_101", " Did you mean 'mirror' (OpenCV's 'BORDER_REFLECT_101')?"),
        ("reflect101", " Did you mean 'mirror' (OpenCV's 'reflect101')?"),
        ("circular", " Did you mean 'wrap' (torch's 'circular')?"),
        ("zeros", " Did you mean 'constant' (torch's 'zeros')?"),
        ("grid-constant", " Did you mean 'constant' (SciPy's 'grid-constant')?"),
        ("grid-mirror", " Did you mean 'reflect' (SciPy's 'grid-mirror')?"),
        ("grid-wrap", " Did you mean 'wrap' (SciPy's 'grid-wrap')?"),
        ("periodic", " Did you mean 'wrap' (astropy's 'periodic')?"),
        ("Reflect", " Did you mean 'reflect'?"),
        ("miror", " Did you mean 'mirror'?"),
        ("", ""),
        ("xyz", ""),
    ],
)
def test_mode_error_text(given, hint):
    with pytest.raises(ValueError, match=f"^{re.escape(f'{MODE_RULE}, got {given!r}.{hint}')}$"):
        corr2d(IMAGE, [[1.0]], padding="same", mode=given)


@pytest.mark.parametrize("given", [None, 1, b"wrap", ("wrap",)])
def test_a_mode_that_is_no_string_is_a_type_error(given):
    with pytest.raises(TypeError, match=f"^{re.escape(f'{MODE_RULE}, got {given!r}.')}$"):
        corr2d(IMAGE, [[1.0]], padding="same", mode=given)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("SAME", " Did you mean 'same'?"),
        ("vaild", " Did you mean 'valid'?"),
        ("zeros", ""),
        ("", ""),
        ("reflect", ""),
    ],
)
def test_padding_error_text(given, hint):
    with pytest.raises(ValueError, match=f"^{re.escape(f'{PADDING_RULE}, got {given!r}.{hint}')}$"):
        corr2d(IMAGE, [[1.0]], padding=given)


@pytest.mark.parametrize(
    "given", [None, 1.5, (1, 2.0, 3, 4), {1, 2, 3, 4}, True, (1, True, 1, 1), np.ones(4, int)]
)
def test_padding_of_another_kind_is_a_type_error(given):
    with pytest.raises(TypeError, match=f"^{re.escape(f'{PADDING_RULE}, got {given!r}.')}$"):
        corr2d(IMAGE, [[1.0]], padding=given)


@pytest.mark.parametrize("given", [-1, (1, 2), (), (1, 2, 3), (1, 2, 3, 4, 5), (0, 0, 0, -1)])
def test_padding_that_is_no_size_is_a_value_error(given):
    message = f"`padding` must be one int or four, (top, bottom, left, right), none negative, got {given!r}."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        corr2d(IMAGE, [[1.0]], padding=given)


@pytest.mark.parametrize(
    ("message", "options"),
    [
        ("mode='wrap' has no effect with padding='valid', which adds no border. Pass padding='same'.",
         {"mode": "wrap"}),
        ("cval=1.5 has no effect with padding='valid', which adds no border. Pass padding='same'.",
         {"cval": 1.5}),
        ("cval=2 has no effect with mode='mirror'. Pass mode='constant', or leave cval out.",
         {"cval": 2, "mode": "mirror", "padding": "same"}),
    ],
)  # fmt: skip
def test_an_option_that_would_be_ignored_is_refused(message, options):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        corr2d(IMAGE, [[1.0]], **options)


@pytest.mark.parametrize("given", [None, "0", 1j, [0.0]])
def test_cval_error_text(given):
    with pytest.raises(TypeError, match=f"^{re.escape(f'`cval` must be a number, got {given!r}.')}$"):
        corr2d(IMAGE, [[1.0]], padding="same", cval=given)


@pytest.mark.parametrize("cval", [3, True, np.float32(3), np.int8(3)])
def test_cval_may_be_any_number(cval):
    assert corr2d(IMAGE, [[1.0]], padding=1, cval=cval)[0, 0] == cval
