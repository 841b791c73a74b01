import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from test_correlate import random_image

import corr2d
from corr2d import Plan, _engine, costs, plan
from corr2d.costs import Costs
from corr2d.planning import _factors

F4, F8 = np.dtype("f4"), np.dtype("f8")
PICTURE = np.broadcast_to(np.float32(0), (2048, 2048))
SOBEL = np.outer([1.0, 2.0, 1.0], [-1.0, 0.0, 1.0])


def gaussian(size, sigma):
    line = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * sigma**2))
    return np.outer(line, line) / line.sum() ** 2


def random_kernel(kh, kw, seed=0):
    return np.random.default_rng(seed).standard_normal((kh, kw))


@pytest.fixture
def known_costs(monkeypatch):
    """Costs that hold on any machine."""
    both = Costs(direct=(1.0, 0.1), separable=(2.0, 0.2), fft={32: (2e4, 0), 64: (8e4, 0), 128: (4e5, 0)})
    monkeypatch.setitem(costs.COSTS, _engine.isa, {"float32": both, "float64": both})


@pytest.mark.usefixtures("known_costs")
def test_a_plan_is_printed():
    assert str(plan(PICTURE, np.ones((15, 15)))) == (
        "separable, rank 1, sums in float32: the fastest of 3 that can do it.\n"
        "expected on one thread: direct 98.6 ms, separable 35 ms, fft 65 ms"
    )
    assert str(plan(PICTURE, random_kernel(31, 31))) == (
        "fft, tiles of 128 x 128, sums in float32: the fastest of 2 that can do it.\n"
        "expected on one thread: direct 407 ms, fft 88.6 ms"
    )
    assert str(plan(PICTURE, SOBEL, algorithm="direct")) == "direct, sums in float32: as asked."


@pytest.mark.usefixtures("known_costs")
def test_the_cheapest_is_taken():
    for shape, kernel in (
        ((2048, 2048), np.ones((15, 15))),
        ((500, 600), random_kernel(9, 9)),
        ((300, 300), random_kernel(40, 40)),
        ((3, 64, 64), random_kernel(70, 5)),
        ((2000, 2000), gaussian(5, 1)),
    ):
        found = plan(np.zeros(shape, "f4"), kernel)
        cheapest = min(found.milliseconds, key=found.milliseconds.get)
        nearly = found.milliseconds["direct"] < 1.25 * found.milliseconds[cheapest]
        assert found.algorithm == ("direct" if nearly else cheapest)
        assert found.sums == F4


@pytest.mark.usefixtures("known_costs")
def test_integers_are_separable_where_floats_are_direct_for_the_digits():
    picture, kernel = np.zeros((2048, 2048), "u1"), gaussian(7, 1)
    floats, integers = plan(picture, kernel), plan(picture, kernel, dtype="u1")
    assert floats.milliseconds["direct"] == integers.milliseconds["direct"]
    assert floats.algorithm == "direct"
    assert "nothing else would be clearly faster, and direct has the last digits right" in str(floats)
    assert integers.algorithm == "separable"
    assert "the fastest of 3" in str(integers)


@pytest.mark.parametrize(
    ("kernel", "algorithm"),
    [
        (np.ones((3, 3)), "direct"),
        (random_kernel(3, 3), "direct"),
        (np.ones((1, 1)), "direct"),
        (np.ones((15, 15)), "separable"),
        (gaussian(25, 4), "separable"),
        (random_kernel(31, 31), "fft"),
        (random_kernel(100, 100), "fft"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value.shape),
)
def test_auto_takes_what_is_fast_on_a_large_picture(kernel, algorithm):
    assert plan(PICTURE, kernel).algorithm == algorithm


def test_auto_takes_direct_where_there_is_little_to_do():
    for shape in ((6, 8), (0, 0), (0, 40), (31, 31)):
        found = plan(np.zeros(shape), np.ones((5, 5)))
        assert (found.algorithm, found.milliseconds) == ("direct", {})
        assert found.reason == "the work is too little for anything else to pay."


@pytest.mark.parametrize("algorithm", ["direct", "separable", "fft"])
@pytest.mark.parametrize("shape", [(1, 1), (6, 8), (0, 5), (2, 0, 7), (2000, 2000)])
def test_what_is_asked_for_is_planned(shape, algorithm):
    for kernel in (np.zeros((2, 3)), np.ones((3, 3)), random_kernel(31, 7), random_kernel(7, 31)):
        found = plan(np.zeros(shape), kernel, algorithm=algorithm)
        assert isinstance(found, Plan)
        assert (found.algorithm, found.reason) == (algorithm, "as asked.")
        if algorithm == "separable":
            assert 1 <= found.rank <= min(kernel.shape)
        if algorithm == "fft":
            assert found.tile >= 32


def test_what_is_planned_is_done(monkeypatch):
    planned = []
    choose = corr2d.planning.choose
    monkeypatch.setattr(
        "corr2d.correlate.choose", lambda *a, **o: planned.append(choose(*a, **o)) or planned[-1]
    )
    image = random_image((300, 400), "f4")
    for kernel in (np.ones((15, 15)), random_kernel(31, 31), SOBEL):
        corr2d.corr2d(image, kernel, padding="same")
        assert planned.pop() == plan(image, kernel)


@pytest.mark.parametrize(
    ("dtype", "out", "algorithm", "sums"),
    [
        ("u1", None, "fft", F4),
        ("u1", "u1", "fft", F4),
        ("u2", "u2", "fft", F8),  # whose rounding would be more than a level
        ("u1", "u1", "separable", F4),
        ("u1", "u1", "direct", F4),
        ("f4", "f8", "fft", F8),
        ("f8", "f4", "separable", F8),
    ],
)
def test_the_type_of_the_sums(dtype, out, algorithm, sums):
    assert plan(np.zeros((9, 9), dtype), np.ones((3, 3)), dtype=out, algorithm=algorithm).sums == sums


@pytest.mark.parametrize("row", [[1, 2, 1], [1, 4, 6, 4, 1], [2, 7, 14, 18, 14, 7, 2]])
def test_factors_of_binary_fractions_need_no_second_look(row):
    image, kernel = np.zeros((2048, 2048), np.uint8), np.outer(row, row) / sum(row) ** 2
    ours = plan(image, kernel, dtype=np.uint8, algorithm="separable")
    assert (ours.sums, ours.near_tie) == (np.float32, 0)
    assert plan(image, kernel / 3, dtype=np.uint8, algorithm="separable").near_tie > 0


@pytest.mark.parametrize(("taps", "sums"), [(128, F4), (129, F8)])
def test_rows_of_many_taps_are_summed_in_float64(taps, sums):
    # test_large_kernels_keep_their_digits says why.
    assert plan(PICTURE, np.ones((1, taps)), algorithm="separable").sums == sums
    assert plan(PICTURE, np.ones((taps, 1)), algorithm="separable").sums == F4


def test_a_plan_wants_pictures():
    message = r"^`image` must have at least two axes \(rows, columns\), got shape \(3,\)\.$"
    for algorithm in ("auto", "fft"):
        with pytest.raises(ValueError, match=message):
            plan(np.ones(3), np.ones((3, 3)), algorithm=algorithm)


# Factors


@pytest.mark.parametrize(
    "kernel",
    [SOBEL, np.ones((15, 15)), gaussian(9, 1.5), gaussian(31, 5).astype("f4"), gaussian(9, 1.5).astype("f4"),
     np.ones((1, 9)), np.ones((9, 1)), SOBEL * 1e300, SOBEL * 1e-300, SOBEL * 1e-320],
    ids=lambda kernel: f"{kernel.dtype} {kernel.shape}",
)  # fmt: skip
def test_separable_kernels_are_found_without_being_told(kernel):
    found = plan(PICTURE, kernel, algorithm="separable")
    assert found.rank == 1
    if kernel.dtype == F8:
        assert plan(PICTURE.astype("f8"), kernel, algorithm="separable").rank == 1


def test_others_are_not():
    assert "separable" not in plan(PICTURE, random_kernel(9, 9)).milliseconds
    assert plan(PICTURE, random_kernel(9, 9), algorithm="separable").rank == 9
    assert plan(PICTURE, np.eye(6) * 1e307 * 9, algorithm="separable").rank == 6  # their sum overflows


def test_factors_of_whole_numbers_are_exact():
    for kernel in (SOBEL, np.ones((7, 4)), np.outer([1.0, 4, 6, 4, 1], [1.0, 4, 6, 4, 1])):
        columns, rows = _factors(kernel, F8, 4)
        np.testing.assert_array_equal(columns.T @ rows, kernel)
        assert (columns % 1 == 0).all() or np.abs(columns).max() == 1
        assert (rows % 1 == 0).all()


weights = hnp.arrays(
    "f8",
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.floats(-1e6, 1e6, allow_subnormal=False),
)


@given(weights, st.sampled_from([F4, F8]), st.sampled_from([1.0, 1e-290, 1e290]))
def test_factors_reproduce_any_kernel(kernel, sums, scale):
    kernel = kernel * scale
    columns, rows = _factors(kernel, sums, 1 << 30)
    assert len(columns) == len(rows) <= min(kernel.shape)
    assert columns.dtype == rows.dtype == F8
    off = np.abs(columns.T @ rows - kernel).sum()
    # To the precision of the sums, and the rounding of the factors themselves.
    assert off <= (np.finfo(sums).eps + 20 * kernel.size * np.finfo(F8).eps) * np.abs(kernel).sum() + 1e-320


@given(weights, st.integers(1, 4))
def test_no_more_factors_than_asked_for(kernel, most):
    factors, all_of_them = _factors(kernel, F8, most), _factors(kernel, F8, 1 << 30)
    if len(all_of_them.rows) > most:
        assert factors is None
    else:
        np.testing.assert_array_equal(factors.rows, all_of_them.rows)
