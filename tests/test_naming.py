"""The names of learned kernels: which filter, its parameters, and none where none is told."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, gaussian_laplace
from scipy.optimize import least_squares
from simulations import names as study
from simulations.pairs import crop, filtered, noisy, rounded

from corr2d import Kernel, Moments, corr2d, families, learn
from corr2d.naming.evidence import limit
from corr2d.naming.symmetric import Groups
from corr2d.operators import operators
from corr2d.resampling import bicubic, profile_at, reductions


def pair(kernel, decibels=None, seed=0, side=96):
    rng = np.random.default_rng(seed)
    before = crop(rng, side)
    after = filtered(before, np.asarray(kernel, np.float64))
    return before, after if decibels is None else noisy(rng, after, decibels)


def impulse(size):
    return np.pad([[1.0]], size // 2)


def value(kernel, name):
    return kernel.parameters[name][0]


@pytest.mark.parametrize("operator", operators(), ids=lambda one: f"{one.name}, {one.source}")
def test_every_operator_is_named_in_a_larger_window(operator):
    grey = 128.0 if operator.embosses else 0.0
    before, after = pair(np.pad(operator.taps / 8, 1), 40, side=72)
    k = learn(before, after + grey, size=np.add(operator.taps.shape, 2).tolist())
    assert k.name == operator.name
    gain, error = k.parameters["gain"]
    assert abs(gain - 1 / 8) < 6 * error
    for figure, expected in operator.parameters.items():
        assert value(k, figure) == pytest.approx(expected, abs=0.01)


FILTERS = [
    ("identity", 5, impulse(5), {"gain": 1}),
    ("shift", 7, np.roll(impulse(7), (2, -1), (0, 1)), {"down": -2, "right": 1}),
    ("box", 7, np.pad(np.full((3, 5), 1 / 15), ((2, 2), (1, 1))), {"height": 3, "width": 5}),
    ("box", 4, np.pad(np.full((2, 2), 1 / 4), 1), {"height": 2, "width": 2}),
    ("box", 9, families.box((9, 9), 3.3, 4.7), {"height": 3.3, "width": 4.7}),
    ("gaussian", 13, gaussian_filter(impulse(13), 1.3), {"sigma": 1.3}),
    ("gaussian", 9, gaussian_filter(impulse(9), 2, radius=2), {"sigma": 2}),
    ("gaussian", 3, families.gaussian((3, 3), 0.6, 0.6), {"sigma": 0.6}),
    (
        "gaussian",
        13,
        families.gaussian((13, 13), 1.9, 1.1, -30),
        {"sigma_long": 1.9, "sigma_short": 1.1, "angle": -30},
    ),
    ("disk", 9, families.disk((9, 9), 3.2), {"radius": 3.2}),
    ("motion", 11, families.motion((11, 11), 7.5, 25), {"length": 7.5, "angle": 25}),
    ("motion", 9, families.motion((9, 9), 7, 90), {"length": 7, "angle": 90}),
    ("laplacian of gaussian", 13, gaussian_laplace(impulse(13), 1.2), {"sigma": 1.2}),
    (
        "derivative of a gaussian, order 1 in x",
        13,
        gaussian_filter(impulse(13), 1.1, order=(0, 1))[:, ::-1],
        {"sigma": 1.1},
    ),
    (
        "unsharp mask",
        11,
        2.5 * impulse(11) - 1.5 * gaussian_filter(impulse(11), 1.2),
        {"sigma": 1.2, "amount": 1.5},
    ),
    ("sharpen, 8 neighbours", 5, np.pad([[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]], 1), {"amount": 1}),
    (
        "shift, bicubic",
        9,
        np.outer(profile_at(bicubic, 9, 4.3), profile_at(bicubic, 9, 3.8)),
        {"down": -0.3, "right": 0.2},
    ),
]  # fmt: skip


@pytest.mark.parametrize("decibels", [None, 40])
@pytest.mark.parametrize(
    ("name", "size", "taps", "figures"), FILTERS, ids=lambda x: x if isinstance(x, str) else ""
)
def test_filters_with_parameters_are_named_with_them(name, size, taps, figures, decibels):
    k = learn(*pair(taps, decibels), size=size)
    assert k.name == name
    for figure, expected in figures.items():
        found, error = k.parameters[figure]
        assert abs(found - expected) <= 5 * error + 1e-6


@pytest.mark.parametrize(("step", "most"), [((2, 2), 8), ((3, 3), 11), ((2, 3), 5)])
def test_reductions_are_named(step, most):
    for name, taps in reductions(step):
        if max(taps.shape) > most or "not anti-aliased" in name:
            continue
        size = tuple(k + 2 for k in taps.shape)
        wide = np.zeros(size)
        top, left = (k // 2 + (s - n) // 2 for k, s, n in zip(size, step, taps.shape, strict=True))
        if taps.size == 1:
            top, left = (k // 2 for k in size)
        wide[top : top + taps.shape[0], left : left + taps.shape[1]] = taps
        before, after = pair(wide, side=144)
        assert learn(before, after[:: step[0], :: step[1]], size=size, stride=step).name == name


def test_sigma_and_its_error_bar_are_those_of_a_general_purpose_solver():
    size = (7, 7)
    before, after = pair(families.gaussian(size, 1.1, 1.1), 30)
    k = learn(before, after, size=size)
    windows = np.lib.stride_tricks.sliding_window_view(before, size).reshape(-1, 49)
    target = after[3:-3, 3:-3].ravel()
    windows, target = windows - windows.mean(axis=0), target - target.mean()

    def residual(unknowns):
        return windows @ (unknowns[0] * families.gaussian(size, unknowns[1], unknowns[1]).ravel()) - target

    found = least_squares(residual, [1, 1.1], xtol=1e-14, ftol=1e-14, gtol=1e-14)
    assert (value(k, "gain"), value(k, "sigma")) == pytest.approx(found.x, rel=1e-6)
    errors = np.sqrt(np.diag(np.linalg.inv(found.jac.T @ found.jac))) * k.noise
    assert (k.parameters["gain"][1], k.parameters["sigma"][1]) == pytest.approx(errors, rel=1e-4)


def test_eight_bits_and_fixed_point_keep_their_name():
    before, _ = pair(impulse(3), side=256)
    profile = np.rint(256 * families.gaussian((1, 11), 1.4, 1.4)[0])
    after = rounded(filtered(before, np.outer(profile, profile) / profile.sum() ** 2))
    k = learn(before.astype(np.uint8), after, size=11)
    assert k.name == "gaussian"
    assert value(k, "sigma") == pytest.approx(1.4, abs=0.03)


def test_grey_that_is_added_makes_an_emboss_of_an_edge():
    taps = [[-1, -1, 0], [-1, 0, 1], [0, 1, 1]]
    before, after = pair(taps, 40)
    assert learn(before, after, size=3).name == "prewitt down the diagonal"
    k = learn(before, after + 128, size=3)
    assert k.name == "emboss, down and right"
    assert value(k, "grey") == pytest.approx(128, abs=2)


def test_a_shift_that_was_found_before_goes_into_the_name():
    before, _ = pair(impulse(3))
    k = learn(before, np.roll(before, (3, -5), (0, 1)), shift=(3, -5), size=3)
    assert k.name == "shift"
    assert (k.parameters["down"], k.parameters["right"]) == ((3, 0), (-5, 0))
    blurred = np.roll(gaussian_filter(before, 0.8, radius=2), (3, -5), (0, 1))
    k = learn(before, blurred, shift=(3, -5), size=7)
    assert k.name == "gaussian"
    assert (k.parameters["down"], k.parameters["right"]) == ((3, 0), (-5, 0))


def test_channels_share_a_name_and_have_their_own_parameters():
    before, _ = pair(impulse(3))
    colours = np.stack([before, before[::-1]], axis=-1)
    after = np.stack(
        [gaussian_filter(colours[..., c], s, radius=3) for c, s in enumerate((0.8, 1.1))], axis=-1
    )
    k = learn(colours, after, channel_axis=-1, per_channel=True, size=7)
    assert k.name == "gaussian"
    assert value(k, "sigma") == pytest.approx([0.8, 1.1], abs=1e-6)
    after[..., 1] = colours[..., 1]
    k = learn(colours, after, channel_axis=-1, per_channel=True, size=7)
    assert (k.name, k.parameters) == (None, None)


def test_what_the_pair_does_not_tell_has_no_name():
    stripes = np.tile(np.random.default_rng(0).standard_normal(64), (64, 1))
    assert learn(stripes, stripes, size=3).name is None
    assert learn(np.ones((20, 20)), np.ones((20, 20)), size=3).name is None
    noise = np.random.default_rng(1).standard_normal((2, 40, 40))
    assert learn(*noise, size=3).name is None
    before, after = pair(np.full((3, 3), 1 / 9), -20)
    assert learn(before, after, size=9).name is None


def test_two_taps_say_too_little_to_be_a_shift():
    before, after = pair([[0.3, 0.7]])
    assert learn(before, after, size=(1, 2)).name is None
    before, after = pair([[-1, 1]])
    assert learn(before, after, size=(1, 2)).name == "forward difference in x"


def test_one_pixel_and_one_row():
    before, after = pair([[0.5]])
    assert learn(before, after, size=1).parameters["gain"][0] == pytest.approx(0.5)
    assert (
        learn(before[:1], gaussian_filter(before[:1], (0, 0.7), radius=(0, 3)), size=(1, 7)).name
        == "gaussian"
    )


def test_fits_of_a_family_keep_their_parameters_and_penalties_their_name():
    before, after = pair(families.gaussian((7, 7), 1.2, 1.2), 40)
    k = learn(before, after, size=7, family="gaussian")
    assert k.name is None
    assert "center_y" in k.parameters
    for constraint in ({"sum": 1.0}, {"ridge": 1e-9}, {"symmetric": "4-fold"}, {"nonnegative": True}):
        assert learn(before, after, size=7, **constraint).name == "gaussian"
    assert learn(before, after, size=7, ridge=10.0).name is None  # it is not what these weights are


def test_a_name_is_printed_saved_and_read(tmp_path):
    k = learn(*pair(families.gaussian((7, 7), 1.2, 1.2), 30), size=7)
    first, second = repr(k).splitlines()[1:3]
    assert first.startswith("  this is: gaussian, sigma 1.2")
    assert first.endswith(" px")
    assert second.startswith("  gain ")
    k.save(tmp_path / "k.json")
    assert Kernel.load(tmp_path / "k.json") == k


def test_groups_put_back_what_they_sum():
    for symmetry, taps in (("square", 6), ("rectangle", 9), ("half turn", 13)):
        groups = Groups.of((5, 5), (2.0, 2.0), symmetry)
        assert groups.count == taps
        numbers = np.arange(1.0, taps + 1)
        spread = groups.spread(numbers)
        np.testing.assert_allclose(groups.summed(spread), numbers * groups.counts)
        np.testing.assert_array_equal(spread, spread[::-1])
    odd = Groups.of((3, 5), (1.0, 2.0), "odd in x")
    taps = odd.spread(np.arange(1.0, odd.count + 1)).reshape(3, 5)
    np.testing.assert_array_equal(taps, -taps[:, ::-1])


def test_the_limit_is_that_of_chi_squared():
    draws = np.random.default_rng(0).chisquare(20, 200_000)
    assert np.mean(draws > limit(20)) == pytest.approx(1e-3, rel=0.25)


def test_moments_name_as_learn_does():
    before, after = pair(families.disk((7, 7), 2.4), 40)
    assert Moments.of(before, after, size=7).solve().name == learn(before, after, size=7).name == "disk"


@pytest.mark.parametrize("kind", study.KINDS)
def test_known_filters_are_named(kind):
    row, _ = study.of_kind(kind, 2)
    assert row["right, %"] == 100


@pytest.mark.parametrize("kind", study.RANDOM)
def test_random_kernels_are_not(kind):
    assert study.random_names(kind, 4)["with a name"] == 0


def test_a_named_kernel_runs_as_any_other():
    before, after = pair(families.box((3, 3), 3, 3))
    k = learn(before, after, size=3)
    np.testing.assert_allclose(k(before), corr2d(before, k.weights) + k.bias)


def test_no_name_is_looked_for_without_examination():
    before = np.random.default_rng(5).integers(0, 200, (40, 50)).astype(float)
    after = corr2d(before, [[1.0, 0.0, -1.0]], padding="same")
    assert learn(before, after, size=3).name is not None
    assert learn(before, after, size=3, examine=False).name is None
