"""The files of kernels: JSON that a person can read and edit, of finite numbers only."""

import json
import os
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .files import replace_file, stat_regular

_VERSION, _CONVENTION = 1, "cross-correlation"
_FILE_BYTES = 64 << 20
T = TypeVar("T")


def with_header(values: dict[str, Any], kind: str) -> dict[str, Any]:
    """Give values as JSON has them, below what says what they are; numbers that are not finite are None."""
    header = {"format": kind, "version": _VERSION, "convention": _CONVENTION}
    return header | {name: _plain(value) for name, value in values.items()}


def without_header(values: dict[str, Any], kind: str, known: set[str]) -> dict[str, Any]:
    """Give the values below the header. Raises ValueError if it is another one, or a key is not known."""
    values = dict(values)
    for key, expected in (("format", kind), ("version", _VERSION), ("convention", _CONVENTION)):
        if values.pop(key, None) != expected:
            turned = " A kernel of a true convolution must be turned by 180 degrees."
            raise ValueError(
                f'"{key}" must be {json.dumps(expected)}.{turned if key == "convention" else ""}'
            )
    if unknown := sorted(values.keys() - known):
        raise ValueError(f"unknown key {unknown[0]!r}; the keys are {', '.join(sorted(known))}.")
    return values


def save_values(path: str | os.PathLike[str], values: dict[str, Any]) -> None:
    """Write a file; an existing one is replaced in one step."""
    text = to_json(values)
    with replace_file(path) as file:
        # File names that are no UTF-8 hold lone surrogates, which JSON can write as \udc80
        # (test_surrogates).
        file.write(text.encode(errors="backslashreplace"))


def load_values(path: str | os.PathLike[str], make: Callable[[dict[str, Any]], T]) -> T:
    """Read a file, and make what its values describe; what is wrong with it names the file."""
    if stat_regular(path).st_size > _FILE_BYTES:
        raise ValueError(f"{os.fspath(path)!r} must be at most {_FILE_BYTES >> 20} MB to be a kernel file.")
    try:
        return make(from_json(Path(path).read_bytes()))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{os.fspath(path)!r} is not a kernel file that corr2d can read: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, float) and not isfinite(value):
        return None
    return value


def to_json(values: dict[str, Any]) -> str:
    """Write one key a line, and one row of a matrix or one parameter a line."""

    def block(value: Any, indent: str) -> str:
        if isinstance(value, list) and value and isinstance(value[0], list | str):
            inner = f",\n{indent}  ".join(block(v, indent + "  ") for v in value)
            return f"[\n{indent}  {inner}\n{indent}]"
        if isinstance(value, dict) and any(isinstance(v, list) for v in value.values()):
            pairs = (f"{json.dumps(k, ensure_ascii=False)}: {block(v, indent)}" for k, v in value.items())
            return "{\n" + ",\n".join(f"{indent}  {pair}" for pair in pairs) + f"\n{indent}}}"
        return json.dumps(value, ensure_ascii=False, allow_nan=False)

    return (
        "{\n"
        + ",\n".join(f"  {json.dumps(key)}: {block(value, '  ')}" for key, value in values.items())
        + "\n}\n"
    )


def from_json(content: bytes) -> dict[str, Any]:
    """Read one JSON object.

    Raises ValueError for anything else, a key that stands twice, or a number that is not finite.
    """

    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) != len(pairs):
            raise ValueError("a key stands twice.")
        return values

    def no_constant(name: str) -> Any:
        raise ValueError(f"{name} is not a number that a kernel can hold.")

    def finite(digits: str) -> float:
        return float(digits) if isfinite(float(digits)) else no_constant(digits)

    values = json.loads(
        content.decode("utf-8"),
        object_pairs_hook=no_duplicates,
        parse_constant=no_constant,
        parse_float=finite,
    )
    if not isinstance(values, dict):
        raise ValueError("it must hold one JSON object.")
    return values
