"""Search of tracker parameters: random candidates, successive halving over sequences, from a seed.

Reference:
    Jamieson and Talwalkar, Non-stochastic Best Arm Identification, AISTATS 2016 (successive halving).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import ValidationError

from poseline.config.params import describe_validation_error
from poseline.config.tracking import TrackConfig
from poseline.errors import ConfigError, DataError

Value = bool | int | float | str
Objective = Callable[[TrackConfig, Sequence[str]], float]


@dataclass(frozen=True)
class Span:
    """Numbers between ``low`` and ``high``, drawn evenly, or evenly in their logarithm; whole where ``whole``."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def draw(self, rng: np.random.Generator) -> Value:
        """One number."""
        value = np.exp(rng.uniform(np.log(self.low), np.log(self.high))) if self.log else rng.uniform(self.low, self.high)
        return round(value) if self.whole else float(value)


@dataclass(frozen=True)
class OneOf:
    """One of some values, each as likely."""

    values: tuple[Value, ...]

    def draw(self, rng: np.random.Generator) -> Value:
        """One value."""
        return self.values[int(rng.integers(len(self.values)))]


Space = Mapping[str, Span | OneOf]

DEFAULT_SPACES: dict[str, Space] = {
    "bytepose": {
        "bytepose.sure_score": Span(0.2, 0.7),
        "bytepose.match_threshold": Span(0.05, 0.5),
        "bytepose.unsure_match_threshold": Span(0.1, 0.6),
        "bytepose.oks_weight": Span(0.0, 1.0),
        "bytepose.sigma_scale": Span(1.0, 3.0, log=True),
        "bytepose.acceleration": Span(0.003, 0.1, log=True),
        "bytepose.max_lost_frames": Span(5, 60, log=True, whole=True),
        "bytepose.confirm_hits": OneOf((1, 2, 3)),
        "bytepose.relink.reach": Span(0.2, 1.5),
        "bytepose.relink.min_likeness": Span(0.3, 0.8),
    },
    "poseflow": {
        "poseflow.window": Span(3, 20, log=True, whole=True),
        "poseflow.epsilon": Span(0.02, 0.4, log=True),
        "poseflow.joint_box_poses": Span(0.15, 0.8, log=True),
        "poseflow.link_weight": Span(0.0, 10.0),
        "poseflow.min_gain": Span(0.0, 2.0),
        "poseflow.flow_distance": Span(3.0, 20.0, log=True),
        "poseflow.start_score": Span(0.2, 0.7),
        "poseflow.relink_frames": Span(5, 60, log=True, whole=True),
        "poseflow.relink_overlap": Span(0.1, 0.6),
    },
    "poseflow_released": {
        "poseflow_released.match_threshold": Span(0.05, 2.0, log=True),
        "poseflow_released.num_keypoints": Span(3, 12, whole=True),
        "poseflow_released.window_px": Span(8, 60, log=True, whole=True),
        "poseflow_released.link_frames": Span(5, 100, log=True, whole=True),
    },
}


@dataclass(frozen=True)
class Trial:
    """One evaluation: candidate number (0 is the starting configuration), parameters, sequences seen, score."""

    candidate: int
    parameters: dict[str, Value]
    num_sequences: int
    score: float


@dataclass(frozen=True)
class TuneResult:
    """The best configuration on all sequences, its score, and every evaluation in order."""

    config: TrackConfig
    score: float
    trials: tuple[Trial, ...]


def tune(
    config: TrackConfig,
    objective: Objective,
    *,
    sequences: Sequence[str],
    reported: Collection[str],
    space: Space | None = None,
    num_candidates: int = 32,
    keep: float = 1 / 3,
    seed: int = 0,
) -> TuneResult:
    """The configuration that scores best over ``sequences``.

    All candidates run on a few sequences, the best third on three times as many, and so on; those left run on all. The starting
    configuration stays in to the end, so the result is never worse than it on ``sequences``.

    Args:
        config: where to start; it also gives every parameter outside the space.
        objective: score of a configuration on some sequences, higher is better.
        sequences: names of the sequences to tune on.
        reported: names of those whose score will be reported; they must not be among ``sequences``.
        space: what to draw for each parameter (``bytepose.match_threshold``); by default that of the tracker's kind.
        num_candidates: configurations drawn, besides the first.
        keep: share of the candidates that goes on to the next round.
        seed: of the draws and of the order of the sequences.

    Raises:
        DataError: no sequences, or some of the reported ones among them.
        ConfigError: a parameter that does not exist or a value out of its range.
    """
    check_apart(sequences, reported)
    rng = np.random.default_rng(seed)
    order = [sequences[i] for i in rng.permutation(len(sequences))]
    space = DEFAULT_SPACES[config.kind] if space is None else space
    drawn = [{}, *({name: space[name].draw(rng) for name in space} for _ in range(num_candidates))]
    configs = [override(config, parameters) for parameters in drawn]
    alive, trials = list(range(len(drawn))), []
    for num_sequences in _budgets(len(order), len(drawn), keep):
        scores = {candidate: float(objective(configs[candidate], order[:num_sequences])) for candidate in alive}
        trials += [Trial(candidate, drawn[candidate], num_sequences, score) for candidate, score in scores.items()]
        ranked = sorted(alive, key=lambda candidate: (-scores[candidate], candidate))
        alive = sorted({0, *ranked[: max(1, round(len(ranked) * keep))]})
    return TuneResult(configs[ranked[0]], scores[ranked[0]], tuple(trials))


def check_apart(sequences: Collection[str], reported: Collection[str]) -> None:
    """Refuse to tune on what will be reported.

    Raises:
        DataError: no sequences, or some of the reported ones among them.
    """
    shared = sorted(set(sequences) & set(reported))
    if shared or not sequences:
        what = f"'{shared[0]}' is to be reported" if shared else "no sequences"
        raise DataError(f"track tune: {what}. Tune on other sequences than those reported (the training split).")


def override(config: TrackConfig, parameters: Mapping[str, Value]) -> TrackConfig:
    """The configuration with some dotted parameters changed.

    Raises:
        ConfigError: unknown parameter, or a value out of range.
    """
    raw = config.model_dump()
    for name, value in parameters.items():
        node = raw
        *parents, leaf = name.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    try:
        return TrackConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"track tune: {describe_validation_error(error)}") from None


def _budgets(num_sequences: int, num_candidates: int, keep: float) -> list[int]:
    """Sequences used in each round, rising to all of them."""
    rounds = 1 + int(np.ceil(np.log(max(num_candidates, 1)) / -np.log(keep)))
    budgets = {max(1, int(np.ceil(num_sequences * keep**back))) for back in range(rounds)}
    return sorted(budgets)
