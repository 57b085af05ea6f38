"""What every section of params.yaml shares: frozen, unknown keys are errors, numbers are finite."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from poseline.kinds import Kinds


class Section(BaseModel):
    """Base of every section."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


class KindSection(Section):
    """A section that chooses one kind of a component and holds a sub-section of options for each.

    The options of our own kinds are fields of the section. A kind of another package keeps its options under its own name, checked by
    the ``Config`` (a :class:`Section`) of what its entry point names; the section then holds them as an attribute of that name.
    """

    model_config = ConfigDict(extra="allow")
    kinds: ClassVar[Kinds]
    kind: str

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        return cls.kinds.check(kind)

    @model_validator(mode="before")
    @classmethod
    def _check_plugins(cls, raw: object) -> object:
        if not isinstance(raw, dict):
            return raw
        known = set(cls.model_fields) | {field.alias for field in cls.model_fields.values()}
        wanted = dict.fromkeys(name for name in raw if name not in known)
        if raw.get("kind") in cls.kinds.plugins:
            wanted[raw["kind"]] = None
        checked = dict(raw)
        for name in wanted:
            if name not in cls.kinds.plugins:
                unknown = PydanticCustomError("unknown_key", "unknown key '{name}'", {"name": name})
                raise ValidationError.from_exception_data(cls.__name__, [{"type": unknown, "loc": (name,), "input": raw[name]}])
            config: type[Section] = cls.kinds.load(name).Config  # type: ignore[attr-defined]
            checked[name] = config.model_validate(raw.get(name, {}))
        return checked
