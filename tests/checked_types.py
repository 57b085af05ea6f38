"""The type checker that the tests put on every function of the package: beartype, with jaxtyping's array shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, get_type_hints

from beartype import BeartypeConf, beartype

Function = TypeVar("Function", bound=Callable[..., object])

# As for mypy, an int will do where a float is asked.
_checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function: Function) -> Function:
    """The function with its arguments and result checked; as it is where a type is imported for type checkers alone."""
    try:
        get_type_hints(function)
    except NameError:
        return function
    return _checked(function)
