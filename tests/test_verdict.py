"""What made `after` of `before`, as far as the pair can tell."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image, ImageFilter
from simulations import verdict as study
from simulations.pairs import photographs, through_jpeg

from corr2d import Kernel, Moments, corr2d, learn

PHOTOS = Path(__file__).parents[1] / "examples" / "photos"
BLUR = np.outer([1, 2, 1], [1, 2, 1]) / 16


@pytest.fixture(scope="module")
def photo():
    return np.asarray(Image.open(PHOTOS / "camera.png"))[100:300, 120:340]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def filtered(image, kernel=BLUR):
    return scipy.ndimage.correlate(np.asarray(image, np.float64), kernel)


def rounded(image):
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


# A convolution


def test_the_textbook_pair_is_a_convolution():
    X = np.ones((6, 8))
    X[:, 2:6] = 0
    kernel = learn(X, corr2d(X, [[1, -1]]))
    assert kernel.verdict == "a convolution"
    assert kernel.evidence["unexplained"] == 0


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 5)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_floats_are_a_convolution(photo, size, dtype, rng):
    kernel = rng.standard_normal(size)
    before = photo.astype(dtype)
    assert learn(before, corr2d(before, kernel)).verdict == "a convolution"


def test_16_bits_are_rounded(photo):
    before = photo.astype(np.uint16) * 100
    after = np.rint(filtered(before)).astype(np.uint16)
    assert learn(before, after, size=3).verdict == "a convolution, then rounded"


@pytest.mark.parametrize("scale", [1, 255, 65535 / 7])
def test_rounded_says_so_whatever_the_type(photo, scale):
    after = rounded(filtered(photo))
    assert learn(photo, after, size=3).verdict == "a convolution, then rounded"
    assert learn(photo / scale, after / scale, size=3).verdict == "a convolution, then rounded"


def test_rounding_is_not_said_where_it_did_nothing(photo):
    after = photo[:, 1:].astype(np.int16) - photo[:, :-1]
    assert learn(photo, after).verdict == "a convolution"


@pytest.mark.parametrize("sigma", [1, 1.7, 2.5])
def test_a_blur_that_is_rounded_after_each_pass_is_a_convolution(photo, sigma):
    after = np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(sigma)))
    assert learn(photo, after, size=11).verdict.startswith("a convolution")


@pytest.mark.parametrize("index", range(3))
def test_a_jpeg_file_of_quality_90_is_a_convolution(index):
    before = photographs()[index]
    assert learn(before, through_jpeg(before, 90), size=7).verdict.startswith("a convolution")


def test_clipped_is_said_only_where_something_was_cut_off(photo):
    bright = np.maximum(photo, 200)
    bright[:60] = 255
    assert learn(bright, rounded(filtered(bright)), size=3).verdict == "a convolution, then rounded"
    sharpened = filtered(photo, [[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]])
    assert learn(photo, rounded(sharpened), size=3).verdict == "a convolution, then clipped"
    both = learn(photo, rounded(sharpened * 0.93), size=3)
    assert both.verdict == "a convolution, then clipped and rounded"
    assert both.evidence["clearly beyond the ends"] > 3
    floats = learn(photo, np.clip(sharpened, 10, 240), size=3, clip=(10, 240))
    assert floats.verdict == "a convolution, then clipped"


def test_ends_that_count_in_the_fit_are_no_tone_curve(photo):
    sharpened = rounded(filtered(photo, [[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]]))
    kernel = learn(photo, sharpened, size=3, clip=None)
    assert kernel.verdict == "a convolution, then clipped"
    np.testing.assert_array_equal(
        kernel.weights, learn(photo, sharpened, size=3, clip=None, examine=False).weights
    )
    masks = np.where(photo > 128, 255, 0).astype(np.uint8)
    assert learn(masks, masks, size=3, clip=None).verdict == "a convolution"


@pytest.mark.parametrize("decibels", [20, 10, 0])
def test_noise_makes_a_convolution_of_low_r2(photo, decibels, rng):
    after = filtered(photo)
    after += after.std() * 10 ** (-decibels / 20) * rng.standard_normal(after.shape)
    kernel = learn(photo, after, size=3)
    assert kernel.r2 < 1 - 0.9 * 10 ** (-decibels / 10) / (1 + 10 ** (-decibels / 10))
    assert kernel.verdict == "a convolution"


def test_few_pixels_that_are_far_off_change_nothing(photo, rng):
    after = rounded(filtered(photo))
    after[rng.random(after.shape) < 0.002] = 200
    assert learn(photo, after, size=3).verdict.startswith("a convolution")


def test_a_window_that_is_too_small_is_said_to_be(photo):
    after = scipy.ndimage.gaussian_filter(photo.astype(float), 1.0)
    kernel = learn(photo, after, size=3)
    assert kernel.verdict == "a convolution"
    assert any("larger `size`" in note for note in kernel.notes)
    assert not any("larger `size`" in note for note in learn(photo, after, size=15).notes)


def test_a_form_that_does_not_hold_is_no_verdict_on_the_pair(photo):
    after = rounded(filtered(photo))
    for form in ({"family": "box"}, {"sum": 0}, {"symmetric": "radial"}, {"fixed": np.eye(3)}):
        options = form if "fixed" in form else {"size": 3} | form
        assert learn(photo, after, **options).verdict == "a convolution, then rounded"


@pytest.mark.parametrize("options", [{"stride": 2}, {"dilation": 2}, {"stride": (1, 3), "dilation": (2, 1)}])
def test_strides_and_dilations_are_judged(photo, options):
    after = rounded(corr2d(photo, BLUR, **options))
    assert learn(photo, after, size=3, **options).verdict == "a convolution, then rounded"
    squared = rounded(after.astype(float) ** 2 / 255)
    assert learn(photo, squared, size=3, **options).verdict == study.CURVED


def test_a_shifted_pair_is_judged(photo):
    after = np.roll(rounded(filtered(photo)), (9, -14), (0, 1))
    assert learn(photo, after, shift="auto").verdict == "a convolution, then rounded"
    assert learn(photo, after, size=3).verdict == study.OTHER


def test_a_large_kernel_is_judged(rng):
    before = rng.random((230, 240))
    after = corr2d(before, rng.standard_normal((67, 66)), padding="same")
    after += 0.01 * rng.standard_normal(after.shape)
    assert learn(before, after, size=(67, 66)).verdict == "a convolution"


def test_colours_that_are_alike_are_judged_together():
    colours = np.asarray(Image.open(PHOTOS / "coffee.png"))[:150, 100:300]
    after = np.stack([rounded(filtered(colours[..., c])) for c in range(3)], axis=-1)
    assert learn(colours, after, size=3, channel_axis=-1).verdict == "a convolution, then rounded"
    after[..., 2] = scipy.ndimage.median_filter(colours[..., 2], 5)
    assert learn(colours, after, size=3, channel_axis=-1).verdict == study.OTHER


def test_nan_are_passed_over(photo, rng):
    before = photo.astype(float)
    after = filtered(before) + 0.5 * rng.standard_normal(before.shape)
    before[rng.random(before.shape) < 0.01] = np.nan
    after[:20] = np.nan
    assert learn(before, after, size=3).verdict == "a convolution"


@pytest.mark.parametrize("shape", [(1, 4000), (3000, 1)])
def test_a_line_is_judged(shape, rng):
    before = scipy.ndimage.gaussian_filter(rng.standard_normal(shape), 1)
    size = (1, 3) if shape[0] == 1 else (3, 1)
    after = corr2d(before, np.ones(size) / 3)
    noise = 0.1 * before.std() * rng.standard_normal(after.shape)
    assert learn(before, after + noise).verdict == "a convolution"
    assert learn(before, after**3).verdict == study.CURVED


def test_stripes_are_a_convolution(rng):
    before = np.broadcast_to(rng.random(200), (100, 200))
    kernel = learn(before, filtered(before), size=3)
    assert kernel.rank == 3
    assert kernel.verdict == "a convolution"


# The pictures cannot tell


def test_a_constant_before_tells_nothing(rng):
    assert learn(np.ones((40, 40)), rng.random((40, 40)), size=3).verdict == "the pictures cannot tell"
    assert learn(np.ones((40, 40)), np.ones((40, 40)), size=1).verdict == "the pictures cannot tell"


def test_as_many_pixels_as_unknowns_tell_nothing(rng):
    assert learn(rng.random((2, 3)), rng.random((2, 2))).verdict == "the pictures cannot tell"
    assert learn([[1.0, 2.0]], [[2.0, 4.0]], size=1).verdict == "the pictures cannot tell"


def test_few_pixels_with_noise_tell_nothing(rng):
    kernel = learn(rng.random((16, 16)), rng.random((16, 16)), size=3)
    assert kernel.verdict == "the pictures cannot tell"


def test_a_constant_after_is_made_by_a_kernel_of_zeros(photo):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert learn(photo, np.full(photo.shape, 7.0), size=3).verdict == "a convolution"


# Not a convolution


def test_unrelated_pictures_are_not_a_convolution(photo, rng):
    kernel = learn(photo, np.asarray(Image.open(PHOTOS / "coffee.png").convert("L"))[:200, :220], size=5)
    assert kernel.verdict == study.OTHER
    assert kernel.evidence["gain on blocks left out"] < 0.1
    assert learn(photo, rng.random(photo.shape), size=5).verdict == study.OTHER


def test_the_verdict_says_what_the_residual_goes_with(photo):
    kernel = learn(photo, scipy.ndimage.median_filter(photo, 3), size=5)
    assert kernel.verdict == study.OTHER
    assert kernel.evidence["explained by the surroundings"] > 0.9


def test_light_that_falls_off_varies(photo):
    x = np.linspace(-1, 1, photo.shape[1])
    kernel = learn(photo, rounded(filtered(photo) * (1 - 0.3 * x**2)), size=3)
    assert kernel.verdict == study.VARIES
    assert any("learn_varying" in note for note in kernel.notes)


# A tone curve


def test_under_a_tone_curve_the_kernel_is_the_filter(photo):
    after = rounded(255 * (filtered(photo) / 255) ** 1.4)
    kernel = learn(photo, after, size=3)
    assert kernel.verdict == study.CURVED
    assert np.abs(kernel.weights / kernel.weights.sum() - BLUR).max() < 0.002
    assert np.abs(learn(photo, after, size=3, examine=False).weights - kernel.weights).max() > 0.002
    assert kernel.rmse < 0.35
    assert kernel.noise >= kernel.rmse
    assert kernel.r2 > 0.9999
    assert any("does not apply the curve" in note for note in kernel.notes)


def test_the_curve_makes_after_of_what_the_kernel_makes(photo):
    after = 255 * (filtered(photo) / 255) ** 0.7
    kernel = learn(photo, after, size=3)
    assert kernel.curve.shape[1] == 2
    assert (np.diff(kernel.curve, axis=0) >= 0).all()
    remade = np.interp(kernel(photo), *kernel.curve.T)
    assert np.sqrt(np.mean((remade - after[1:-1, 1:-1]) ** 2)) < 0.2


# What comes with it


def test_examine_false_gives_the_fit_alone(photo):
    kernel = learn(photo, rounded(filtered(photo)), size=3, examine=False)
    assert kernel.verdict is None
    assert kernel.evidence is None
    np.testing.assert_array_equal(kernel.weights, learn(photo, rounded(filtered(photo)), size=3).weights)


def test_evidence_is_saved_with_the_kernel(photo, tmp_path):
    kernel = learn(photo, scipy.ndimage.median_filter(photo, 3), size=3)
    assert all(np.isfinite(figure) for figure in kernel.evidence.values())
    kernel.save(tmp_path / "kernel.json")
    assert Kernel.load(tmp_path / "kernel.json") == kernel


def test_the_same_pair_has_the_same_verdict(photo, rng):
    after = rounded(filtered(photo) + rng.standard_normal(photo.shape))
    before = photo.copy()
    assert learn(photo, after, size=3) == learn(photo, after, size=3) == learn(photo, after, size=3)
    np.testing.assert_array_equal(photo, before)


def test_pairs_in_a_stream_are_judged_by_the_first_of_them(photo):
    whole = rounded(filtered(photo))
    parts = [(photo[y : y + 50], whole[y : y + 50]) for y in range(0, 200, 50)]
    assert learn(iter(parts), size=3).verdict == "a convolution, then rounded"
    assert learn(parts).verdict == "a convolution, then rounded"
    parts[2] = (parts[2][0], scipy.ndimage.median_filter(parts[2][0], 5))
    assert learn(iter(parts), size=3).verdict != "a convolution, then rounded"


@pytest.mark.parametrize(
    "options",
    [{"per_channel": True}, {"mix": True}, {"loss": "huber"}, {"background": 1}, {"weights": 1.0}],
    ids=lambda options: next(iter(options)),
)
def test_no_verdict_on_what_is_not_looked_at(options, rng):
    before = rng.random((30, 30, 2))
    after = corr2d(before, BLUR, padding="same", channel_axis=-1)
    assert learn(before, after, size=3, channel_axis=-1, **options).verdict is None


def test_a_kernel_solved_from_moments_has_no_verdict(photo):
    assert Moments.of(photo, photo, size=3).solve().verdict is None


# The study, in short


@pytest.mark.parametrize("name", study.CONVOLUTIONS)
def test_a_convolution_is_never_called_anything_else(name):
    for index in range(3):
        kernel, right = study.convolution(name, index, side=128)
        assert kernel.verdict in right


@pytest.mark.parametrize("name", study.OTHERS)
def test_what_is_none_is_told(name):
    found = [study.other(name, index, side=128) for index in range(3)]
    assert sum(kernel.verdict in right for kernel, right in found) >= 2


def test_tables_have_a_row_for_each_kind(monkeypatch):
    for kinds in (study.CONVOLUTIONS, study.OTHERS, study.CURVES):
        for name in list(kinds)[1:]:
            monkeypatch.delitem(kinds, name)
    verdicts, curves = study.tables(1)
    assert [row["pair"] for row in verdicts.rows] == [*study.CONVOLUTIONS, *study.OTHERS]
    assert [row["right"] for row in verdicts.rows] == [100, 100]
    assert [row["curve"] for row in curves.rows] == list(study.CURVES)
    assert curves.rows[0]["error of the kernel"] < 0.02


@pytest.mark.parametrize("as_float", [False, True])
def test_a_tone_curve_alone_is_found_without_a_size(as_float):
    before = np.random.default_rng(3).integers(0, 256, (120, 140)).astype(np.uint8)
    after = np.rint(255 * (before / 255) ** 0.7)
    given = (before / 255, after / 255) if as_float else (before, after.astype(np.uint8))
    kernel = learn(*given)
    assert kernel.verdict == "a convolution, then a tone curve"
    assert kernel.size == (1, 1)
    results = kernel(given[0])
    found = np.interp(results, *kernel.curve.T)
    assert np.abs(found - given[1]).mean() < 0.002 * given[1].max()
