"""The search space of a sweep: parameters, each with a list of values or a range, from a YAML file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import ValidationError, model_validator

from poseline.config import load_params
from poseline.config.base import Section
from poseline.config.params import Yaml, describe_validation_error
from poseline.core.yaml_text import parse_yaml
from poseline.errors import ConfigError
from poseline.projects.params_text import flow

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Number = int | float
"""Of a range whose ends are both whole, every value is whole."""


class Range(Section):
    """Values from ``low`` to ``high``, both included; evenly over their logarithm with ``log``, on a grid from ``low`` with ``step``."""

    low: Number
    high: Number
    log: bool = False
    step: Number | None = None

    @model_validator(mode="after")
    def _check(self) -> Range:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"low, high: expected two numbers, the first below the second, got {self.low} and {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log: goes with a low above 0, and without step")
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            raise ValueError(f"step: expected a number above 0 that fits between low and high, got {self.step}")
        return self

    @property
    def last(self) -> Number:
        """The largest value."""
        return self.high if self.step is None else self.low + int((self.high - self.low) / self.step + 1e-9) * self.step

    @property
    def is_whole(self) -> bool:
        """Whether the values are integers."""
        return all(isinstance(value, int) for value in (self.low, self.high, self.step or 0))


@dataclass(frozen=True)
class Space:
    """Parameters by their dotted key, each with the values that it may take."""

    parameters: Mapping[str, tuple[Yaml, ...] | Range]

    def describe(self) -> str:
        """The space as text; two spaces are the same where their texts are."""
        plain = {key: one.model_dump() if isinstance(one, Range) else list(one) for key, one in sorted(self.parameters.items())}
        return json.dumps(plain, sort_keys=True)

    def grid(self) -> list[dict[str, str | Number]] | None:
        """Every combination, as optuna names its values; None where a parameter has a range."""
        lists = {key: [json.dumps(value) for value in one] for key, one in self.parameters.items() if not isinstance(one, Range)}
        if len(lists) < len(self.parameters):
            return None
        return [dict(zip(lists, combination, strict=True)) for combination in product(*lists.values())]

    def distributions(self) -> dict[str, BaseDistribution]:
        """The space for optuna; values of lists are their JSON, for optuna takes no lists and mappings."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        found: dict[str, BaseDistribution] = {}
        for key, one in self.parameters.items():
            if not isinstance(one, Range):
                found[key] = CategoricalDistribution([json.dumps(value) for value in one])
            elif one.is_whole:
                found[key] = IntDistribution(int(one.low), int(one.last), log=one.log, step=int(one.step or 1))
            else:
                found[key] = FloatDistribution(one.low, one.last, log=one.log, step=one.step)
        return found

    def values(self, chosen: Mapping[str, str | Number]) -> dict[str, Yaml]:
        """What optuna chose, as parameters; numbers with six digits."""
        return {key: self._value(key, chosen[key]) for key in self.parameters}

    def _value(self, key: str, chosen: str | Number) -> Yaml:
        one = self.parameters[key]
        if isinstance(one, Range):
            return int(chosen) if one.is_whole else min(max(float(f"{float(chosen):.6g}"), one.low), one.high)
        value: Yaml = json.loads(str(chosen))
        return value


def read_space(path: Path, params: Path) -> Space:
    """The space of a file, every value of which the parameters take.

    Args:
        path: of the space.
        params: the project's params.yaml.

    Raises:
        ConfigError: no such file, no parameter, an unknown one, or a value that it does not take.
    """
    try:
        raw = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"{path}: not readable ({' '.join(str(error).split())[:120]}). Write key: [values] or key: {{low, high}}."
        ) from None
    if not isinstance(raw, dict) or not raw:
        raise ConfigError(f"{path}: no parameters. Write a line for each: train.learning_rate: {{low: 0.001, high: 0.01, log: true}}")
    space = Space({str(key): _read_values(value, f"{path}: {key}") for key, value in raw.items()})
    for key, one in space.parameters.items():
        for value in (one.low, one.high) if isinstance(one, Range) else one:
            try:
                load_params(params, [f"{key}={flow(value)}"])
            except ConfigError as error:
                raise ConfigError(f"{path}: {key}: {flow(value)} is refused ({error})") from None
    return space


def _read_values(value: Yaml, where: str) -> tuple[Yaml, ...] | Range:
    if isinstance(value, list) and value:
        if len({json.dumps(one) for one in value}) < len(value):
            raise ConfigError(f"{where}: a value stands twice. Leave it out.")
        return tuple(value)
    if isinstance(value, dict):
        try:
            return Range.model_validate(value)
        except ValidationError as error:
            raise ConfigError(f"{where}: {describe_validation_error(error)}") from None
    raise ConfigError(f"{where}: expected a list of values, or {{low, high, log, step}}, got {flow(value)}")
