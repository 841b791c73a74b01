"""The command line, as a person or a script meets it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageFilter

from corr2d import Kernel, __version__, corr2d
from corr2d.cli import cli
from corr2d.images import read, write

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"
FIND_EDGES = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]])


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], prog_name="corr2d")


def run_process(*words: object, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "corr2d", *map(os.fspath, words)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False, **options)


@pytest.fixture
def pair(tmp_path):
    """before.png, and after.png by an editor that cuts off; grey and small."""
    before, after = tmp_path / "before.png", tmp_path / "after.png"
    with Image.open(PHOTOS / "camera.png") as photo:
        small = photo.crop((100, 60, 300, 200))
    small.save(before)
    small.filter(ImageFilter.FIND_EDGES).save(after)
    return before, after


def test_learn_finds_the_filter_of_an_editor(pair, tmp_path):
    kernel_file = tmp_path / "kernel.json"
    result = run("learn", *pair, "-o", kernel_file)
    assert result.exit_code == 0
    kernel = Kernel.load(kernel_file)
    np.testing.assert_allclose(kernel.weights, FIND_EDGES, atol=1e-6)
    assert kernel.bias == pytest.approx(0, abs=1e-6)
    after = np.asarray(Image.open(pair[1]))[3:-3, 3:-3]  # what the 7 x 7 window tried can reach
    assert kernel.left_out["clipped low"] == np.count_nonzero(after == 0)
    assert kernel.left_out["clipped high"] == np.count_nonzero(after == 255)
    assert kernel.provenance == {"before": str(pair[0]), "after": str(pair[1]), "corr2d": __version__}


def test_results_go_to_stdout_and_talk_to_stderr(pair):
    result = run("learn", *pair)
    assert result.stdout == repr(Kernel.from_dict(json.loads(run("learn", *pair, "--json").stdout))) + "\n"
    assert "8 ± 0" in result.stdout
    assert "clipped low" in result.stdout
    assert "200 x 140, grey, uint8" in result.stderr


def test_show_prints_what_learn_printed(pair, tmp_path):
    learned = run("learn", *pair, "-o", tmp_path / "k.json")
    assert run("show", tmp_path / "k.json").stdout == learned.stdout


@pytest.mark.parametrize(("size", "shape"), [("5", (5, 5)), ("3x5", (3, 5)), ("5×3", (5, 3))])
def test_size_overrides(pair, size, shape):
    assert np.shape(json.loads(run("learn", *pair, "--size", size, "--json").stdout)["weights"]) == shape


@pytest.mark.parametrize("size", ["0", "-1", "3x", "3x3x3", "three", "", "²"])
def test_a_size_that_is_none_is_a_usage_error(pair, size):
    result = run("learn", *pair, "--size", size)
    assert result.exit_code == 2
    assert f"{size!r} is not a size; write 3 for 3 x 3, or 3x5 for 3 rows and 5 columns." in result.stderr


def test_per_channel_learns_one_kernel_for_each_colour(tmp_path):
    with Image.open(PHOTOS / "chelsea.png") as photo:
        small = np.asarray(photo)[100:180, 100:200]
    write(tmp_path / "x.png", small)
    after = np.stack([small[..., 0], small[..., 1] // 2, small[..., 2] // 4], axis=-1)
    write(tmp_path / "y.png", after)
    result = run(
        "learn",
        tmp_path / "x.png",
        tmp_path / "y.png",
        "--per-channel",
        "--size",
        1,
        "-o",
        tmp_path / "k.json",
    )
    assert result.exit_code == 0
    kernel = Kernel.load(tmp_path / "k.json")
    np.testing.assert_allclose(kernel.weights.ravel(), [1, 0.5, 0.25], atol=0.001)
    applied = run("apply", tmp_path / "k.json", tmp_path / "x.png", "-o", tmp_path / "z.png")
    assert applied.exit_code == 0
    assert np.abs(read(tmp_path / "z.png").pixels.astype(int) - after).max() <= 1


def test_stride_is_for_smaller_pictures(pair, tmp_path):
    half, kernel_file, picture = tmp_path / "half.png", tmp_path / "k.json", tmp_path / "pair.png"
    with Image.open(pair[0]) as photo:
        photo.reduce(2).save(half)
    result = run("learn", pair[0], half, "--stride", 2, "-o", kernel_file, "--picture", picture)
    assert result.exit_code == 0
    assert "stride=(2, 2): apply it with the same" in result.stdout
    np.testing.assert_allclose(Kernel.load(kernel_file).weights[1:, 1:], 0.25, atol=0.02)
    assert picture.stat().st_size > 10_000
    made = tmp_path / "made.png"
    assert run("apply", kernel_file, pair[0], "-o", made, "--stride", 2).exit_code == 0
    difference = read(made).pixels.astype(int) - read(half).pixels
    assert np.abs(difference[1:-1, 1:-1]).max() <= 1
    assert run("learn", pair[0], half, "--stride", 0).exit_code == 2


def test_apply_keeps_size_depth_and_alpha(tmp_path):
    Kernel([[0, 0.5, 0]], bias=10).save(tmp_path / "k.json")
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    alpha = np.arange(16, dtype=np.uint8).reshape(4, 4)
    write(tmp_path / "x.png", pixels, alpha=alpha)
    result = run("apply", tmp_path / "k.json", tmp_path / "x.png", "-o", tmp_path / "y.png")
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'y.png'}\n"
    picture = read(tmp_path / "y.png")
    np.testing.assert_array_equal(picture.pixels, np.rint(pixels / 2 + 10))
    np.testing.assert_array_equal(picture.alpha, alpha)


@pytest.mark.parametrize("mode", ["reflect", "mirror", "nearest", "wrap", "constant"])
def test_mode_is_the_border_of_the_result(tmp_path, mode):
    pixels = np.random.default_rng(3).integers(0, 256, (9, 7), dtype=np.uint8)
    write(tmp_path / "x.png", pixels)
    Kernel(np.full((3, 3), 1 / 9)).save(tmp_path / "k.json")
    run("apply", tmp_path / "k.json", tmp_path / "x.png", "-o", tmp_path / "y.png", "--mode", mode)
    expected = corr2d(pixels, np.full((3, 3), 1 / 9), padding="same", mode=mode, dtype=np.uint8)
    np.testing.assert_array_equal(read(tmp_path / "y.png").pixels, expected)


def test_apply_says_how_much_was_cut_off(pair, tmp_path):
    Kernel(FIND_EDGES).save(tmp_path / "k.json")
    result = run("apply", tmp_path / "k.json", pair[0], "-o", tmp_path / "y.png", "--json")
    share = np.mean(np.isin(read(tmp_path / "y.png").pixels, (0, 255)))
    assert json.loads(result.stdout)["at_ends"] == pytest.approx(share)
    assert f"{100 * share:.1f} % of its values are 0 or 255, where uint8 ends" in result.stderr


def test_dtype_float32_keeps_what_lies_beyond(pair, tmp_path):
    Kernel(FIND_EDGES).save(tmp_path / "k.json")
    result = run(
        "apply", tmp_path / "k.json", pair[0], "-o", tmp_path / "y.tif", "--dtype", "float32", "--json"
    )
    pixels = read(tmp_path / "y.tif").pixels
    assert pixels.dtype == np.float32
    assert pixels.min() < 0
    assert json.loads(result.stdout) == {
        "output": str(tmp_path / "y.tif"), "shape": [140, 200], "dtype": "float32", "at_ends": None,
    }  # fmt: skip


def test_jpeg_pairs_get_a_note(pair, tmp_path):
    with Image.open(pair[0]) as before:
        before.save(tmp_path / "x.jpg")
    result = run("learn", tmp_path / "x.jpg", pair[1], "--size", 3)
    assert "note: JPEG changed the pixels of before after the filter ran" in result.stdout


def error_of(*words: object) -> str:
    result = run(*words)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr.splitlines()[-1]


def test_a_missing_file_is_named(tmp_path):
    gone = str(tmp_path / "gone.png")
    assert error_of("learn", gone, gone) == f"Error: {gone!r}: No such file or directory"


def test_grey_and_colour_do_not_make_a_pair(pair):
    coffee = str(PHOTOS / "coffee.png")
    assert error_of("learn", pair[0], coffee) == (
        f"Error: Both pictures must be grey or both in colour, got {str(pair[0])!r} in grey "
        f"and {coffee!r} in colour. Convert one of them."
    )


def test_per_channel_needs_colours(pair):
    assert error_of("learn", *pair, "--per-channel") == (
        "Error: --per-channel is for colour pictures, got two grey ones. Leave it out."
    )


def test_a_kernel_with_colours_needs_a_colour_picture(pair, tmp_path):
    Kernel(np.ones((3, 1, 1)), bias=np.zeros(3)).save(tmp_path / "k.json")
    assert error_of("apply", tmp_path / "k.json", pair[0], "-o", tmp_path / "y.png") == (
        f"Error: {str(tmp_path / 'k.json')!r} has a kernel for each colour, but {str(pair[0])!r} is grey. "
        f"Learn one without --per-channel."
    )
    assert not (tmp_path / "y.png").exists()


def test_a_file_that_is_no_kernel(pair):
    assert error_of("show", pair[0]).startswith(
        f"Error: {str(pair[0])!r} is not a kernel file that corr2d can read: "
    )


def test_shapes_that_do_not_fit(pair, tmp_path):
    with Image.open(pair[1]) as after:
        after.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png")
    assert "seems to be turned by 90 degrees" in error_of("learn", pair[0], tmp_path / "turned.png")


@pytest.mark.parametrize("name", ["y.gif", "y", "nowhere/y.png"])
def test_an_output_that_cannot_be_written_leaves_nothing(pair, tmp_path, name):
    Kernel([[1.0]]).save(tmp_path / "k.json")
    before = sorted(tmp_path.iterdir())
    assert repr(str(tmp_path / name)) in error_of(
        "apply", tmp_path / "k.json", pair[0], "-o", tmp_path / name
    )
    assert sorted(tmp_path.iterdir()) == before


def test_pictures_beyond_max_pixels_are_refused(pair, tmp_path):
    assert run("learn", *pair, "--size", 3, "--max-pixels", 28_000).exit_code == 0
    Kernel([[1.0]]).save(tmp_path / "k.json")
    words = ("apply", tmp_path / "k.json", pair[0], "-o", tmp_path / "y.png", "--max-pixels", 27_999)
    assert "holds 140 x 200 = 28000 pixels, more than max_pixels=27999" in error_of(*words)


def test_output_may_be_the_input(pair, tmp_path):
    Kernel([[0.5]]).save(tmp_path / "k.json")
    pixels = read(pair[0]).pixels
    assert run("apply", tmp_path / "k.json", pair[0], "-o", pair[0]).exit_code == 0
    np.testing.assert_array_equal(read(pair[0]).pixels, np.rint(pixels / 2))


def test_a_fault_of_ours_is_no_traceback_either(pair, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("oops")

    monkeypatch.setattr("corr2d.images.read", broken)
    assert error_of("learn", *pair) == (
        "Error: this should not have happened, and is a fault in corr2d: RuntimeError: oops"
    )


def test_too_little_memory_is_said(pair, monkeypatch):
    def hungry(*_, **__):
        raise MemoryError

    monkeypatch.setattr("corr2d.images.read", hungry)
    assert error_of("learn", *pair) == "Error: not enough memory for pictures of this size."


def test_version_and_help():
    assert run("--version").stdout == f"corr2d, version {__version__}\n"
    for words in (["--help"], ["learn", "--help"], ["apply", "-h"], ["show", "-h"]):
        assert run(*words).exit_code == 0
    assert "130  interrupted" in run("--help").stdout
    assert run("lern").exit_code == 2


def test_help_does_not_import_numpy():
    code = (
        "import sys; from corr2d.cli import cli; cli.main(['--help'], standalone_mode=False); "
        "print('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_odd_file_names(pair, tmp_path):
    odd = os.fsencode(tmp_path) + b"/quote' \"new\nline <script> \xff.json"
    done = run_process("learn", *pair, "--size", "3", "-o", os.fsdecode(odd))
    assert done.returncode == 0, done.stderr
    assert Kernel.load(os.fsdecode(odd)).size == (3, 3)
    assert run_process("show", os.fsdecode(odd)).returncode == 0
    missing = run_process("show", os.fsdecode(odd[:-5]))
    assert missing.returncode == 1
    assert b"Traceback" not in missing.stderr


@pytest.mark.parametrize("environment", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"NO_COLOR": "1"}])
def test_any_locale_gets_an_answer(pair, environment):
    done = run_process("learn", *pair, "--size", "3", env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    assert b"Kernel 3" in done.stdout


def test_a_closed_stdout_is_no_traceback(pair):
    command = f"{sys.executable} -m corr2d learn {pair[0]} {pair[1]} --size 3 | true"
    done = subprocess.run(command, shell=True, capture_output=True, timeout=60, check=False)
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_at_once_with_nothing_half_written(tmp_path, signal_number):
    rng = np.random.default_rng(0)
    write(tmp_path / "x.tif", rng.random((1500, 1500)))
    write(tmp_path / "y.tif", rng.random((1500, 1500)))
    before = sorted(tmp_path.iterdir())
    words = ["learn", tmp_path / "x.tif", tmp_path / "y.tif", "--size", "31", "-o", tmp_path / "k.json"]
    process = subprocess.Popen([sys.executable, "-m", "corr2d", *map(str, words)], stdout=-1, stderr=-1)
    seen = b""
    while seen.count(b"\n") < 2:  # both pictures read: the long work begins
        seen += process.stderr.read1()
    process.send_signal(signal_number)
    start = time.monotonic()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - start < 20  # the time of one block of the sums, on a busy machine
    assert b"Traceback" not in stderr
    assert sorted(tmp_path.iterdir()) == before
