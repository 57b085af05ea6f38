"""Search of tracker parameters on MOT Challenge sequences; the gain is that on sequences left out of the choice."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from poseline.config import config_hash
from poseline.config.params import Yaml
from poseline.config.tracking import TrackConfig
from poseline.errors import DataError
from poseline.progress import follow
from poseline.track.held_out import MIN_SEQUENCES, HeldOut, leave_one_out
from poseline.track.mot_sequences import Input, read_sequences, score_sequence, track_sequence
from poseline.track.tune import draw_candidates, override


def tune_on_sequences(
    start: TrackConfig, root: Path, *, candidates: int, seed: int, metric: Literal["hota", "mota", "idf1"], kind: Input
) -> tuple[HeldOut, dict[str, Yaml]]:
    """What the search found, and its report; ``overrides`` there are the best candidate's, empty where the gain did not hold.

    Every candidate tracks every sequence. The best one is chosen by the mean over the sequences, and what the choice is worth is told by
    choosing on all but one and scoring that one, for each in turn.

    Raises:
        DataError: no such folder, a bad file, or fewer than three sequences.
        ConfigError: nothing to tune for this kind.
    """
    sequences = read_sequences(root, kind, seed=seed)
    if len(sequences) < MIN_SEQUENCES:
        raise DataError(f"{root}: {len(sequences)} sequences for '{kind}', at least {MIN_SEQUENCES} are needed to leave one out.")
    drawn = draw_candidates(start, candidates, np.random.default_rng(seed))
    scores = np.zeros((len(drawn), len(sequences)))
    for row in follow(range(len(drawn)), f"{len(sequences)} sequences each", total=len(drawn), unit="candidates"):
        config = override(start, drawn[row])
        for column, sequence in enumerate(sequences.values()):
            tracked = track_sequence(config, sequence.detections, seed)
            scores[row, column] = score_sequence(sequence.ground_truth, tracked)[metric]
    result = leave_one_out(scores)
    overrides: dict[str, Yaml] = {f"track.{name}": value for name, value in drawn[result.best].items()} if result.held else {}
    names = list(sequences)
    summary: dict[str, Yaml] = {
        "kind": start.kind, "start": config_hash(start), "metric": metric, "seed": seed, "candidates": candidates, "input": kind,
        "sequences": list(names), "start_score": float(scores[0].mean()), "score": float(scores[result.best].mean()),
        "held_out_gain": result.gain, "held_out_interval": list(result.interval), "held": result.held, "overrides": dict(overrides),
        "gains": dict(zip(names, result.gains, strict=True)), "chosen": dict(zip(names, result.chosen, strict=True)),
        "trials": [{"candidate": row, "scores": scores[row].tolist(), "parameters": dict(drawn[row])} for row in range(len(drawn))],
    }  # fmt: skip
    return result, summary
