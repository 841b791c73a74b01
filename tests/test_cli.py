"""The command line, as a person or a script meets it."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import weakref
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageFilter

from corr2d import Kernel, __version__, corr2d, learn
from corr2d.cli import cli
from corr2d.describe import describe
from corr2d.images import read, write

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"
SHOW_CURSOR = "\x1b[?25h"
FIND_EDGES = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]])


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], prog_name="corr2d")


def run_process(*words: object, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "corr2d", *map(os.fspath, words)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False, **options)


def run_on_a_terminal(*words: object, interrupt_at: bytes = b"") -> tuple[int, str, str]:
    """Give exit code, stdout and what a person saw of stderr; Ctrl-C once the terminal shows a text."""
    theirs, ours = pty.openpty()
    command = [sys.executable, "-m", "corr2d", *map(os.fspath, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=ours)
    os.close(ours)
    seen = b""
    with suppress(OSError):  # what Linux makes of the end of a terminal
        while more := os.read(theirs, 4096):
            seen += more
            if interrupt_at and interrupt_at in seen:
                process.send_signal(signal.SIGINT)
                interrupt_at = b""
    os.close(theirs)
    stdout, _ = process.communicate(timeout=60)
    return process.returncode, stdout.decode(), seen.decode()


@pytest.fixture
def pair(tmp_path):
    """before.png, and after.png by an editor that cuts off; grey and small."""
    before, after = tmp_path / "before.png", tmp_path / "after.png"
    with Image.open(PHOTOS / "camera.png") as photo:
        small = photo.crop((100, 60, 300, 200))
    small.save(before)
    small.filter(ImageFilter.FIND_EDGES).save(after)
    return before, after


@pytest.fixture
def pairs(tmp_path):
    """before0.tif, after0.tif, before1.tif, …: three noisy pairs of one filter."""
    rng = np.random.default_rng(5)
    paths = []
    for i in range(3):
        before = rng.random((30, 40)) * 100
        after = corr2d(before, FIND_EDGES, padding="same", mode="reflect") + rng.normal(0, 1, before.shape)
        for name, pixels in (("before", before), ("after", after)):
            paths.append(tmp_path / f"{name}{i}.tif")
            write(paths[-1], pixels)
    return paths


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
    kernel = Kernel.from_dict(json.loads(run("learn", *pair, "--json").stdout))
    assert result.stdout == f"{kernel.explain()}\n\n{describe(kernel, notes=False)}\n"
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


def test_mix_learns_from_each_colour_to_each(tmp_path):
    with Image.open(PHOTOS / "chelsea.png") as photo:
        small = np.asarray(photo)[100:180, 100:200]
    write(tmp_path / "x.png", small)
    matrix = np.array([[0.2, 0.5, 0.1], [0.3, 0.3, 0.3], [0.0, 0.1, 0.8]])
    after = np.rint(small @ matrix.T).astype(np.uint8)
    write(tmp_path / "y.png", after)
    files = tmp_path / "x.png", tmp_path / "y.png"
    result = run(
        "learn", *files, "--mix", "--size", 1, "-o", tmp_path / "k.json", "--picture", tmp_path / "p.png"
    )
    assert result.exit_code == 0
    np.testing.assert_allclose(Kernel.load(tmp_path / "k.json").weights[:, :, 0, 0], matrix, atol=0.003)
    assert run("apply", tmp_path / "k.json", files[0], "-o", tmp_path / "z.png").exit_code == 0
    assert np.abs(read(tmp_path / "z.png").pixels.astype(int) - after).max() <= 1


def test_clipped_pixels_count_if_they_are_to(tmp_path):
    rng = np.random.default_rng(3)
    before = rng.integers(0, 256, (80, 90)).astype(np.uint8)
    after = np.clip(np.rint(1.5 * before - 60 + rng.normal(0, 9, before.shape)), 0, 255).astype(np.uint8)
    for name, pixels in (("x.png", before), ("y.png", after)):
        write(tmp_path / name, pixels)
    paths = tmp_path / "x.png", tmp_path / "y.png"
    found = {
        how: Kernel.from_dict(json.loads(run("learn", *paths, "--size", 1, *option, "--json").stdout))
        for how, option in {"": (), **{how: ("--clipped", how) for how in ("excluded", "censored")}}.items()
    }
    for how, kernel in found.items():
        expected = learn(before, after, size=1, clipped=how or "auto")
        assert (kernel.weights, kernel.left_out) == (expected.weights, expected.left_out)
    assert found[""].used == found["censored"].used == after.size > found["excluded"].used
    several = run("learn", *paths, *paths, "--size", 1)
    assert "Clipped pixels are left out. Whether that biases the kernel is not known" in several.stdout
    assert "they count as" in run("learn", *paths, *paths, "--size", 1, "--clipped", "censored").stdout


def test_background_and_loss_are_passed_on(tmp_path):
    with Image.open(PHOTOS / "chelsea.png") as photo:
        small = np.asarray(photo)[100:180, 100:200, 1] // 2
    after = small + np.linspace(0, 50, 100).round().astype(np.uint8)
    after[20:25, 30:60] = 254  # a caption
    write(tmp_path / "x.png", small)
    write(tmp_path / "y.png", after)
    options = "--size", 1, "--background", 1, "--loss", "tukey", "--json"
    found = json.loads(run("learn", tmp_path / "x.png", tmp_path / "y.png", *options).stdout)
    np.testing.assert_allclose(found["weights"], [[1]], atol=0.01)
    np.testing.assert_allclose(found["background"], [0, 25], atol=0.5)


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


@pytest.mark.parametrize("options", [{"size": 3}, {}, {"sum": 0, "symmetric": "4-fold"}])
def test_several_pairs_give_the_kernel_of_all(pairs, tmp_path, options):
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    result = run("learn", *pairs, *words, "-o", tmp_path / "k.json", "--json")
    assert result.exit_code == 0
    kernel = Kernel.from_dict(json.loads(result.stdout))
    assert kernel == Kernel.load(tmp_path / "k.json")
    pixels = [read(path).pixels for path in pairs]
    of_all = learn(zip(pixels[::2], pixels[1::2], strict=True), **options)
    np.testing.assert_array_equal(kernel.weights, of_all.weights)
    assert kernel.used == of_all.used > 30 * 40
    assert result.stderr.splitlines() == [
        "read 3 pairs: 40 x 30, grey, float64", f"kernel saved to {str(tmp_path / 'k.json')!r}",
    ]  # fmt: skip


def test_the_files_of_several_pairs_are_named_in_the_kernel(pairs):
    kernel = Kernel.from_dict(json.loads(run("learn", *pairs, "--size", 3, "--json").stdout))
    names = ["before", "after", "before 2", "after 2", "before 3", "after 3"]
    named = dict(zip(names, map(str, pairs), strict=True))
    assert kernel.provenance == named | {"pairs": "3", "corr2d": __version__}


def test_of_many_pairs_the_first_few_are_named(pairs):
    words = ("learn", *(pairs * 20), "--size", 1, "--json")
    provenance = json.loads(run(*words).stdout)["provenance"]
    assert provenance["pairs"] == "60"
    assert provenance["after 8"] == str(pairs[3])
    assert len(provenance) == 18


def test_of_many_kinds_of_pictures_the_first_few_are_said(tmp_path):
    paths = [tmp_path / f"{i}.tif" for i in range(11)]
    for i, path in enumerate(paths):
        write(path, np.random.default_rng(i).random((9, 20 + i)))
    said = run("learn", *[path for path in paths for _ in "xy"], "--size", 1).stderr
    assert said.startswith("read 11 pairs: 20 x 9, grey, float64; 21 x 9, ")
    assert said.endswith("; 27 x 9, grey, float64 and 3 other kinds\n")


@pytest.mark.parametrize("count", [1, 3])
def test_a_picture_without_partner_is_a_usage_error(pairs, count):
    result = run("learn", *pairs[:count])
    assert result.exit_code == 2
    assert (
        f"Pictures must come in pairs, BEFORE1 AFTER1 BEFORE2 AFTER2 ..., got {count} of them: "
        f"{str(pairs[count - 1])!r} has no partner."
    ) in result.stderr


def test_no_picture_is_a_usage_error():
    result = run("learn")
    assert result.exit_code == 2
    assert "Missing argument 'BEFORE AFTER [BEFORE AFTER]...'" in result.stderr


@pytest.mark.parametrize(("words", "most"), [(["--size", 3], 0), (["--size", 3, "--picture"], 2), ([], 4)])
def test_with_a_size_one_pair_is_in_memory_at_a_time(pairs, tmp_path, monkeypatch, words, most):
    alive: list[weakref.ref] = []
    kept = []

    def counting(path, **options):
        if "before" in path:
            kept.append(sum(pixels() is not None for pixels in alive))
        picture = read(path, **options)
        alive.append(weakref.ref(picture.pixels))
        return picture

    monkeypatch.setattr("corr2d.images.read", counting)
    words = [*words, tmp_path / "pair.png"] if "--picture" in words else words
    assert run("learn", *pairs, *words).exit_code == 0
    assert len(kept) == 3
    assert max(kept) == most


def test_the_picture_is_of_the_first_pair(pairs, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("corr2d.plot.draw_pair", lambda *given, **_: drawn.append(given))
    for words in (["--size", 3], []):
        assert run("learn", *pairs, *words, "--picture", tmp_path / "p.png").exit_code == 0
        before, after, kernel, _ = drawn.pop()
        np.testing.assert_array_equal(before, read(pairs[0]).pixels)
        np.testing.assert_array_equal(after, read(pairs[1]).pixels)
        assert kernel.size == (3, 3)


@pytest.fixture
def folders(pairs, tmp_path):
    """Two folders, with the same names in both, and what else lies in folders."""
    folders = [tmp_path / "befores", tmp_path / "afters"]
    for i, path in enumerate(pairs):
        folder = folders[i % 2]
        folder.mkdir(exist_ok=True)
        path.rename(folder / f"shot{i // 2}.tif")
    (folders[0] / "notes.txt").write_text("sunny")
    (folders[1] / "._shot0.tif").write_bytes(b"of another system")
    return folders


def test_folders_are_pairs_by_name(folders):
    (folders[1] / "shot1.tif").rename(folders[1] / "shot1.TIFF")  # an editor may have saved another kind
    result = run("learn", *folders, "--json")
    assert result.exit_code == 0
    kernel = Kernel.from_dict(json.loads(result.stdout))
    assert kernel.provenance["pairs"] == "3"
    assert kernel.provenance["before 2"] == str(folders[0] / "shot1.tif")
    assert kernel.provenance["after 2"] == str(folders[1] / "shot1.TIFF")
    assert np.abs(kernel.weights - FIND_EDGES).max() < 5 * kernel.stderr.max()


def test_folders_and_files_can_be_mixed(folders):
    first = [folders[0] / "shot0.tif", folders[1] / "shot0.tif"]
    result = run("learn", *first, *folders, "--size", 1, "--json")
    provenance = json.loads(result.stdout)["provenance"]
    assert (provenance["before"], provenance["before 2"]) == (str(first[0]), str(first[0]))
    assert provenance["pairs"] == "4"


@pytest.mark.parametrize(("emptied", "other"), [(0, 1), (1, 0)])
def test_pictures_without_partner_are_named(folders, emptied, other):
    for i in (0, 2):
        (folders[emptied] / f"shot{i}.tif").unlink()
    assert error_of("learn", *folders) == (
        f"Error: Each picture must have a partner of the same name in the other folder, got none in "
        f"{str(folders[emptied])!r} for 'shot0.tif', 'shot2.tif'. Add them, or name the files in pairs."
    )
    for i in range(20):
        (folders[other] / f"more{i:02}.png").touch()
    shown = ", ".join(f"'more{i:02}.png'" for i in range(8))
    assert f" for {shown} and 14 more. Add them" in error_of("learn", *folders)


def test_two_pictures_of_one_name_have_no_one_partner(folders):
    (folders[0] / "shot1.png").touch()
    assert error_of("learn", *folders) == (
        f"Error: {str(folders[0])!r} must hold one picture of a name, got 'shot1.png' and 'shot1.tif'. "
        f"Move one away, or name the files in pairs."
    )


def test_folders_without_pictures(tmp_path):
    assert error_of("learn", tmp_path, tmp_path) == (
        f"Error: {str(tmp_path)!r} and {str(tmp_path)!r} must hold pictures, PNG, JPEG or TIFF, got none."
    )


def test_a_folder_is_no_partner_of_a_picture(folders):
    picture = folders[1] / "shot0.tif"
    assert error_of("learn", folders[0], picture) == f"Error: {str(folders[0])!r}: Is a directory"


@pytest.mark.parametrize("words", [["--size", 3], []])
def test_a_bar_is_drawn_on_a_terminal_for_several_pairs(pairs, words):
    code, stdout, seen = run_on_a_terminal("learn", *pairs, *map(str, words), "--json")
    assert code == 0
    assert json.loads(stdout)["provenance"]["pairs"] == "3"
    assert ("learned from" if words else "read") in seen
    assert "0/3" in seen
    assert "3/3" in seen
    assert seen.rindex("read 3 pairs: ") > seen.index(SHOW_CURSOR) > seen.index("3/3")


def test_no_bar_is_drawn_for_one_pair_or_into_a_pipe(pairs):
    code, _, seen = run_on_a_terminal("learn", *pairs[:2], "--size", "3")
    assert code == 0
    assert seen.splitlines() == [f"read {str(path)!r}: 40 x 30, grey, float64" for path in pairs[:2]]
    piped = run_process("learn", *pairs, "--size", "3")
    assert piped.stderr == b"read 3 pairs: 40 x 30, grey, float64\n"


def test_an_interrupt_leaves_the_terminal_as_it_was(tmp_path):
    write(tmp_path / "x.tif", np.random.default_rng(0).random((1200, 1200)))
    words = ["learn", *[tmp_path / "x.tif"] * 160, "--size", "25"]  # some seconds, however busy the machine
    code, stdout, seen = run_on_a_terminal(*words, interrupt_at=b"0/80")
    assert code == 130
    assert stdout == ""
    assert "80/80" not in seen
    assert seen.rstrip().endswith("interrupted")
    assert seen.index("interrupted") > seen.index(SHOW_CURSOR)


def test_dilation_is_for_taps_that_stand_apart(pair, tmp_path):
    sparse, kernel_file, made = tmp_path / "sparse.tif", tmp_path / "k.json", tmp_path / "made.tif"
    blur = np.outer([1, 2, 1], [1, 2, 1]) / 16
    write(sparse, corr2d(read(pair[0]).pixels, blur, padding="same", mode="reflect", dilation=4))
    words = ("--dilation", 4, "--size", 3, "-o", kernel_file, "--picture", tmp_path / "pair.svg")
    result = run("learn", pair[0], sparse, *words)
    assert result.exit_code == 0
    assert "dilation=(4, 4): apply it with the same" in result.stdout
    np.testing.assert_allclose(Kernel.load(kernel_file).weights, blur, atol=1e-6)
    worst = re.search("at most ([-+.e0-9]+)", (tmp_path / "pair.svg").read_text())
    assert float(worst[1]) < 1e-3
    words = ("--dilation", 4, "--dtype", "float32")
    assert run("apply", kernel_file, pair[0], "-o", made, *words).exit_code == 0
    np.testing.assert_allclose(read(made).pixels, read(sparse).pixels, atol=1e-3)
    for words in (("learn", pair[0], sparse), ("apply", kernel_file, pair[0], "-o", made)):
        assert run(*words, "--dilation", 0).exit_code == 2


def test_penalties_are_numbers_or_auto(pair, tmp_path):
    kernel_file = tmp_path / "k.json"
    run("learn", *pair, "--size", 3, "-o", kernel_file, "--ridge", 0.25, "--smooth", "auto")
    kernel = Kernel.load(kernel_file)
    assert kernel.provenance["ridge"] == "0.25"
    assert float(kernel.provenance["smooth"]) >= 0
    assert np.abs(kernel.weights).max() < 7
    result = run("learn", *pair, "--smooth", "auto", "--ridge", "auto")
    assert result.exit_code == 1
    assert "cannot both be 'auto'" in result.stderr


@pytest.mark.parametrize("strength", ["much", "-1", "nan", "inf", ""])
@pytest.mark.parametrize("option", ["--ridge", "--smooth"])
def test_a_strength_that_is_none_is_a_usage_error(pair, option, strength):
    result = run("learn", *pair, f"{option}={strength}")
    assert result.exit_code == 2
    assert f"{strength!r} is not a strength; write a number from 0 up, or auto." in result.stderr


@pytest.mark.parametrize("shift", ["auto", "-23,31"])
def test_a_shifted_pair_is_put_where_it_was(pair, tmp_path, shift):
    before, after, kernel_file, made = (tmp_path / name for name in ("x.png", "y.png", "k.json", "z.png"))
    with Image.open(pair[0]) as photo, Image.open(pair[1]) as edges:
        photo.crop((31, 0, 191, 110)).save(before)
        edges.crop((0, 23, 160, 133)).save(after)
    result = run("learn", before, after, f"--shift={shift}", "-o", kernel_file)
    assert result.exit_code == 0
    assert "shifted: 23 rows up, 31 columns right; origin (-22, 32)" in result.stdout
    assert run("apply", kernel_file, before, "-o", made).exit_code == 0
    assert run("show", kernel_file).stdout == result.stdout
    shown = (slice(1, -24), slice(32, -1))
    np.testing.assert_array_equal(read(made).pixels[shown], read(after).pixels[shown])
    assert "seems to be shifted" in run("learn", before, after).stdout


@pytest.mark.parametrize("shift", ["3", "3x4", "1,2,3", "a,b", "1.5,2", "", "1,", "9999999999,0"])
def test_a_shift_that_is_none_is_a_usage_error(pair, shift):
    result = run("learn", *pair, "--shift", shift)
    assert result.exit_code == 2
    assert " ".join(result.stderr.split()).endswith(
        f"{shift!r} is not a shift; write auto, or -3,12 where AFTER lies 3 rows further up and 12 columns "
        f"further right."
    )


def test_forms_of_a_kernel(pair, tmp_path):
    with Image.open(pair[0]) as photo:
        photo.filter(ImageFilter.BoxBlur(2)).save(pair[1])
    words = ("learn", *pair, "--size", 7, "-o", tmp_path / "k.json")
    assert "  box: height " in run(*words, "--family", "box", "--sum", 1).stdout
    kernel = Kernel.load(tmp_path / "k.json")
    assert kernel.parameters["gain"] == (1, 0)
    assert kernel.parameters["width"][0] == pytest.approx(5, abs=0.01)
    assert run(*words, "--rank", 1).exit_code == 0
    assert np.linalg.matrix_rank(Kernel.load(tmp_path / "k.json").weights) == 1
    assert "not with `family`" in error_of(*words, "--rank", 1, "--family", "box")
    assert run(*words, "--rank", 0).exit_code == run(*words, "--family", "cone").exit_code == 2


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
    assert "JPEG changed the pixels of before after the filter ran" in result.stdout


def test_the_note_about_jpegs_is_made_once(pair):
    for path in pair:
        with Image.open(path) as picture:
            picture.save(path.with_suffix(".jpg"))
    lossy = [path.with_suffix(".jpg") for path in pair]
    result = run("learn", *pair, *lossy, "--size", 3)
    assert result.stdout.count("JPEG") == 1
    assert f"JPEG changed the pixels of 2 of 4 pictures ({str(lossy[0])!r} first) after" in result.stdout


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


@pytest.mark.parametrize("words", [["--size", 3], []])
def test_grey_and_colour_pairs_do_not_mix(pair, words):
    coffee = str(PHOTOS / "coffee.png")
    assert error_of("learn", *pair, coffee, coffee, *words) == (
        f"Error: All pictures must be grey or all in colour, got {str(pair[0])!r} in grey "
        f"and {coffee!r} in colour. Convert one of them."
    )


@pytest.mark.parametrize("words", [["--size", 3], []])
def test_the_pair_that_does_not_fit_is_named(pairs, tmp_path, words):
    turned = tmp_path / "turned.tif"
    write(turned, read(pairs[3]).pixels.T)
    assert error_of("learn", *pairs[:3], turned, *pairs[4:], *words).startswith(
        f"Error: {str(pairs[2])!r} and {str(turned)!r}: `after` must be as large as `before` or smaller"
    )


def test_a_pair_too_small_for_the_size_is_named(pairs, tmp_path):
    small = tmp_path / "small.tif"
    write(small, np.ones((2, 2)))
    assert error_of("learn", *pairs, small, small, "--size", 3) == (
        f"Error: {str(small)!r} and {str(small)!r}: `size` must fit into the pictures of 2 x 2, got (3, 3)."
    )


@pytest.mark.parametrize("words", [["--size", 3], []])
def test_a_file_that_cannot_be_read_is_named_once(pairs, words):
    pairs[3].write_text("a note")
    said = error_of("learn", *pairs, *words)
    assert said.startswith(f"Error: {str(pairs[3])!r} is something else")
    assert said.count(str(pairs[3])) == 1


def test_per_channel_needs_colours(pair):
    assert error_of("learn", *pair, "--per-channel") == (
        "Error: --per-channel is for colour pictures, got two grey ones. Leave it out."
    )
    assert error_of("learn", *pair, *pair, "--per-channel") == (
        "Error: --per-channel is for colour pictures, got grey ones. Leave it out."
    )


def test_mix_needs_colours(pair):
    assert error_of("learn", *pair, "--mix") == (
        "Error: --mix is for colour pictures, got two grey ones. Leave it out."
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
    assert "\n  corr2d learn before.png after.png -o kernel.json\n" in run("--help").stdout
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
    words = ["learn", tmp_path / "x.tif", tmp_path / "y.tif", "--size", "61", "-o", tmp_path / "k.json"]
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
