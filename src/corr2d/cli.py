"""The command line. Results go to stdout, talk to stderr; a command imports what it needs."""

import errno
import json
import os
import re
import shutil
import signal
import sys
import textwrap
from contextlib import contextmanager
from functools import partial
from math import isfinite, nan
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast

import click

from . import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .censored import Clipped
    from .images import Picture
    from .kernel import Kernel
    from .pair_files import PairReader, Pixels
    from .robust import Loss
    from .shift import Shift
    from .solve.constraints import Symmetry
    from .solve.family import FamilyName
    from .solve.penalty import Strength

_EXIT_CODES = """\b
Exit codes
  0    done
  1    the input cannot be used, or the output not be written; stderr says why
  2    the command was not understood
  130  interrupted; nothing half-written is left
"""

_MAX_PIXELS = click.option(
    "--max-pixels", type=click.IntRange(min=1), default=200_000_000, show_default=True,
    help="Larger pictures are refused before they are unpacked.",
)  # fmt: skip
_STRIDE = click.option(
    "--stride", type=click.IntRange(min=1), default=1, metavar="N",
    help="The result has every N-th pixel of every N-th row: a smaller picture.",
)  # fmt: skip
_DILATION = click.option(
    "--dilation", type=click.IntRange(min=1), default=1, metavar="N",
    help="The taps stand N pixels apart.",
)  # fmt: skip
_WIDE = 100  # characters: prose that is wider is hard to read
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


class _Commands(click.Group):
    """A group whose commands end in one plain sentence, never in a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(130)
        except OSError as error:
            if error.errno == errno.EPIPE:  # `corr2d show … | head -1`: click ends quietly
                raise
            where = f"{_shown(error.filename)}: " if error.filename else ""
            raise click.ClickException(where + (error.strerror or str(error))) from error
        except (ValueError, TypeError, ImportError) as error:
            raise click.ClickException(str(error)) from error
        except MemoryError as error:
            raise click.ClickException("not enough memory for pictures of this size.") from error
        except Exception as error:
            raise click.ClickException(
                f"this should not have happened, and is a fault in corr2d: {type(error).__name__}: {error}"
            ) from error


class _Size(click.ParamType[tuple[int, int]]):
    name = "N|ROWSxCOLUMNS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        parts = str(value).lower().replace("×", "x").split("x")
        if len(parts) > 2 or not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
            self.fail(
                f"{value!r} is not a size; write 3 for 3 x 3, or 3x5 for 3 rows and 5 columns.", param, ctx
            )
        return int(parts[0]), int(parts[-1])


class _Strength(click.ParamType["float | str"]):
    name = "strength"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "float | Literal['auto']":
        if value == "auto":
            return "auto"
        try:
            strength = float(value)
        except ValueError:
            strength = nan
        if not (isfinite(strength) and strength >= 0):
            self.fail(f"{value!r} is not a strength; write a number from 0 up, or auto.", param, ctx)
        return strength


class _Shift(click.ParamType["Shift"]):
    name = "auto|ROWS,COLUMNS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Shift":
        if value == "auto" or isinstance(value, tuple):
            return cast("Shift", value)
        parts = str(value).split(",")
        if len(parts) != 2 or not all(re.fullmatch("[+-]?[0-9]{1,9}", part) for part in parts):
            self.fail(
                f"{value!r} is not a shift; write auto, or -3,12 where AFTER lies 3 rows further up and 12 "
                f"columns further right.",
                param,
                ctx,
            )
        return int(parts[0]), int(parts[1])


@click.group(cls=_Commands, epilog=_EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="corr2d")
def cli() -> None:
    """Find the kernel that turned one picture into another, and run it on other pictures.

    \b
    corr2d learn before.png after.png -o kernel.json
    corr2d learn befores afters -o kernel.json
    corr2d apply kernel.json another.png -o result.png
    """  # noqa: D301 (click looks for the character itself)


@cli.command()
@click.argument(
    "pictures", type=click.Path(), nargs=-1, required=True, metavar="BEFORE AFTER [BEFORE AFTER]..."
)
@click.option(
    "--size", type=_Size(),
    help="Of the kernel: 3, or 3x5. Default: the smallest that explains the pairs.",
)  # fmt: skip
@_STRIDE
@_DILATION
@click.option(
    "--shift", type=_Shift(), default=(0, 0), metavar="auto|ROWS,COLUMNS",
    help="By how much AFTER lies further down and right, as --shift=-3,12; or auto, which finds it.",
)  # fmt: skip
@click.option("--per-channel", is_flag=True, help="One kernel for each colour, in place of one for all.")
@click.option("--mix", is_flag=True, help="One kernel from each colour of BEFORE to each of AFTER.")
@click.option(
    "--background", type=click.IntRange(0, 3), default=0, metavar="DEGREE",
    help="What was added beside the filter is a polynomial of the position, of degree 1 to 3.",
)  # fmt: skip
@click.option(
    "--loss", type=click.Choice(["squared", "huber", "tukey"]), default="squared", show_default=True,
    help="huber and tukey: pixels that are far off, such as dust or a caption, count little or not at all.",
)  # fmt: skip
@click.option(
    "--clipped", type=click.Choice(["auto", "excluded", "censored"]), default="auto", show_default=True,
    help="Pixels at the ends of their range are left out, or count as at least, or at most, that. auto: they "
    "count where leaving them out would bias the kernel.",
)  # fmt: skip
@click.option("--sum", type=float, help="What the taps sum to: 1 keeps the level of a picture, 0 none of it.")
@click.option("--nonnegative", is_flag=True, help="No tap is below zero.")
@click.option(
    "--symmetric", type=click.Choice(["left-right", "up-down", "4-fold", "radial"]), multiple=True,
    help="Taps that mirror each other are equal. May be given more than once.",
)  # fmt: skip
@click.option(
    "--ridge", type=_Strength(), default=0.0, metavar="NUMBER|auto",
    help="How strongly taps are pulled towards zero; auto: as blocks left out of the fit ask for.",
)  # fmt: skip
@click.option(
    "--smooth", type=_Strength(), default=0.0, metavar="NUMBER|auto",
    help="How strongly neighbouring taps are pulled towards each other; a number or auto.",
)  # fmt: skip
@click.option(
    "--rank", type=click.IntRange(min=1), metavar="N",
    help="The kernel is a sum of N products of a column and a row. Combines with --sum only.",
)  # fmt: skip
@click.option(
    "--family", type=click.Choice(["gaussian", "box", "disk", "motion"]),
    help="The kernel is a gain times this shape, and its measures are found. Combines with --sum only.",
)  # fmt: skip
@click.option("-o", "--output", type=click.Path(), help="Save the kernel to this file, as JSON.")
@click.option(
    "--picture",
    type=click.Path(),
    help="Draw the first pair, what the kernel makes of it, and the kernel and its error bars (matplotlib).",
)
@_MAX_PIXELS
@_JSON
def learn(
    pictures: tuple[str, ...], size: tuple[int, int] | None, stride: int, dilation: int, shift: "Shift",
    per_channel: bool, mix: bool, background: int, loss: "Loss", clipped: "Clipped",
    sum: float | None,  # noqa: A002 (the option's name)
    nonnegative: bool, symmetric: "tuple[Symmetry, ...]", ridge: "Strength", smooth: "Strength",
    rank: int | None, family: "FamilyName | None", output: str | None, picture: str | None,
    max_pixels: int, as_json: bool,
) -> None:  # fmt: skip
    """Find the kernel that turned BEFORE into AFTER; from several pairs, the one that did so in all of them.

    All are PNG, JPEG or TIFF. AFTER is as large as BEFORE, or smaller by the border of the kernel. Pixels of
    AFTER at the ends of their range, where the filter's result was cut off, are left out and counted; where
    noise makes that a bias, they count as at least, or at most, that.

    Several pairs are named in turn, BEFORE1 AFTER1 BEFORE2 AFTER2; or BEFORE and AFTER are folders, in which
    pictures of the same name are a pair. One pair is in memory at a time with --size, and all without it,
    with another --loss, with --shift auto or --clipped censored.
    """
    if len(pictures) % 2:
        raise click.UsageError(
            f"Pictures must come in pairs, BEFORE1 AFTER1 BEFORE2 AFTER2 ..., got {len(pictures)} of them: "
            f"{_shown(pictures[-1])} has no partner."
        )
    from .learning import learn as learn_kernel
    from .pair_files import PairReader, pairs_of

    names = pairs_of(pictures)
    one = len(names) == 1
    reader = PairReader(
        names, partial(_read, max_pixels=max_pixels, say=one), stride=stride, dilation=dilation,
        keep_first=picture is not None,
    )  # fmt: skip
    if (per_channel or mix) and not reader.colour:
        got = "two grey ones" if one else "grey ones"
        option = "--per-channel" if per_channel else "--mix"
        raise ValueError(f"{option} is for colour pictures, got {got}. Leave it out.")
    find = partial(
        learn_kernel, size=size, stride=stride, dilation=dilation, shift=shift,
        channel_axis=-1 if reader.colour else None, per_channel=per_channel, mix=mix,
        background=background, loss=loss, clipped=clipped, sum=sum, nonnegative=nonnegative,
        symmetric=symmetric or None, ridge=ridge, smooth=smooth, rank=rank, family=family,
    )  # fmt: skip
    at_once = one or size is None or loss != "squared" or clipped == "censored"
    kernel = _learn_from(reader, find, at_once=at_once)
    kernel = kernel.with_notes(*reader.notes(), **reader.provenance(), corr2d=__version__)
    _print_kernel(kernel, as_json)
    if output is not None:
        kernel.save(output)
        _say(f"kernel saved to {_shown(output)}")
    if picture is not None and reader.first is not None:
        from .plot import draw_pair

        draw_pair(*reader.first, kernel, picture, stride=stride, dilation=dilation)
        _say(f"picture drawn to {_shown(picture)}")


@cli.command()
@click.argument("kernel", type=click.Path())
@click.argument("image", type=click.Path())
@click.option("-o", "--output", type=click.Path(), required=True, help="Where to write: .png, .jpg or .tif.")
@click.option(
    "--mode", type=click.Choice(["reflect", "mirror", "nearest", "wrap", "constant"]), default="reflect",
    show_default=True, help="What lies beyond the border; constant: 0.",
)  # fmt: skip
@click.option(
    "--dtype", type=click.Choice(["uint8", "uint16", "float32", "float64"]),
    help="Of the result's pixels. Default: as IMAGE has. Integers are rounded and cut off where they end.",
)  # fmt: skip
@_STRIDE
@_DILATION
@_MAX_PIXELS
@_JSON
def apply(
    kernel: str, image: str, output: str, mode: Any, dtype: str | None, stride: int, dilation: int,
    max_pixels: int, as_json: bool,
) -> None:  # fmt: skip
    """Run the kernel of the file KERNEL over IMAGE; the result is as large as IMAGE, but for --stride."""
    import numpy as np

    from .images import write
    from .kernel import Kernel

    weights = Kernel.load(kernel)
    picture = _read(image, max_pixels)
    colour = picture.pixels.ndim == 3
    if weights.weights.ndim > 2 and not colour:
        option = "--per-channel" if weights.weights.ndim == 3 else "--mix"
        raise ValueError(
            f"{_shown(kernel)} has a kernel for each colour, but {_shown(image)} is grey. "
            f"Learn one without {option}."
        )
    result = weights(
        picture.pixels,
        padding="same",
        mode=mode,
        stride=stride,
        dilation=dilation,
        channel_axis=-1 if colour else None,
        dtype=dtype or picture.pixels.dtype,
    )
    alpha = None if picture.alpha is None else picture.alpha[::stride, ::stride]
    write(output, result, alpha=alpha)
    _say(f"result written to {_shown(output)}")
    cut_off = None
    if result.dtype.kind in "iu":
        ends = np.iinfo(result.dtype)
        cut_off = float(np.mean((result == ends.min) | (result == ends.max)))
        if cut_off > 0.001:
            _say(
                f"{100 * cut_off:.1f} % of its values are {ends.min} or {ends.max}, where {result.dtype} "
                f"ends: what lay beyond was cut off. To keep it, write a .tif with --dtype float32."
            )
    summary = {
        "output": os.fspath(output),
        "shape": list(result.shape),
        "dtype": str(result.dtype),
        "at_ends": cut_off,
    }
    click.echo(json.dumps(summary) if as_json else os.fsencode(output))


@cli.command()
@click.argument("kernel", type=click.Path())
@_JSON
def show(kernel: str, as_json: bool) -> None:
    """Say what the kernel of the file KERNEL is and how far to believe it, and print its weights."""
    from .kernel import Kernel

    _print_kernel(Kernel.load(kernel), as_json)


def _learn_from(reader: "PairReader", find: "Callable[[Any], Kernel]", *, at_once: bool) -> "Kernel":
    """Learn from the pairs, all at once or one after the other; errors name the pair that they are about."""
    try:
        if not at_once:
            with _progress(reader, "learned from") as pairs:
                return find(pairs)
        with _progress(reader, "read") as pairs:
            kept = list(pairs)
        return find(kept)
    except (ValueError, TypeError) as error:
        if reader.now is None or len(reader) == 1:
            raise
        raise ValueError(f"{' and '.join(map(_shown, reader.now))}: {error}") from error


@contextmanager
def _progress(reader: "PairReader", label: str) -> "Iterator[Iterator[Pixels]]":
    """Give the pairs, with a bar on a terminal if there are several, and say what they were."""
    if len(reader) > 1 and sys.stderr.isatty():
        bar = click.progressbar(length=len(reader), label=label, show_pos=True, file=sys.stderr)
        try:  # not `with`: Ctrl-C while the bar is first drawn would leave a terminal without its cursor
            bar.render_progress()
            yield reader.pairs(bar.update)
        finally:
            bar.render_finish()
    else:
        yield reader.pairs()
    if len(reader) > 1:
        _say(f"read {len(reader)} pairs: {reader.kinds()}")


def _print_kernel(kernel: "Kernel", as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(kernel.to_dict(), allow_nan=False))
        return
    from .describe import describe

    text = kernel.explain()
    if sys.stdout.isatty():  # not into a pipe, where programs look for whole sentences
        wide = min(shutil.get_terminal_size().columns, _WIDE)
        text = "\n\n".join(
            textwrap.fill(paragraph, wide, break_long_words=False, break_on_hyphens=False)
            for paragraph in text.split("\n\n")
        )
    click.echo(text + "\n")
    click.echo(describe(kernel, notes=False))


def _read(path: str, max_pixels: int, *, say: bool = True) -> "Picture":
    import logging

    from .images import read
    from .pair_files import described

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it says of damaged files, our error says
    picture = read(path, max_pixels=max_pixels)
    if say:
        _say(f"read {_shown(path)}: {described(picture)}")
    return picture


def _shown(path: object) -> str:
    return repr(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else str(path)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _terminated(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, _terminated)  # like Ctrl-C: files in the making are removed
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # file names that are no UTF-8, or a terminal that is ASCII
            stream.reconfigure(errors="backslashreplace")
    cli.main(prog_name="corr2d")
