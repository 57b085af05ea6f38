from __future__ import annotations

from collections.abc import Sequence

import pytest

from poseline.config.tracking import TrackConfig
from poseline.errors import ConfigError, DataError
from poseline.track.base import OneOf, Span
from poseline.track.tune import override, search

NAMES = [f"video{i}" for i in range(9)]
SPACE = {
    "bytepose.match_threshold": Span(0.0, 1.0),
    "bytepose.confirm_hits": OneOf((1, 2, 3)),
    "bytepose.max_lost_seconds": Span(0.04, 2.4),
}


def _nearest_to_a_third(config: TrackConfig, names: Sequence[str]) -> float:
    return -abs(config.bytepose.match_threshold - 1 / 3) - 0.1 * (config.bytepose.confirm_hits - 1)


def test_finds_the_best_and_is_never_worse_than_the_start() -> None:
    result = search(TrackConfig(), _nearest_to_a_third, sequences=NAMES, reported=["val"], space=SPACE, num_candidates=40, seed=1)
    assert abs(result.config.bytepose.match_threshold - 1 / 3) < 0.1
    assert result.config.bytepose.confirm_hits == 1
    start = [trial.score for trial in result.trials if trial.candidate == 0]
    assert result.score >= max(start)


def test_the_same_seed_gives_the_same_search_and_another_another() -> None:
    runs = [
        search(TrackConfig(), _nearest_to_a_third, sequences=NAMES, reported=[], space=SPACE, num_candidates=9, seed=s) for s in (1, 1, 2)
    ]
    assert runs[0] == runs[1]
    assert runs[0].trials != runs[2].trials


def test_halving_gives_more_sequences_to_fewer_candidates() -> None:
    result = search(TrackConfig(), _nearest_to_a_third, sequences=NAMES, reported=[], space=SPACE, num_candidates=26, seed=0)
    rounds = sorted({trial.num_sequences for trial in result.trials})
    counts = [sum(trial.num_sequences == n for trial in result.trials) for n in rounds]
    assert rounds == [1, 3, 9]
    assert counts[0] == 27
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < 6


def test_the_reported_set_is_refused() -> None:
    with pytest.raises(DataError, match="'video3' is to be reported"):
        search(TrackConfig(), _nearest_to_a_third, sequences=NAMES, reported=["video3"])
    with pytest.raises(DataError, match="no sequences"):
        search(TrackConfig(), _nearest_to_a_third, sequences=[], reported=[])


def test_unknown_and_impossible_parameters_are_named() -> None:
    with pytest.raises(ConfigError, match=r"bytepose\.speed: unknown key"):
        override(TrackConfig(), {"bytepose.speed": 3})
    with pytest.raises(ConfigError, match=r"bytepose\.match_threshold: .* got 7"):
        override(TrackConfig(), {"bytepose.match_threshold": 7})


@pytest.mark.parametrize("kind", ["bytepose", "poseflow", "poseflow_published"])
def test_every_drawn_configuration_is_valid(kind: str) -> None:
    result = search(TrackConfig(kind=kind), lambda config, names: 0.0, sequences=NAMES, reported=[], num_candidates=60, seed=3)
    assert result.config == TrackConfig(kind=kind)
