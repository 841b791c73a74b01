"""Moments in a file: what comes back, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from corr2d import Moments


@pytest.fixture
def moments():
    rng = np.random.default_rng(0)
    after = rng.integers(0, 256, (40, 50)).astype(np.uint8)
    return Moments.of(rng.integers(0, 256, (40, 50)).astype(np.uint8), after, size=(3, 4))


def test_all_of_it_comes_back(moments, tmp_path):
    moments.save(tmp_path / "moments.safetensors")
    loaded = Moments.load(tmp_path / "moments.safetensors")
    assert loaded.sums.tobytes() == moments.sums.tobytes()
    for name in ("size", "center", "left_out", "notes", "stride", "dilation"):
        assert getattr(loaded, name) == getattr(moments, name)
    assert loaded.left_out["clipped low"] > 0
    assert loaded.solve() == moments.solve()
    assert (loaded + moments).count == 2 * moments.count


def test_the_place_of_the_window_comes_back(moments, tmp_path):
    moments.window((2, 1), (0, -1)).save(tmp_path / "moments.safetensors")
    assert Moments.load(tmp_path / "moments.safetensors").shift == (0, -1)


def test_a_stream_can_be_left_and_gone_on_with(tmp_path):
    rng = np.random.default_rng(1)
    frames = [(rng.standard_normal((30, 40)), rng.standard_normal((28, 38))) for _ in range(4)]
    path = tmp_path / "stream.safetensors"
    Moments.of(*frames[0]).save(path)
    for frame in frames[1:]:
        (Moments.load(path) + Moments.of(*frame)).save(path)
    first, *others = (Moments.of(*frame) for frame in frames)
    assert Moments.load(path).total.tobytes() == sum(others, start=first).total.tobytes()


def test_a_file_is_replaced_whole_or_not_at_all(moments, tmp_path, monkeypatch):
    path = tmp_path / "moments.safetensors"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        moments.save(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


SAID = {
    "size": [1, 1],
    "center": [0.0, 0.0],
    "count": 0,
    "left_out": dict.fromkeys(("not finite", "masked", "clipped low", "clipped high"), 0),
    "notes": [],
    "stride": [1, 1],
    "dilation": [1, 1],
    "channels": 1,
    "background": 0,
    "varying": 0,
    "shape": None,
}


def written(path, said=None, sums=None, **about):
    header = {"format": "corr2d moments", "version": "1", "said": json.dumps({**SAID, **(said or {})})}
    save_file({"sums": np.zeros((16, 3, 3)) if sums is None else sums}, path, {**header, **about})
    return path


def test_what_is_written_by_hand_is_read(tmp_path):
    assert Moments.load(written(tmp_path / "a")).size == (1, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "a kernel"},
        {"version": "2"},
        {"said": {"size": [1, 0]}},
        {"said": {"size": [1, 2, 3]}},
        {"said": {"size": [True, 1]}},
        {"said": {"size": None}},
        {"said": {"stride": [0, 1]}},
        {"said": {"dilation": 2}},
        {"said": {"center": [0.0]}},
        {"said": {"count": -1}},
        {"said": {"channels": 0}},
        {"said": {"channels": 2}},
        {"said": {"background": 1}},
        {"said": {"shape": [3, 3]}},
        {"said": {"background": 4, "shape": [3, 3]}},
        {"said": {"varying": 1}},
        {"said": {"background": 1, "varying": True, "shape": [3, 3]}},
        {"said": {"center": [0.0, float("nan")]}},
        {"said": {"left_out": {"masked": 1}}},
        {"said": {"left_out": [1]}},
        {"said": {"left_out": {**SAID["left_out"], "masked": -1}}},
        {"said": {"notes": [1]}},
        {"said": {"shift": [1]}},
        {"said": {"shift": [0.5, 0]}},
        {"said": {"shift": [10**7, 0]}},
        {"said": {"size": [2, 2]}},
        {"sums": np.zeros((3, 3))},
        {"sums": np.zeros((0, 3, 3))},
        {"sums": np.zeros((1, 3, 3))},
        {"sums": np.full((16, 3, 3), np.inf)},
        {"sums": np.zeros((16, 3, 3), np.float32)},
    ],
    ids=str,
)
def test_files_that_do_not_fit_are_refused(changes, tmp_path):
    with pytest.raises(ValueError, match="a0' "):
        Moments.load(written(tmp_path / "a0", **changes))


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\x08" + bytes(7) + b"{}      ", b"\xff" * 100, b"PK\x03\x04"]
)
def test_other_files_are_refused(content, tmp_path):
    path = Path(tmp_path, "other")
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a file of moments"):
        Moments.load(path)


def test_cut_off_files_are_refused(moments, tmp_path):
    path = tmp_path / "cut"
    moments.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="is not a file of moments"):
        Moments.load(path)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        Moments.load(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError):
        Moments.load(tmp_path)
    with pytest.raises(ValueError, match="is a device"):
        Moments.load("/dev/zero")
