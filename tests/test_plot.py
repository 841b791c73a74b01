"""The picture of a pair."""

import subprocess
import sys

import numpy as np
import pytest

from corr2d import Kernel, corr2d, learn
from corr2d.images import read
from corr2d.plot import draw_pair

rng = np.random.default_rng(8)
KERNEL = np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])


@pytest.mark.parametrize("colours", [(), (3,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_two_rows_of_four_panels_are_drawn(tmp_path, colours, dtype, padding):
    before = (rng.random((40, 60, *colours)) * 200).astype(dtype)
    channel_axis = -1 if colours else None
    after = corr2d(before, KERNEL, padding=padding, channel_axis=channel_axis, dtype=dtype)
    path = tmp_path / "pair.png"
    draw_pair(before, after, learn(before, after, size=3, channel_axis=channel_axis), path)
    pixels = read(path).pixels
    for row in np.array_split(pixels, [len(pixels) - 480]):
        inked = (row[60:].min(axis=(0, 2)) < 250).astype(int)  # columns of the drawing that are not white
        assert np.count_nonzero(np.diff(inked) == 1) >= 4
    assert pixels.shape[1] == 2000


def test_the_residual_says_how_far_off_the_kernel_is(tmp_path):
    before = rng.random((20, 20))
    right, wrong = tmp_path / "right.svg", tmp_path / "wrong.svg"
    draw_pair(before, before, Kernel([[1.0]]), right)
    draw_pair(before, before + 0.5, Kernel([[1.0]]), wrong)
    assert "at most 0 " in right.read_text()
    assert "at most 0.5 " in wrong.read_text()


@pytest.mark.parametrize("steps", [{"stride": 3}, {"dilation": 3}, {"stride": 2, "dilation": 3}])
@pytest.mark.parametrize("kernel", [KERNEL, KERNEL[:, :2]])
def test_stride_and_dilation_are_those_of_the_pair(tmp_path, steps, kernel):
    before = rng.integers(1, 9, (23, 20)).astype(float)
    after = corr2d(before, kernel, padding="same", **steps)  # a border that is none of the picture's
    draw_pair(before, after, Kernel(kernel), tmp_path / "pair.svg", **steps)
    assert "at most 0 " in (tmp_path / "pair.svg").read_text()


@pytest.mark.parametrize("shift", [(7, -9), (-7, 9)])
@pytest.mark.parametrize("colours", [(), (3,)])
def test_a_shifted_pair_has_no_residual(tmp_path, shift, colours):
    before = rng.integers(0, 200, (40, 50, *colours), np.uint8)
    kernel = learn(
        before,
        np.roll(before, shift, axis=(0, 1)),
        size=3,
        shift="auto",
        channel_axis=-1 if colours else None,
    )
    draw_pair(before, np.roll(before, shift, axis=(0, 1)), kernel, tmp_path / "pair.svg")
    assert "at most 0 " in (tmp_path / "pair.svg").read_text()
    draw_pair(before, before, kernel, tmp_path / "wrong.svg")
    assert "at most 0 " not in (tmp_path / "wrong.svg").read_text()


def test_channel_kernels_and_large_ones_are_drawn(tmp_path):
    before = rng.random((30, 30, 3))
    weights = rng.random((3, 9, 9))
    draw_pair(before, before, Kernel(weights, bias=np.zeros(3)), tmp_path / "k.png")
    assert (tmp_path / "k.png").stat().st_size > 1000


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_a_background_is_part_of_the_prediction(tmp_path, dtype):
    before = rng.integers(50, 150, (30, 40)).astype(np.uint8)
    after = (corr2d(before, [[0.5, 0.5]], padding="same") + np.linspace(0, 60, 40)).astype(dtype)
    draw_pair(before, after, learn(before, after, size=3, background=1, loss="huber"), tmp_path / "pair.svg")
    limit = "1 " if dtype == np.uint8 else ""
    assert f"at most {limit}" in (tmp_path / "pair.svg").read_text()
    if dtype == np.float64:
        figures = (tmp_path / "pair.svg").read_text().split("at most ")[1].split()[0]
        assert float(figures) < 1e-4


@pytest.mark.parametrize("options", [{}, {"per_channel": True}, {"mix": True}], ids=str)
def test_colours_with_a_background_are_drawn(tmp_path, options):
    before = rng.integers(50, 150, (30, 40, 3)).astype(np.uint8)
    after = before * 1.5 + np.linspace(0, 60, 40)[:, None]
    kernel = learn(before, after, size=3, background=1, channel_axis=-1, **options)
    draw_pair(before, after, kernel, tmp_path / "pair.svg")
    assert float((tmp_path / "pair.svg").read_text().split("at most ")[1].split()[0]) < 1e-4


def test_what_the_pair_does_not_tell_is_hatched(tmp_path):
    before = rng.standard_normal((60, 60))
    told, open_ = tmp_path / "told.svg", tmp_path / "open.svg"
    draw_pair(before, before, learn(before, before, size=3), told)
    before = np.repeat(before[:, ::4], 4, axis=1)  # four columns alike
    before[:, 20:24] += 0.01 * rng.standard_normal((60, 4))
    draw_pair(before, before, learn(before, before + rng.standard_normal(before.shape), size=7), open_)
    assert "hatched" not in told.read_text()
    assert "hatched: not told by the pair" in open_.read_text()


def test_open_weights_are_crossed_out(tmp_path):
    stripes = np.tile(rng.standard_normal(40), (30, 1))
    draw_pair(stripes, stripes, learn(stripes, stripes, size=3), tmp_path / "pair.svg")
    assert "error bars; × where open" in (tmp_path / "pair.svg").read_text()


def test_a_kernel_by_hand_and_one_with_its_origin_outside_are_drawn(tmp_path):
    before = rng.random((30, 30))
    for kernel in (Kernel(KERNEL), Kernel(KERNEL, origin=(-2, 9))):
        draw_pair(before, before, kernel, tmp_path / "pair.svg")
        text = (tmp_path / "pair.svg").read_text()
        assert "frequency response" in text
        assert "error bars," not in text


def test_a_kind_of_file_that_cannot_be_drawn_is_refused(tmp_path):
    path = str(tmp_path / "pair.xyz")
    with pytest.raises(ValueError, match=r"must end in \.png, \.pdf or \.svg to be drawn\."):
        draw_pair(np.eye(5), np.eye(5), Kernel([[1.0]]), path)
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_message_says_what_to_install():
    code = "import sys; sys.modules['matplotlib'] = None; import corr2d.plot"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "ImportError: Drawing needs matplotlib: pip install matplotlib"
