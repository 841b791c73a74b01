"""The text of a kernel file: JSON that a person can read and edit, of finite numbers only."""

import json
from math import isfinite
from typing import Any


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
