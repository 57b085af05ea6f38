"""The search space: what may stand in it, what optuna makes of it, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from poseline.errors import ConfigError
from poseline.sweep.space import Range, Space, read_space

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"


def read(folder: Path, text: str) -> Space:
    (folder / "space.yaml").write_text(text)
    return read_space(folder / "space.yaml", PARAMS)


def test_lists_and_ranges(tmp_path: Path) -> None:
    text = """
train.optimizer: [adam, adamw]
train.learning_rate: {low: 0.0001, high: 0.01, log: true}
train.batch_size: {low: 8, high: 32, step: 8}
model.input_wh: [[96, 128], [64, 64]]
train.ema: [null, 0.98]
"""
    space = read(tmp_path, text)
    assert space.grid() is None
    rate = space.parameters["train.learning_rate"]
    assert isinstance(rate, Range)
    assert (rate.is_whole, space.parameters["train.batch_size"].is_whole) == (False, True)  # type: ignore[union-attr]
    chosen = {
        "train.optimizer": '"adam"', "train.learning_rate": 0.00123456789, "train.batch_size": 24,
        "model.input_wh": "[64, 64]", "train.ema": "null",
    }  # fmt: skip
    assert space.values(chosen) == {
        "train.optimizer": "adam", "train.learning_rate": 0.00123457, "train.batch_size": 24,
        "model.input_wh": [64, 64], "train.ema": None,
    }  # fmt: skip


def test_a_space_of_lists_is_a_grid(tmp_path: Path) -> None:
    grid = read(tmp_path, "train.optimizer: [adam, sgd]\ntrain.epochs: [1, 2, 3]\n").grid()
    assert grid is not None
    assert len(grid) == len({tuple(one.items()) for one in grid}) == 6


def test_optuna_keeps_to_the_space(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = read(tmp_path, "train.learning_rate: {low: 0.001, high: 0.1, log: true}\ntrain.epochs: {low: 2, high: 9, step: 3}\n")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    found = [space.values(study.ask(space.distributions()).params) for _ in range(40)]
    assert {one["train.epochs"] for one in found} == {2, 5, 8}
    rates = [float(str(one["train.learning_rate"])) for one in found]
    assert 0.001 <= min(rates) < 0.005 < 0.03 < max(rates) <= 0.1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no parameters. Write a line for each"),
        ("[]", "no parameters"),
        ("train.learning_rat: [1, 2]", r"train.learning_rat: 1 is refused \(.*unknown key"),
        ("train.epochs: [1, many]", r"train.epochs: many is refused \(.*integer"),
        ("train.epochs: {low: -2, high: 3}", r"train.epochs: -2 is refused \(.*greater than or equal to 1"),
        ("train.epochs: []", r"train.epochs: expected a list of values, or \{low, high, log, step\}, got \[\]"),
        ("train.epochs: 3", r"expected a list of values, .*got 3"),
        ("train.epochs: [3, 3]", "a value stands twice"),
        ("train.epochs: {low: 3}", "train.epochs: high: "),
        ("train.epochs: {low: 3, high: 2}", "the first below the second, got 3 and 2"),
        ("train.epochs: {low: 1, high: 2, by: 1}", "by: "),
        ("train.weight_decay: {low: 0, high: 1, log: true}", "log: goes with a low above 0, and without step"),
        ("train.epochs: {low: 1, high: 3, step: 5}", "step: expected a number above 0 that fits"),
        ("train.epochs: {low: .nan, high: 3}", "finite number"),
        ("{", "not readable"),
    ],
)
def test_what_is_wrong_is_one_line(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "space.yaml") in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml: not readable \(.*No such file"):
        read_space(tmp_path / "nothing.yaml", PARAMS)
