"""Which form of kernel was asked for, and what cannot be asked for with it."""

from typing import Any

from .family import Family
from .separable import Separable


def resolve_form(
    size: tuple[int, int],
    *,
    rank: Any,
    family: Any,
    sum: float | None,  # noqa: A002 (the word for it)
    nonnegative: Any,
    **constraints: Any,
) -> Separable | Family | None:
    """Check `rank` and `family`: None if neither is given, or every kernel is of that rank.

    Raises
    ------
    TypeError, ValueError
        If they have no meaning, are both given, or are given with a constraint other than `sum`.
    """
    asked = "rank" if rank is not None else "family" if family is not None else None
    if asked is None:
        return None
    others = {
        "nonnegative": nonnegative or None,
        **constraints,
        "family": family if rank is not None else None,
    }
    for name, value in others.items():
        if value is not None:
            raise ValueError(
                f"`{asked}` can be combined with `sum`, but not with `{name}`. Leave out one of them."
            )
    return Family.resolve(size, family, sum) if rank is None else Separable.resolve(size, rank, sum)
