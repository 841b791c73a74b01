"""What is said of a kernel in plain sentences."""

import re

import numpy as np
import pytest

from corr2d import Kernel, corr2d, learn

rng = np.random.default_rng(20261122)
BOX = np.full((3, 3), 1 / 9)
LEARNED = {"weights": BOX, "stderr": np.full((3, 3), 1e-4), "r2": 0.999, "rmse": 0.3, "used": 1000}


def said_of(**figures):
    return Kernel(**(LEARNED | figures)).explain()


def test_the_whole_of_a_learned_kernel():
    before = rng.integers(0, 256, (60, 60)).astype(float)
    noise = np.random.default_rng(1).standard_normal(before.shape)
    after = corr2d(before, BOX, padding="same", dtype="float64") + noise
    before[10, 10] = np.nan
    text = learn(before, after, size=3).explain()
    first, sure, left_out, next_step = text.split("\n\n")
    assert first.startswith(("The kernel", "What turned `before` into `after` is a convolution"))
    assert re.search(r"It keeps the brightness \(its weights add up to \S+ ± \S+\)\. Fine detail", first)
    assert sure.startswith("It explains 99.")
    assert re.search(r"Its weights are right to ± 0\.000\d, 0\.\d % of the largest", sure)
    assert left_out == "3,355 pixels count; 0.27 % were left out: 9 not finite."
    assert next_step == "Run it on other pictures with `corr2d apply`, or by calling it."


@pytest.mark.parametrize(
    ("weights", "bias", "words"),
    [
        (BOX, 0.0, "It keeps the brightness (its weights add up to 1). Fine detail is weakened to"),
        ([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], 0.0, "Fine detail is strengthened 6.4 times."),
        ([[1.0]], 0.0, "(its weights add up to 1). Fine detail stays as strong as it is."),
        (
            [[0.5]],
            20.0,
            "It multiplies the brightness by 0.5 and adds 20. Fine detail stays as strong as it is,",
        ),
        ([[-1.0]], 255.0, "It multiplies the brightness by -1 and adds 255."),
        (
            [[1.0, -1.0]],
            128.0,
            "It answers to changes alone: an even area becomes 128, whatever its brightness.",
        ),
        ([[0.0]], 7.0, "It makes the same of any picture: 7."),
    ],
)
def test_what_it_does_to_a_picture(weights, bias, words):
    assert words in Kernel(weights, bias=bias).explain()


def test_a_sum_within_its_error_of_one_keeps_the_brightness():
    measures = {"sum": (1.04, 0.05)}
    assert "It keeps the brightness" in said_of(weights=BOX * 1.04, measures=measures)
    assert "It multiplies the brightness by 1.04" in said_of(weights=BOX * 1.04)


def test_a_name_is_said_with_its_parameters():
    text = said_of(name="gaussian", parameters={"sigma": (1.5, 0.01)})
    assert "The kernel, 3 × 3, is this filter: gaussian (sigma 1.5 ± 0.01" in text
    assert "no filter with a name" in said_of(verdict="a convolution")
    assert "no filter with a name" not in said_of()  # perhaps none was looked for


def test_no_name_is_denied_where_the_pair_leaves_taps_open():
    stderr = np.full((3, 3), 1e-4)
    stderr[0] = np.inf
    text = said_of(stderr=stderr, verdict="a convolution")
    assert "no filter with a name" not in text
    assert "3 of its 9 weights are not known" in text
    assert "would tell the rest" in text
    assert "None of its weights is known" in said_of(stderr=np.full((3, 3), np.inf))


@pytest.mark.parametrize(
    ("verdict", "words", "advice"),
    [
        ("a convolution, then rounded", "is a convolution, then rounded.", "Run it on other pictures"),
        ("not a convolution", "is not a convolution: no kernel does it.", "Do not take this kernel"),
        ("the pictures cannot tell", "These pictures cannot tell", "Take larger pictures"),
        ("a convolution that varies across the picture", "varies across the picture.", "`learn_varying`"),
    ],
)
def test_the_verdict_comes_first_and_decides_the_advice(verdict, words, advice):
    paragraphs = said_of(verdict=verdict).split("\n\n")
    assert words in paragraphs[0].split(". ")[0] + "."
    assert paragraphs[-1].startswith(advice)


def test_a_tone_curve_is_part_of_the_advice():
    assert "then put its results through the tone curve" in said_of(curve=[[0, 0], [1, 1]])


def test_large_error_bars_ask_for_more_pixels():
    assert "four times as many halve" in said_of(stderr=np.full((3, 3), 0.05))
    assert "four times as many halve" not in said_of()


def test_exact_weights_are_called_exact():
    assert "Its weights are exact" in said_of(stderr=np.zeros((3, 3)), r2=1.0)
    assert "It explains 100 %" in said_of(r2=1.0)


def test_notes_are_part_of_it():
    assert "Mind this." in said_of(notes=("Mind this.",)).split("\n\n")


@pytest.mark.parametrize("mix", [False, True])
def test_colours_are_summed_up(mix):
    before = rng.random((30, 30, 3))
    after = before + 0.1 * rng.standard_normal(before.shape)
    text = learn(before, after, size=1, channel_axis=-1, per_channel=not mix, mix=mix).explain()
    head = "3 × 3 kernels of 1 × 1: from each colour" if mix else "3 kernels of 1 × 1, one for each colour."
    assert text.startswith(head)
    assert "It explains 8" in text or "It explains 9" in text
