"""Kernels of a known form, against a general-purpose solver on the explicit matrix of patches."""

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.optimize import least_squares

from corr2d import Kernel, Moments, corr2d, families, learn
from corr2d.solve import solve
from corr2d.solve.family import FAMILIES

SHAPES = [
    ("gaussian", (9, 9), (1.6, 1.0, 30, 0.3, -0.2)),
    ("gaussian", (9, 9), (1.3, 1.3, 0, 0, 0)),
    ("gaussian", (6, 11), (1.5, 0.7, 5, -0.3, 0.4)),
    (
        "gaussian",
        (1, 9),
        (1.2, 0.4, 0, 0, 0.3),
    ),  # of one row: its width is `sigma_long`, nothing else is told
    ("box", (5, 5), (3, 3, 0, 0)),
    ("box", (9, 9), (3.3, 4.7, 0.3, -0.6)),
    ("box", (4, 6), (2, 4, -0.5, -0.5)),
    ("box", (3, 3), (3, 3, 0, 0)),
    ("disk", (9, 9), (2.5, 0, 0)),
    ("disk", (8, 9), (3.1, 0.2, 0.3)),
    ("motion", (9, 9), (7, 0, 0, 0)),
    ("motion", (9, 9), (5, 90, 0, 0)),
    ("motion", (15, 15), (11, -70, 0.3, 0.2)),
    ("motion", (9, 8), (6.3, 33, 0.1, -0.4)),
    ("box", (5, 3), (3, 1, 0, 0)),  # whole pixels, where a step runs along a crease
    ("box", (7, 5), (3, 1, 0, -1)),
    ("gaussian", (1, 5), (0.35, 0.2, 0, 0, 0.3)),
    ("gaussian", (9, 1), (1.9, 0.4, 90, 0.3, 0)),
]


def noisy_pair(kernel, noise=0.2, seed=0, shape=(50, 60)):
    rng = np.random.default_rng(seed)
    before = 10 * gaussian_filter(rng.standard_normal(shape), 0.8) + 3
    after = corr2d(before, kernel) + 0.7
    return before, after + noise * rng.standard_normal(after.shape)


def shaped(name, size, parameters):
    return getattr(families, name)(size, *parameters)


def compact(before, after, size):
    """Least squares on all patches as one on kh * kw rows: R w against y, and what no w can change."""
    windows = np.lib.stride_tricks.sliding_window_view(before, size).reshape(-1, size[0] * size[1])
    Q, R = np.linalg.qr(windows - windows.mean(axis=0))
    rest = (after - after.mean()).ravel()
    y = Q.T @ rest
    rest = rest - Q @ y
    return R, y, rest @ rest


def difference(name, found, expected):
    """How far parameters are apart; a direction and its opposite are the same."""
    apart = np.abs(np.subtract(found, expected))
    return np.where(np.array(name) == "angle", np.minimum(apart, np.abs(apart - 180)), apart)


@pytest.mark.parametrize(("name", "size", "parameters"), SHAPES, ids=str)
def test_a_noise_free_pair_gives_shape_and_parameters(name, size, parameters):
    kernel = -0.8 * shaped(name, size, parameters)
    ours = learn(*noisy_pair(kernel, noise=0), size=size, family=name)
    np.testing.assert_allclose(ours.weights, kernel, atol=1e-9)
    assert ours.parameters["gain"][0] == pytest.approx(-0.8, abs=1e-9)
    for label, expected in zip((*FAMILIES[name].names, "center_y", "center_x"), parameters, strict=True):
        value, error = ours.parameters[label]
        if np.isfinite(error) and not (label == "angle" and parameters[0] == parameters[1]):
            assert difference(label, value, expected) < 1e-6
    assert np.isfinite(ours.parameters[FAMILIES[name].names[0]][1])
    assert not any("explain" in note for note in ours.notes)


@pytest.mark.parametrize("total", [None, 1.0])
@pytest.mark.parametrize(("name", "size", "parameters"), SHAPES[:2] + SHAPES[5:6] + SHAPES[9:12], ids=str)
def test_the_error_is_as_small_as_scipy_finds_it(name, size, parameters, total):
    kernel = 0.9 * shaped(name, size, parameters)
    kernel += 0.01 * np.random.default_rng(1).standard_normal(size)  # of no family
    before, after = noisy_pair(kernel)
    ours = learn(before, after, size=size, family=name, sum=total)
    R, y, rest = compact(before, after, size)

    def residual(unknowns):
        of_gain, of_shape = (unknowns[0], unknowns[1:]) if total is None else (total, unknowns)
        return R @ (of_gain * shaped(name, size, of_shape).ravel()) - y

    begin = [0.9] if total is None else []
    found = [
        least_squares(residual, [*begin, *np.add(parameters, away)], xtol=1e-14, ftol=1e-14, gtol=1e-14)
        for away in (0.02, 0.2, -0.2)
    ]
    error = 2 * min(one.cost for one in found) + rest
    assert ours.used * ours.rmse**2 <= error * (1 + 1e-7)
    if name in ("gaussian", "disk"):  # where edges of shape and taps meet, SciPy stops before the end
        assert ours.used * ours.rmse**2 >= error * (1 - 1e-9)
    ours_again = gain(ours) * shaped(name, size, [value for value, _ in own(ours)])
    np.testing.assert_allclose(ours.weights, ours_again, atol=1e-12)
    if total is not None:
        assert ours.weights.sum() == pytest.approx(total, abs=1e-13)
        assert ours.parameters["gain"] == (total, 0.0)


def own(kernel):
    return [pair for label, pair in kernel.parameters.items() if label != "gain"]


def gain(kernel):
    return kernel.parameters["gain"][0]


def test_error_bars_are_those_of_the_jacobian():
    size, parameters = (9, 9), (1.6, 1.0, 30, 0.3, -0.2)
    before, after = noisy_pair(shaped("gaussian", size, parameters))
    ours = learn(before, after, size=size, family="gaussian")
    here = np.array([gain(ours), *(value for value, _ in own(ours))])

    def weights(unknowns):
        return unknowns[0] * shaped("gaussian", size, unknowns[1:]).ravel()

    steps = 1e-5 * np.eye(6)
    J = np.column_stack([(weights(here + step) - weights(here - step)) / 2e-5 for step in steps])
    R, _, _ = compact(before, after, size)
    covariance = ours.noise**2 * np.linalg.inv(J.T @ R.T @ R @ J)
    expected = np.sqrt(np.diag(covariance))
    assert ours.parameters["gain"][1] == pytest.approx(expected[0], rel=1e-5)
    np.testing.assert_allclose([error for _, error in own(ours)], expected[1:], rtol=1e-5)
    np.testing.assert_allclose(
        ours.stderr.ravel() ** 2, np.einsum("ij,jk,ik->i", J, covariance, J), rtol=1e-5
    )
    assert ours.rank == 6
    assert ours.noise == pytest.approx(ours.rmse * np.sqrt(ours.used / (ours.used - 7)))


@pytest.mark.parametrize(
    ("name", "size", "parameters"),
    [
        ("gaussian", (7, 7), (1.4, 0.8, 40, 0.2, -0.3)),
        ("box", (6, 7), (2.4, 3.7, 0.1, 0.3)),
        ("disk", (7, 7), (2.2, 0.1, -0.2)),
        ("motion", (7, 7), (4.6, 25, 0.2, -0.1)),
    ],
)
def test_errors_are_as_large_as_their_bars(name, size, parameters):
    kernel, noise = shaped(name, size, parameters), 0.3
    before, clean = noisy_pair(kernel, noise=0, shape=(35, 36))
    rng, errors, of_taps = np.random.default_rng(3), [], []
    for _ in range(12):
        ours = learn(before, clean + rng.normal(0, noise, clean.shape), family=name)
        found = zip(ours.parameters.values(), [*parameters, 1.0], strict=True)
        errors.append([(value - truth) / error for (value, error), truth in found])
        of_taps.append((ours.weights - kernel)[kernel > 0.01] / ours.stderr[kernel > 0.01])
    assert 0.75 < np.sqrt(np.mean(np.square(errors))) < 1.25
    assert 0.75 < np.sqrt(np.mean(np.square(of_taps))) < 1.25


def test_filters_that_everyone_calls_by_name():
    photo = 90 * gaussian_filter(np.random.default_rng(0).standard_normal((120, 130)), 0.7) + 128
    ours = learn(photo, gaussian_filter(photo, 1.3), family="gaussian", size=13)
    for label in ("sigma_long", "sigma_short"):
        assert ours.parameters[label][0] == pytest.approx(1.3, abs=1e-3)  # but for SciPy's cut at 4 sigma
    ours = learn(photo, uniform_filter(photo, (3, 5)), family="box")
    assert ours.size == (5, 5)
    assert ours.parameters["height"][0] == pytest.approx(3, abs=1e-9)
    assert ours.parameters["width"][0] == pytest.approx(5, abs=1e-9)


def test_a_family_that_does_not_explain_the_pair_is_said():
    pair = noisy_pair(shaped("disk", (9, 9), (3, 0, 0)))
    assert learn(*pair, family="disk").notes == ()
    note = learn(*pair, family="gaussian").notes[0]
    free = learn(*pair).noise
    assert note.startswith("The family 'gaussian' does not explain the pair: noise ")
    assert note.endswith(f"with it, {free:.3g} with free taps.")


def test_a_shape_cut_off_by_the_window_is_said():
    pair = noisy_pair(shaped("gaussian", (15, 15), (2, 2, 0, 0, 0)))
    notes = learn(pair[0], np.pad(pair[1], 7), size=7, family="gaussian").notes
    assert any("lies outside the 7 x 7 window: take a larger size." in note for note in notes)
    assert learn(*pair, family="gaussian").notes == ()


# What the pair does not tell


def test_a_shape_within_one_tap_has_no_measures():
    identity = np.zeros((5, 5))
    identity[2, 2] = 1
    ours = learn(*noisy_pair(identity, noise=0), family="box")
    np.testing.assert_allclose(ours.weights, identity, atol=1e-9)
    assert np.isfinite(ours.parameters["gain"][1])
    ours = solve(Moments.of(*noisy_pair(np.ones((1, 1)))[:2], size=1), family="box")
    assert [np.isinf(error) for _, error in own(ours)] == [True] * 4
    assert ours.parameters["gain"][1] < 0.1
    assert ours.notes == (
        "The pair does not tell height, width, center_y, center_x of this box: others fit as well.",
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_flat_pictures_and_stripes(name):
    flat = np.full((20, 22), 7.0)
    for known in ({}, {"sum": 1}):
        ours = learn(flat, 2 * flat, size=3, family=name, **known)
        assert np.isinf(ours.stderr).all()
        assert all(np.isinf(error) for _, error in own(ours))
        assert "constant" in ours.notes[0]
    nothing = learn(np.random.default_rng(0).standard_normal((20, 22)), flat, size=3, family=name)
    np.testing.assert_array_equal(nothing.weights, 0)
    assert nothing.bias == 7
    stripes = np.tile(np.random.default_rng(0).standard_normal(60), (40, 1))
    ours = learn(stripes, corr2d(stripes, families.box((7, 7), 3, 3)), family=name)
    assert np.isfinite(ours.parameters["gain"][1])
    if name == "box":  # of the others, the sides of the window cut off more or less, which tells a little
        np.testing.assert_allclose(ours.weights.sum(axis=0), [0, 0, 1 / 3, 1 / 3, 1 / 3, 0, 0], atol=1e-9)
        assert "sum of each kernel column" in ours.notes[0]
        assert [label for label, (_, error) in ours.parameters.items() if np.isinf(error)] == [
            "height",
            "center_y",
        ]


def test_the_direction_of_a_circle_is_not_told():
    ours = learn(*noisy_pair(shaped("gaussian", (9, 9), (1.3, 1.3, 0, 0, 0)), noise=0.5), family="gaussian")
    assert ours.parameters["angle"][1] > 10
    assert ours.parameters["sigma_long"][1] < 0.1


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 1), (2, 2), (3, 3)])
def test_small_windows_have_an_answer(name, size):
    kernel = np.random.default_rng(0).uniform(0.5, 1, size)
    ours = learn(*noisy_pair(kernel), size=size, family=name)
    plain = learn(*noisy_pair(kernel), size=size)
    assert np.isfinite(ours.weights).all()
    assert ours.rmse >= plain.rmse * (1 - 1e-12)
    if size == (1, 1):
        np.testing.assert_allclose(ours.weights, plain.weights, rtol=1e-12)


def test_fewer_unknowns_need_fewer_pixels():
    kernel = families.disk((5, 5), 1.8)
    before = np.random.default_rng(0).standard_normal((8, 9))  # 20 pixels, 26 unknowns; a disk has 5
    with pytest.raises(ValueError, match="26 unknowns, but only 20 pixels"):
        learn(before, corr2d(before, kernel))
    assert learn(before, corr2d(before, kernel), family="disk").rank <= 4
    with pytest.raises(ValueError, match="5 unknowns, but only 4 pixels"):
        learn(before[:6, :6], corr2d(before[:6, :6], kernel), family="disk")


# Kernels with parameters


def test_parameters_are_saved_and_read_back(tmp_path):
    plain = learn(*noisy_pair(np.arange(9.0).reshape(3, 3)))  # that has no name
    assert plain.parameters is plain.family is None
    assert "parameters" not in plain.to_dict()
    for parameters in ({"radius": (2.0, 0.5)}, {"radius": (2.0, np.inf), "gain": (-1.0, 0.0)}):
        kernel = Kernel([[1, -1]], family="disk", parameters=parameters)
        kernel.save(tmp_path / "k.json")
        assert Kernel.load(tmp_path / "k.json") == kernel
        assert Kernel.load(tmp_path / "k.json").parameters == parameters
        assert kernel != Kernel([[1, -1]], family="disk", parameters={"radius": (2.0, 0.25)})
    text = (tmp_path / "k.json").read_text()
    assert '"parameters": {\n    "radius": [2.0, null],\n    "gain": [-1.0, 0.0]\n  },\n' in text
    written = json.loads(text)
    assert written["parameters"] == {"radius": [2.0, None], "gain": [-1.0, 0.0]}


def test_each_channel_has_its_own(tmp_path):
    before = np.random.default_rng(0).random((2, 50, 60))
    after = np.stack(
        [corr2d(plane, families.disk((7, 7), r)) for plane, r in zip(before, (1.5, 2.5), strict=True)]
    )
    ours = learn(before, after, channel_axis=0, per_channel=True, family="disk")
    np.testing.assert_allclose(ours.parameters["radius"][0], [1.5, 2.5], atol=1e-9)
    ours.save(tmp_path / "k.json")
    assert Kernel.load(tmp_path / "k.json") == ours
    assert "channel 1\n  disk: radius 2.5 ± " in repr(ours)
    with pytest.raises(ValueError, match="read-only"):
        ours.parameters["radius"][0][0] = 3


def test_parameters_are_printed_with_their_units():
    kernel = Kernel(
        [[1]],
        family="motion",
        parameters={
            "length": (4.5678, 0.012),
            "angle": (-30.0, np.inf),
            "center_y": (0.1, 0.02),
            "gain": (1, 0),
        },
    )
    assert repr(kernel).splitlines()[:3] == [
        "Kernel 1 × 1",
        "  motion: length 4.568 ± 0.01 px, angle -30 ± ∞ °",
        "  center_y 0.1 ± 0.02 px, gain 1 ± 0",
    ]


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"parameters": [1]}, TypeError, "`parameters` must be a dict"),
        (
            {"parameters": {"radius": 2.0}},
            TypeError,
            r"must hold \(value, standard error\) of 'radius', got 2.0",
        ),
        ({"parameters": {"radius": (2.0, 1.0, 1.0)}}, TypeError, "must hold"),
        (
            {"parameters": {"radius": (np.nan, 1.0)}},
            ValueError,
            "`parameters` must hold finite values, got nan",
        ),
        (
            {"parameters": {"radius": (None, 1.0)}},
            ValueError,
            "`parameters` must hold finite values, got None",
        ),
        ({"parameters": {"radius": (2.0, -1.0)}}, ValueError, "must not be negative"),
        ({"parameters": {2: (2.0, 1.0)}}, TypeError, "`parameters` must hold texts, got 2"),
        ({"parameters": {"radius": ([2.0], 1.0)}}, ValueError, "`parameters` must have shape"),
        ({"family": 3}, TypeError, "`family` must hold texts, got 3"),
    ],
    ids=str,
)
def test_parameters_that_are_none_are_refused(given, error, words):
    with pytest.raises(error, match=words):
        Kernel([[1]], **given)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (
            {"family": "circle"},
            ValueError,
            "`family` must be one of 'gaussian', 'box', 'disk', 'motion', got 'circle'.",
        ),
        ({"family": 3}, TypeError, "`family` must be one of 'gaussian', 'box', 'disk', 'motion', got 3."),
        (
            {"family": "box", "sum": 0},
            ValueError,
            "A box has taps of one sign, which cannot sum to 0. Leave out `sum` or `family`.",
        ),
        ({"family": "box", "sum": "1"}, TypeError, "`sum` must be a finite number, got '1'."),
        *(
            (
                {"family": "disk"} | other,
                ValueError,
                f"`family` can be combined with `sum`, but not with `{next(iter(other))}`. "
                "Leave out one of them.",
            )
            for other in (
                {"nonnegative": True},
                {"symmetric": "radial"},
                {"support": np.ones((3, 3), bool)},
            )
        ),
    ],
    ids=str,
)
def test_what_has_no_meaning_is_refused(given, error, words):
    with pytest.raises(error) as caught:
        learn(*noisy_pair(np.ones((3, 3))), **given)
    assert str(caught.value) == words
