"""Kernel as a value: frozen, compared, printed, called, saved and read back."""

import json
import os
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import reference

from corr2d import Kernel, corr2d, learn

PADDINGS = [
    {"padding": "valid"},
    {"padding": "same"},
    {"padding": "same", "mode": "reflect"},
    {"padding": "full", "cval": 3.0},
    {"padding": 2, "mode": "nearest"},
    {"padding": (0, 1, 2, 3), "mode": "wrap"},
]
FIGURES = {
    "stderr": [[0.5, np.inf, 0.125]],
    "bias_stderr": np.inf,
    "rmse": 0.1,
    "noise": np.inf,
    "r2": np.nan,
    "used": 12,
    "left_out": {"masked": 3},
    "condition": np.inf,
    "rank": 2,
    "notes": ("Größe → ∞",),
    "provenance": {"before": 'a "quoted"\nname.png'},
}


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (12, 13)).astype(np.uint8)


# A value


def test_fields_cannot_be_set():
    kernel = Kernel([[1.0]])
    with pytest.raises(FrozenInstanceError):
        kernel.bias = 2


@pytest.mark.parametrize("channels", [None, 2])
def test_arrays_are_copies_and_read_only(channels):
    def full(shape):
        return np.ones(shape if channels is None else (channels, *shape))

    given = {
        "weights": full((2, 3)),
        "stderr": full((2, 3)),
        "bias": full(()),
        "r2": full(()),
        "rank": full(()),
    }
    kernel = Kernel(**given)
    for name, array in given.items():
        array += 4
        value = getattr(kernel, name)
        np.testing.assert_array_equal(value, 1)
        if isinstance(value, np.ndarray):
            with pytest.raises(ValueError, match="read-only"):
                value[...] = 7


def test_dicts_are_copies():
    left_out, provenance = {"masked": 1}, {"before": "a"}
    kernel = Kernel([[1.0]], left_out=left_out, provenance=provenance)
    left_out["masked"] = 5
    provenance["before"] = "b"
    assert kernel.left_out == {"masked": 1}
    assert kernel.provenance == {"before": "a"}


def test_kernels_are_equal_by_content():
    kernel = Kernel([[1, -1]], **FIGURES | {"stderr": None})
    assert kernel == Kernel(np.array([[1.0, -1.0]]), **FIGURES | {"stderr": None})
    assert kernel != "kernel"
    with pytest.raises(TypeError, match="unhashable"):
        hash(kernel)


@pytest.mark.parametrize(
    "change",
    [
        {"weights": [[1, -2]]},
        {"weights": [[1], [-1]]},
        {"bias": 1},
        {"origin": (0, 0)},
        {"noise": 2},
        {"r2": 0.5},
        {"r2": np.nan},
        {"stderr": [[1, np.inf]]},
        {"used": 3},
        {"notes": ("so",)},
        {"provenance": {"a": "b"}},
        {"left_out": {"masked": 1}},
        {"family": "disk"},
        {"parameters": {"radius": (1.0, 0.5)}},
        {"errors": "white"},
        {"measures": {"sum": (1.0, 0.5)}},
        {"name": "disk"},
        {"verdict": "a convolution"},
        {"evidence": {"residual": 1.0}},
        {"curve": [[0.0, 0.0], [1.0, 2.0]]},
    ],
    ids=str,
)
def test_every_field_counts_in_a_comparison(change):
    assert Kernel(**{"weights": [[1, -1]]} | change) != Kernel([[1, -1]])


def test_notes_and_provenance_are_added_to_a_new_kernel():
    kernel = Kernel([[1.0]], notes=("one",), provenance={"a": "1"})
    more = kernel.with_notes("two", b="2")
    assert more.notes == ("one", "two")
    assert more.provenance == {"a": "1", "b": "2"}
    assert kernel.notes == ("one",)


BAD = {
    "1-d": (
        {"weights": [1, 2]},
        ValueError,
        "`weights` must have two axes (kh, kw), neither empty, got shape (2,). Write a row as "
        "kernel[None, :], a column as kernel[:, None].",
    ),
    "5-d": (
        {"weights": np.ones((1, 1, 1, 1, 1))},
        ValueError,
        "`weights` must have two axes (kh, kw), neither empty, got shape (1, 1, 1, 1, 1).",
    ),
    "background of no degree": (
        {"weights": [[1.0]], "background": [1.0, 2.0, 3.0]},
        ValueError,
        "`background` must have 2, 5 or 9 coefficients for each kernel, got shape (3,).",
    ),
    "background of no number": (
        {"weights": [[1.0]], "background": [1.0, float("nan")]},
        ValueError,
        "`background` must be finite, got [1.0, nan].",
    ),
    "no channels": (
        {"weights": np.ones((0, 3, 3))},
        ValueError,
        "`weights` must have two axes (kh, kw), neither empty, got shape (0, 3, 3).",
    ),
    "NaN": ({"weights": [[np.nan]]}, ValueError, "`weights` must be finite, got 1 NaN or infinite weights."),
    "texts": (
        {"weights": [["1"]]},
        TypeError,
        "`weights` must hold real numbers of at most 64 bits, got dtype <U1.",
    ),
    "infinite bias": (
        {"bias": np.inf},
        ValueError,
        "`bias` must be finite and of shape (), one for each kernel, got inf.",
    ),
    "bias of the wrong shape": (
        {"bias": [1]},
        ValueError,
        "`bias` must be finite and of shape (), one for each kernel, got [1].",
    ),
    "one bias for two": (
        {"weights": np.ones((2, 1, 1)), "bias": 1.0},
        ValueError,
        "`bias` must be finite and of shape (2,), one for each kernel, got 1.0.",
    ),
    "bias text": (
        {"bias": "3"},
        TypeError,
        "`bias` must hold real numbers of at most 64 bits, got dtype <U1.",
    ),
    "complex bias": (
        {"bias": 1j},
        TypeError,
        "`bias` must hold real numbers of at most 64 bits, got dtype complex128. "
        "Filter .real and .imag one by one.",
    ),
    "origin of one": (
        {"origin": (1,)},
        ValueError,
        "`origin` must be two integers (row, column) from -10**9 to 10**9, got (1,).",
    ),
    "origin too far": (
        {"origin": (0, 10**9 + 1)},
        ValueError,
        "`origin` must be two integers (row, column) from -10**9 to 10**9, got (0, 1000000001).",
    ),
    "origin too far the other way": (
        {"origin": (-(2**63), 0)},
        ValueError,
        "`origin` must be two integers (row, column) from -10**9 to 10**9, got (-9223372036854775808, 0).",
    ),
    "origin of floats": (
        {"origin": (0.7, 0)},
        TypeError,
        "`origin` must be two integers (row, column) from -10**9 to 10**9, got (0.7, 0).",
    ),
    "origin text": (
        {"origin": "00"},
        TypeError,
        "`origin` must be two integers (row, column) from -10**9 to 10**9, got '00'.",
    ),
    "stderr of another shape": ({"stderr": 1.0}, ValueError, "`stderr` must have shape (1, 1), got ()."),
    "negative stderr": ({"stderr": [[-1]]}, ValueError, "`stderr` must not be negative, got [[-1]]."),
    "stderr text": (
        {"stderr": [["1"]]},
        TypeError,
        "`stderr` must hold real numbers of at most 64 bits, got dtype <U1.",
    ),
    "rank 1.5": ({"rank": 1.5}, ValueError, "`rank` must be a whole number, got 1.5."),
    "used text": ({"used": "x"}, TypeError, "`used` must count pixels, got 'x'."),
    "negative used": ({"used": -1}, TypeError, "`used` must count pixels, got -1."),
    "left_out list": ({"left_out": [1]}, TypeError, "`left_out` must be a dict, got [1]."),
    "left_out text": ({"left_out": {"a": "b"}}, TypeError, "`left_out` must count pixels, got 'b'."),
    "notes text": ({"notes": "abc"}, TypeError, "`notes` must be texts, got 'abc'."),
    "notes number": ({"notes": [1]}, TypeError, "`notes` must hold texts, got 1."),
    "provenance": ({"provenance": {"a": 1}}, TypeError, "`provenance` must hold texts, got 1."),
    "verdict": ({"verdict": 1}, TypeError, "`verdict` must hold texts, got 1."),
    "measures alone": (
        {"measures": {"sum": 1.0}},
        TypeError,
        "`measures` must hold (value, standard error) of 'sum', got 1.0.",
    ),
    "evidence text": (
        {"evidence": {"residual": "much"}},
        TypeError,
        "`evidence` must hold numbers, got 'much' of 'residual'.",
    ),
    "curve of one point": (
        {"curve": [[0.0, 1.0]]},
        ValueError,
        "`curve` must be finite and of shape (n, 2), n at least 2, got (1, 2).",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_field_text(case):
    given, error, text = BAD[case]
    with pytest.raises(error) as caught:
        Kernel(**{"weights": [[1.0]]} | given)
    assert str(caught.value) == text


# Printed


def test_repr_by_hand():
    assert repr(Kernel([[1, -1]])) == "Kernel 1 × 2\n   1   -1\n  bias 0"


def test_repr_of_a_learned_kernel():
    kernel = Kernel(
        [[0, 1, 0], [1, -4.00012, 1], [0, 1, 0.5]],
        bias=-0.25,
        stderr=np.full((3, 3), 0.003),
        bias_stderr=0.02,
        rmse=0.1,
        noise=0.125,
        r2=0.99954,
        used=12345,
        left_out={"masked": 0, "clipped low": 55},
        condition=84.16,
        rank=9,
        notes=("one", "two"),
    )
    assert repr(kernel) == (
        "Kernel 3 × 3\n"
        "        0 ± 0.003         1 ± 0.003         0 ± 0.003\n"
        "        1 ± 0.003   -4.0001 ± 0.003         1 ± 0.003\n"
        "        0 ± 0.003         1 ± 0.003       0.5 ± 0.003\n"
        "  bias -0.25 ± 0.02\n"
        "  noise 0.125, R² 0.999540, condition 84.2\n"
        "from 12,345 pixels; left out: 55 clipped low (0.4 %)\n"
        "note: one\n"
        "note: two"
    )


def test_repr_of_what_is_untold():
    kernel = Kernel(
        [[0.0, 1 / 3]],
        stderr=[[np.inf, 0.25]],
        bias_stderr=np.inf,
        noise=np.inf,
        r2=np.nan,
        condition=np.inf,
        used=2,
    )
    assert repr(kernel) == (
        "Kernel 1 × 2\n"
        "       0 ± ∞   0.33 ± 0.2\n"
        "  bias 0 ± ∞\n"
        "  noise inf, R² unknown, condition inf\n"
        "from 2 pixels; none left out"
    )


def test_repr_of_a_large_kernel_shows_the_middle():
    row = "  " + "   ".join(["1"] * 9) + "\n"
    kernel = Kernel(np.ones((15, 15)), stderr=np.full((15, 15), 0.01))
    assert repr(kernel) == (
        f"Kernel 15 × 15\n{row * 9}  (the 9 × 9 weights in the middle)\n  each ± 0.01 to 0.01\n  bias 0"
    )
    assert "some ± ∞" in repr(Kernel(np.ones((15, 15)), stderr=np.full((15, 15), np.inf)))


def test_repr_by_channel():
    kernel = Kernel([[[1, 2]], [[3, 4]]], bias=[0, 5], noise=[1, 2], r2=[0.5, np.nan], notes=["so"])
    assert repr(kernel) == (
        "Kernel 1 × 2, one for each of 2 channels\n"
        "channel 0\n  1   2\n  bias 0\n  noise 1, R² 0.5000\n"
        "channel 1\n  3   4\n  bias 5\n  noise 2, R² unknown\n"
        "note: so"
    )


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1e-9, 1e-11, "1e-09 ± 1e-11"),
        (-3.12345e-5, 1e-9, "-3.12345e-05 ± 1e-09"),
        (1e20, 1e18, "1e+20 ± 1e+18"),
        (1e20, 0, "1e+20 ± 0"),
        (2e-14, 1e-13, "0 ± 1e-13"),
        (1e-17, 0, "0 ± 0"),
        (1.0000001, 1e-17, "1 ± 1e-17"),
        (12345.678, 200, "12346 ± 2e+02"),
        (-0.0001, 0.01, "0 ± 0.01"),
    ],
)
def test_digits_are_those_that_the_error_leaves(value, error, text):
    assert f"\n  {text}\n" in repr(Kernel([[value]], stderr=[[error]]))


# Called


@pytest.mark.parametrize("options", PADDINGS, ids=str)
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (2, 5)])
def test_call_is_corr2d_plus_bias(picture, options, size):
    weights = np.random.default_rng(1).standard_normal(size)
    expected = corr2d(picture.astype(float), weights, **options) + 0.75
    np.testing.assert_allclose(Kernel(weights, bias=0.75)(picture, **options), expected, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(
        Kernel(weights, bias=0.75)(picture.astype(float), **options), expected, atol=1e-10
    )


@pytest.mark.parametrize("origin", [(0, 0), (2, 1), (1, 3)])
def test_same_puts_the_origin_on_the_pixel(picture, origin):
    weights = np.zeros((3, 4))
    weights[origin] = 1
    np.testing.assert_array_equal(Kernel(weights, origin=origin)(picture, padding="same"), picture)


# Just outside, across the picture, and beyond all of it.
OUTSIDE = [(-1, 0), (4, 1), (0, 9), (-5, -6), (7, -4), (-20, 3), (1, 30), (-40, 50)]


def shifted_reference(image, kernel, **options):
    """SciPy-like "same" by its formula: out[y, x] = sum of kernel[v, u] * image[y + v - oy, x + u - ox]."""
    (y, x), (kh, kw) = kernel.origin, kernel.size
    padding = (y, kh - 1 - y, x, kw - 1 - x)
    return reference.correlate(image, kernel.weights, padding, **options) + kernel.bias


@pytest.mark.parametrize("origin", OUTSIDE)
@pytest.mark.parametrize("mode", reference.MODES)
def test_an_origin_outside_shifts_the_result(picture, origin, mode):
    options = {"mode": mode, "cval": 7.0 if mode == "constant" else 0.0}
    kernel = Kernel(np.random.default_rng(1).standard_normal((3, 2)), bias=0.5, origin=origin)
    for dtype, atol in (("u1", 2e-3), ("f4", 2e-3), ("f8", 1e-9), (">i2", 2e-3), ("i8", 1e-9)):
        image = picture.astype(dtype)
        expected = shifted_reference(image, kernel, **options).astype(float)
        np.testing.assert_allclose(kernel(image, padding="same", **options), expected, atol=atol)
        by_steps = kernel(image, padding="same", stride=(2, 3), **options)
        np.testing.assert_allclose(by_steps, expected[::2, ::3], atol=atol)
    rounded = kernel(picture, padding="same", dtype=np.uint8, **options)
    exact = shifted_reference(picture, kernel, **options).astype(float)
    np.testing.assert_array_equal(rounded, np.clip(np.rint(exact), 0, 255))


@pytest.mark.parametrize("algorithm", ["direct", "separable", "fft"])
@pytest.mark.parametrize("origin", [(-30, 4), (5, 60), (-100, -100)])
def test_every_algorithm_shifts_alike(origin, algorithm):
    rng = np.random.default_rng(0)
    image = rng.standard_normal((70, 45))
    image[20, 30], image[3, 4] = np.nan, np.inf
    kernel = Kernel(np.outer(rng.standard_normal(9), rng.standard_normal(8)), origin=origin)
    for mode in reference.MODES:
        expected = shifted_reference(image, kernel, mode=mode).astype(float)
        result = kernel(image, padding="same", mode=mode, algorithm=algorithm)
        np.testing.assert_array_equal(np.isfinite(result), np.isfinite(expected))
        seen = np.isfinite(expected)
        np.testing.assert_allclose(result[seen], expected[seen], atol=1e-11)


@pytest.mark.parametrize("origin", OUTSIDE)
def test_an_origin_outside_with_dilation_colours_and_one_row(origin):
    rng = np.random.default_rng(0)
    kernel = Kernel(rng.standard_normal((3, 2)), origin=origin)
    (y, x), image = origin, rng.standard_normal((9, 10))
    expected = reference.correlate(
        image, kernel.weights, (2 * y, 4 - 2 * y, 3 * x, 3 - 3 * x), "reflect", dilation=(2, 3)
    )
    result = kernel(image, padding="same", mode="reflect", dilation=(2, 3))
    np.testing.assert_allclose(result, expected.astype(float), atol=1e-12)
    colours = rng.standard_normal((1, 10, 3))
    for mode in reference.MODES:
        found = kernel(colours, padding="same", mode=mode, channel_axis=-1)
        for c in range(3):
            expected = shifted_reference(colours[..., c], kernel, mode=mode).astype(float)
            np.testing.assert_allclose(found[..., c], expected, atol=1e-12)
    empty = kernel(np.zeros((0, 5)), padding="same")
    assert empty.shape == (0, 5)


def test_the_furthest_origin_still_has_an_answer(picture):
    far = Kernel([[1.0]], bias=2, origin=(10**9, -(10**9)))
    np.testing.assert_array_equal(far(picture, padding="same", cval=3), 5)
    corner = far(picture, padding="same", mode="nearest")
    np.testing.assert_array_equal(corner, picture[0, -1] + 2.0)


def test_a_negative_padding_is_still_refused(picture):
    with pytest.raises(ValueError, match="none negative"):
        Kernel([[1.0]])(picture, padding=(-1, 1, 0, 0))


def test_repr_of_a_shifted_kernel():
    assert repr(Kernel([[1, -1]], origin=(3, 0))) == (
        "Kernel 1 × 2\n   1   -1\n  bias 0\nshifted: 3 rows down, 1 column left; origin (3, 0)"
    )
    assert "shifted: 1 row up; origin (0, 1)" in repr(Kernel(np.ones((3, 3)), origin=(0, 1)))
    assert "shifted: 2 columns right; origin (1, 3)" in repr(Kernel(np.ones((3, 3)), origin=(1, 3)))


def test_repr_of_an_even_kernel_says_which_of_the_two_in_the_middle_the_origin_is():
    assert repr(Kernel([[1, -1]], origin=(0, 0))).endswith("\n  bias 0\norigin (0, 0)")
    assert repr(Kernel([[1, -1]], origin=(0, 1))).endswith("\n  bias 0")
    assert "shifted: 1 column right; origin (0, 2)" in repr(Kernel([[1, -1]], origin=(0, 2)))


def test_integer_result_is_rounded_after_the_bias():
    assert Kernel([[1.0]], bias=0.4)([[0.3]], dtype=np.uint8) == 1
    assert Kernel([[1.0]], bias=-300)([[5]], dtype=np.uint8) == 0


def test_out_is_written(picture):
    out = np.empty((10, 11))
    kernel = Kernel(np.ones((3, 3)), bias=2)
    assert kernel(picture, out=out, dtype=float) is out
    np.testing.assert_array_equal(out, kernel(picture))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_kernel_with_channels_filters_each(axis):
    image = np.random.default_rng(0).standard_normal((2, 8, 9))
    kernel = Kernel(np.random.default_rng(1).standard_normal((2, 3, 3)), bias=[1, 2])
    expected = [corr2d(plane, w) + b for plane, w, b in zip(image, kernel.weights, kernel.bias, strict=True)]
    result = kernel(np.moveaxis(image, 0, axis), channel_axis=axis)
    np.testing.assert_allclose(np.moveaxis(result, axis, 0), expected, atol=1e-12)


def test_one_kernel_filters_every_channel():
    image = np.random.default_rng(0).standard_normal((8, 9, 3))
    kernel = Kernel(np.ones((3, 3)), bias=1)
    np.testing.assert_allclose(kernel(image, channel_axis=-1)[..., 1], kernel(image[..., 1]))


@pytest.mark.parametrize(
    ("image", "options", "text"),
    [
        (
            np.ones((2, 8, 8)),
            {},
            "`channel_axis` must say where the colours are: this kernel has 2 channels.",
        ),
        (
            np.ones((3, 8, 8)),
            {"channel_axis": 0},
            "`image` must have 2 channels, as the kernel has, got 3.",
        ),
        (
            np.ones((2, 8, 8)),
            {"channel_axis": 0, "out": np.ones((2, 6, 6))},
            "`out` is for kernels without channels. Leave it out.",
        ),
    ],
)
def test_channel_error_text(image, options, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
        Kernel(np.ones((2, 3, 3)), bias=[0, 0])(image, **options)
    assert str(caught.value) == text


def test_a_learned_kernel_repeats_the_change(picture):
    after = corr2d(picture.astype(float), [[1, 2], [3, -4]]) + 5
    np.testing.assert_allclose(learn(picture, after)(picture.astype(float)), after, atol=1e-10)


# Saved and read back


def bits(kernel):
    names = ("weights", "bias", "stderr", "bias_stderr", "rmse", "noise", "r2", "condition", "rank")
    return [None if getattr(kernel, n) is None else np.asarray(getattr(kernel, n)).tobytes() for n in names]


@pytest.mark.parametrize(
    "kernel",
    [
        Kernel([[1, -1]]),
        Kernel([[0.1, 1 / 3, -1e-300]], bias=2**-1074, origin=(0, 2), **FIGURES),
        Kernel([[1, 2]], origin=(-(10**9), 10**9)),
        Kernel(
            np.random.default_rng(0).standard_normal((3, 2, 2)),
            bias=[1, 2, 3],
            stderr=np.full((3, 2, 2), np.inf),
            noise=[1, np.inf, 3],
            r2=[1, np.nan, 0],
            condition=[1, 2, np.inf],
            rank=[4, 4, 3],
        ),
        learn(np.arange(40.0).reshape(5, 8) ** 2, np.full((5, 8), 3.0), size=2),
        learn([[1.0, 2.0]], [[1.0, 3.0]], size=1),
        Kernel([[1]], provenance={"before": os.fsdecode(b"caf\xe9.png")}),
    ],
    ids=["by hand", "every figure", "far origin", "channels", "constant after", "two pixels", "surrogates"],
)
def test_round_trip_keeps_every_bit(kernel, tmp_path):
    path = tmp_path / "kernel.json"
    kernel.save(path)
    loaded = Kernel.load(path)
    assert bits(loaded) == bits(kernel)
    assert loaded == kernel
    assert repr(loaded) == repr(kernel)
    assert (loaded.origin, loaded.used, loaded.left_out) == (kernel.origin, kernel.used, kernel.left_out)
    assert (loaded.notes, loaded.provenance) == (kernel.notes, kernel.provenance)


def test_file_can_be_read_by_a_person(tmp_path):
    path = tmp_path / "kernel.json"
    Kernel([[1, 2], [3, 4]], r2=np.nan, notes=["größer", "b"], provenance={"a": "b"}).save(path)
    assert path.read_text(encoding="utf-8") == (
        '{\n  "format": "corr2d kernel",\n  "version": 1,\n  "convention": "cross-correlation",\n'
        '  "weights": [\n    [1.0, 2.0],\n    [3.0, 4.0]\n  ],\n  "bias": 0.0,\n  "origin": [1, 1],\n'
        '  "r2": null,\n'
        '  "left_out": {},\n  "notes": [\n    "größer",\n    "b"\n  ],\n  "provenance": {"a": "b"}\n}\n'
    )


HEAD = {"format": "corr2d kernel", "version": 1, "convention": "cross-correlation"}


def test_smallest_file_written_by_hand(tmp_path):
    path = tmp_path / "kernel.json"
    path.write_text(json.dumps(HEAD | {"weights": [[1, 2]]}))
    assert Kernel.load(path) == Kernel([[1, 2]])


def written(**changes):
    values = HEAD | {"weights": [[1, 2]]} | changes
    return json.dumps({key: value for key, value in values.items() if value != "missing"}).encode()


HINT = " A kernel of a true convolution must be turned by 180 degrees."
KEYS = "background, bias, bias_stderr, condition, curve, errors, evidence, family, left_out, measures, name, "
KEYS += (
    "noise, notes, origin, parameters, provenance, r2, rank, response_stderr, rmse, stderr, used, verdict, "
)
KEYS += "weights"
NUMBERS = "must hold real numbers of at most 64 bits, got dtype"
FILES = {
    "empty": (b"", "Expecting value: line 1 column 1 (char 0)"),
    "no JSON": (b"weights = 1", "Expecting value: line 1 column 1 (char 0)"),
    "cut off": (written()[:-5], None),
    "no UTF-8": (b"\xff\xfe{}", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    "a list": (b"[1]", "it must hold one JSON object."),
    "a number": (b"1", "it must hold one JSON object."),
    "null": (b"null", "it must hold one JSON object."),
    "nested": (b"[" * 100_000, None),
    "nested weights": (
        written(weights=0).replace(b'"weights": 0', b'"weights": ' + b"[" * 300 + b"]" * 300),
        None,
    ),
    "wrong format": (written(format="x"), '"format" must be "corr2d kernel".'),
    "no format": (written(format="missing"), '"format" must be "corr2d kernel".'),
    "version 2": (written(version=2), '"version" must be 1.'),
    "version text": (written(version="1"), '"version" must be 1.'),
    "no version": (written(version="missing"), '"version" must be 1.'),
    "convolution": (written(convention="convolution"), f'"convention" must be "cross-correlation".{HINT}'),
    "no convention": (written(convention="missing"), f'"convention" must be "cross-correlation".{HINT}'),
    "no weights": (written(weights="missing"), '"weights" is missing.'),
    "null weights": (written(weights=None), '"weights" is missing.'),
    "unknown key": (written(wieghts=1), f"unknown key 'wieghts'; the keys are {KEYS}."),
    "duplicate key": (written()[:-1] + b', "version": 1}', "a key stands twice."),
    "duplicate key inside": (written()[:-1] + b', "left_out": {"a": 1, "a": 2}}', "a key stands twice."),
    "NaN": (written(bias=float("nan")), "NaN is not a number that a kernel can hold."),
    "Infinity": (written(weights=[[float("inf")]]), "Infinity is not a number that a kernel can hold."),
    "-Infinity": (written(r2=-float("inf")), "-Infinity is not a number that a kernel can hold."),
    "1e999": (written().replace(b"[1,", b"[1e999,"), "1e999 is not a number that a kernel can hold."),
    "1e999 in a figure": (
        written(stderr=[[0, 1]]).replace(b"[0,", b"[-1e999,"),
        "-1e999 is not a number that a kernel can hold.",
    ),
    "an integer of 400 digits": (written(weights=[[10**400]]), f"`weights` {NUMBERS} object."),
    "an integer of 5000 digits": (written().replace(b"[1,", b"[" + b"1" * 5000 + b","), None),
    "ragged": (written(weights=[[1], [2, 3]]), None),
    "texts": (written(weights=[["1", "2"]]), f"`weights` {NUMBERS} <U1."),
    "null weight": (written(weights=[[None, 1]]), f"`weights` {NUMBERS} object."),
    "a dict for weights": (written(weights={"a": 1}), f"`weights` {NUMBERS} object."),
    "no weight": (
        written(weights=[[]]),
        "`weights` must have two axes (kh, kw), neither empty, got shape (1, 0).",
    ),
    "bias text": (written(bias="0.5"), f"`bias` {NUMBERS} <U3."),
    "bias list": (written(bias=[1]), "`bias` must be finite and of shape (), one for each kernel, got [1]."),
    "stderr texts": (written(stderr=[["1", "2"]]), f"`stderr` {NUMBERS} <U1."),
    "stderr of another shape": (written(stderr=[[1]]), "`stderr` must have shape (1, 2), got (1, 1)."),
    "origin": (
        written(origin=[0, 1e9]),
        "`origin` must be two integers (row, column) from -10**9 to 10**9, got [0, 1000000000.0].",
    ),
    "used": (written(used="many"), "`used` must count pixels, got 'many'."),
    "notes": (written(notes="many"), "`notes` must be texts, got 'many'."),
    "provenance": (written(provenance={"a": {}}), "`provenance` must hold texts, got {}."),
    "rank": (written(rank=None), "`rank` must be a whole number, got nan."),
}


@pytest.mark.parametrize("case", FILES)
def test_refusal_of_a_file(case, tmp_path):
    content, reason = FILES[case]
    path = tmp_path / "kernel.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a kernel file") as caught:
        Kernel.load(path)
    head = f"{os.fspath(path)!r} is not a kernel file that corr2d can read: "
    assert str(caught.value).startswith(head)
    assert reason is None or str(caught.value) == head + reason


def test_a_huge_file_is_refused_unread(tmp_path):
    path = tmp_path / "kernel.json"
    with open(path, "wb") as file:
        file.truncate(2_000_000_000)  # what 10**9 weights take
    with pytest.raises(ValueError, match="at most") as caught:
        Kernel.load(path)
    assert str(caught.value) == f"{os.fspath(path)!r} must be at most 64 MB to be a kernel file."


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(FileNotFoundError):
        Kernel.load(tmp_path / "none.json")
    with pytest.raises(IsADirectoryError):
        Kernel.load(tmp_path)
    with pytest.raises(IsADirectoryError):
        Kernel([[1]]).save(tmp_path)


def test_a_pipe_is_refused_unread(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="a pipe or a socket"):
        Kernel.load(tmp_path / "pipe")


def test_a_crash_while_saving_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "kernel.json"
    Kernel([[1]]).save(path)

    def no_space(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        Kernel([[2]]).save(path)
    monkeypatch.undo()
    assert Kernel.load(path) == Kernel([[1]])
    assert os.listdir(tmp_path) == ["kernel.json"]


def test_loading_executes_nothing(tmp_path):
    touched = tmp_path / "touched"
    path = tmp_path / "kernel.json"
    for content in (
        f"__import__('os').mkdir({os.fspath(touched)!r})".encode(),
        b"cposix\nmkdir\n(V" + os.fsencode(touched) + b"\ntR.",  # a pickle that makes a folder
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is not a kernel file"):
            Kernel.load(path)
        assert not touched.exists()


def test_from_dict_is_the_inverse_of_to_dict():
    kernel = Kernel([[0.1, 2, 3]], **FIGURES)
    values = kernel.to_dict()
    assert Kernel.from_dict(values) == kernel
    assert values == kernel.to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    with pytest.raises(ValueError, match='"format" must be "corr2d kernel"'):
        Kernel.from_dict({})
