"""Kinds of components: ours, and those of other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import ClassVar

import pytest
from pydantic import Field, ValidationError

from poseline.config.base import KindSection, Section
from poseline.errors import BackendError, ConfigError
from poseline.kinds import Kinds


class Toy:
    """What an entry point names."""

    class Config(Section):
        speed: float = Field(default=1.0, gt=0)


def toy_kinds(*values: str) -> Kinds:
    kinds = Kinds("poseline.toys", {"own": "poseline.kinds:Kinds"})
    kinds.__dict__["plugins"] = {f"toy{i or ''}": EntryPoint(f"toy{i or ''}", value, "poseline.toys") for i, value in enumerate(values)}
    return kinds


class ToySection(KindSection):
    kinds: ClassVar[Kinds] = toy_kinds(f"{__name__}:Toy")
    kind: str = "own"
    shared: int = 1


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EntryPoint, "load", lambda self: Toy if self.name == "toy" else (_ for _ in ()).throw(ImportError("no such thing")))


def test_our_own_and_other_packages_kinds_are_listed_and_loaded() -> None:
    kinds = toy_kinds("x:Toy")
    assert kinds.names == ("own", "toy")
    assert kinds.load("own") is Kinds
    assert kinds.load("toy") is Toy


def test_an_unknown_kind_names_the_closest() -> None:
    with pytest.raises(ConfigError, match=r"unknown kind 'tay'. Did you mean 'toy'\? Choose one of own, toy"):
        toy_kinds("x:Toy").check("tay")


def test_a_kind_that_cannot_be_imported_says_whose_it_is() -> None:
    with pytest.raises(BackendError, match=r"kind 'toy1' \(x:Gone\) cannot be loaded: no such thing"):
        toy_kinds("x:Toy", "x:Gone").load("toy1")


def test_the_options_of_another_packages_kind_are_checked_by_its_own_config() -> None:
    section = ToySection.model_validate({"kind": "toy", "toy": {"speed": 2.0}})
    assert section.toy.speed == 2.0
    assert section.model_dump() == {"kind": "toy", "shared": 1, "toy": {"speed": 2.0}}
    assert ToySection(kind="toy").toy.speed == 1.0
    assert ToySection().model_dump() == {"kind": "own", "shared": 1}
    with pytest.raises(ValidationError, match="greater than 0"):
        ToySection.model_validate({"kind": "toy", "toy": {"speed": -1.0}})


def test_a_key_of_no_kind_is_an_error() -> None:
    with pytest.raises(ValidationError, match="unknown key 'colour'"):
        ToySection.model_validate({"colour": 1})
    with pytest.raises(ValidationError, match="unknown kind 'nosuch'"):
        ToySection(kind="nosuch")
