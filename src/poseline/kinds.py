"""Implementations by name: the package's own, and those that other packages offer through an entry point."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import ClassVar, TypeVar
from weakref import WeakSet

from poseline.errors import BackendError, ConfigError

Base = TypeVar("Base")
FileKinds = dict[str, dict[str, EntryPoint]]
"""Group -> kind -> what a plug-in file of the project offers (see ``plugins.py``)."""


class Kinds:
    """The kinds of one component (codecs, trackers, ...). Nothing is imported before :meth:`load`.

    Args:
        group: name of the entry-point group, e.g. ``poseline.codecs``; also what an error calls the component.
        own: kind -> ``module:attribute`` in this package, or ``module`` where the module itself is the implementation.
    """

    tables: ClassVar[WeakSet[Kinds]] = WeakSet()
    in_files: ClassVar[FileKinds] = {}

    def __init__(self, group: str, own: Mapping[str, str]) -> None:
        self.group, self.own = group, dict(own)
        self.tables.add(self)

    @classmethod
    def use_files(cls, kinds: FileKinds) -> None:
        """Offer the kinds of plug-in files, in place of those of earlier ones."""
        changed = {group for group in {*kinds, *cls.in_files} if kinds.get(group) != cls.in_files.get(group)}
        cls.in_files = kinds
        for table in cls.tables:
            if table.group in changed:
                table.__dict__.pop("plugins", None)

    @cached_property
    def plugins(self) -> dict[str, EntryPoint]:
        """Kinds of other packages and of the project's own files, which go first; a name of ours cannot be taken."""
        found = {entry.name: entry for entry in entry_points(group=self.group)} | self.in_files.get(self.group, {})
        return {kind: entry for kind, entry in found.items() if kind not in self.own}

    @property
    def names(self) -> tuple[str, ...]:
        """Every kind, ours first."""
        return (*self.own, *sorted(self.plugins))

    def check(self, kind: str) -> str:
        """The kind, where there is such a one.

        Raises:
            ConfigError: there is none; names the closest.
        """
        if kind not in self.own and kind not in self.plugins:
            close = get_close_matches(kind, self.names, n=1)
            hint = f"Did you mean '{close[0]}'? " if close else ""
            raise ConfigError(f"unknown kind '{kind}'. {hint}Choose one of {', '.join(self.names)}.")
        return kind

    def load(self, kind: str) -> object:
        """The implementation of a kind.

        Raises:
            ConfigError: there is no such kind.
            BackendError: another package offers it but cannot be imported.
        """
        self.check(kind)
        if kind in self.own:
            name, _, attribute = self.own[kind].partition(":")
            module = import_module(name)
            return getattr(module, attribute) if attribute else module
        try:
            return self.plugins[kind].load()
        except Exception as error:  # whatever a foreign module raises
            raise BackendError(f"{self.group}: kind '{kind}' ({self.plugins[kind].value}) cannot be loaded: {error}") from error

    def load_class(self, kind: str, base: type[Base]) -> type[Base]:
        """The implementation of a kind, which must be a subclass of ``base``.

        Raises:
            ConfigError: there is no such kind.
            BackendError: another package offers it but cannot be imported, or it is no such class.
        """
        found = self.load(kind)
        if not isinstance(found, type) or not issubclass(found, base):
            raise BackendError(f"{self.group}: kind '{kind}' is not a subclass of {base.__module__}.{base.__qualname__}")
        return found
