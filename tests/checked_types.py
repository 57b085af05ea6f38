"""The type checker that the tests put on every function of the package: beartype, with jaxtyping's array shapes.

A check costs a tenth of a millisecond, and some functions run a hundred thousand times in a test: each is checked on its first calls.
A function inside another would get its checker, which takes 6 ms to build, anew at every call of the outer one: those are not checked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache, wraps
from itertools import count
from typing import Any, TypeVar, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype

Function = TypeVar("Function", bound=Callable[..., object])

CHECKED_CALLS = 1000
"""Calls of a function that are checked in one process."""

# As for mypy, an int will do where a float is asked.
_checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


_jaxtyped = jaxtyping.jaxtyped


def install(packages: list[str]) -> None:
    """Check the functions and dataclasses of these packages, which must not be imported yet."""
    jaxtyping.jaxtyped = _unless_nested  # the hook looks it up there
    jaxtyping.install_import_hook(packages, f"{__name__}.check")


def _unless_nested(*, typechecker: Any) -> Callable[[Any], Any]:
    return lambda thing: thing if "<locals>" in getattr(thing, "__qualname__", "") else _jaxtyped(thing, typechecker=typechecker)


def check(function: Function) -> Function:
    """The function with its arguments and result checked; as it is where a type is imported for type checkers alone.

    The checker is built at the first call: most of the package's functions are called in few test processes.
    """
    calls = count(1)
    checked = cache(lambda: _build_checker(function))

    @wraps(function)
    def counted(*args: object, **kwargs: object) -> object:
        if next(calls) == CHECKED_CALLS:
            _stop_checking(function.__module__, function.__qualname__)
        return checked()(*args, **kwargs)

    return counted  # type: ignore[return-value]


def _build_checker(function: Function) -> Function:
    try:
        get_type_hints(function)
    except NameError:
        return function
    return _checked(function)


def _stop_checking(module: str, qualname: str) -> None:
    """Mark the function of this name as one that jaxtyping calls as it is; one inside another function stays checked."""
    found: object = sys.modules[module]
    for name in qualname.split("."):
        found = vars(found).get(name) if hasattr(found, "__dict__") else None
        found = found.fget if isinstance(found, property) else found.__func__ if isinstance(found, staticmethod | classmethod) else found
    if found is not None:
        found.__no_type_check__ = True  # type: ignore[attr-defined]
