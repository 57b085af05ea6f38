"""Trackers side by side on real pedestrians' trajectories: HOTA, IDF1, MOTA, switches, number of ids.

    python benchmarks/trackers.py compare --real DIR [--inputs drop occlude detections] [--thin 1 2 4] [--seeds 3] [--trackers NAME ...]
    python benchmarks/trackers.py choose --real DIR

``DIR/mot`` (by default of $POSELINE_REAL) holds MOT Challenge sequences; the inputs are those of ``poseline.track.mot_sequences``. Where
the package `trackers` (2.6.1) is installed, its ByteTrack, SORT, OC-SORT and BoT-SORT run on the same boxes. Rows of
reports/benchmarks/real_tracking.json are replaced tracker by tracker, so that a part can be run again.

``choose`` asks what the defaults owe to these sequences: constants are varied one at a time, the best setting is chosen on all sequences
but one and measured on that one, on inputs and a seed that ``compare`` does not report.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np

from poseline.config.tracking import OfflineConfig, TrackConfig
from poseline.core.boxes import xywh_to_xyxy
from poseline.track.held_out import leave_one_out
from poseline.track.mot_sequences import Boxes, Input, RealSequence, read_sequences, score_sequence, track_sequence
from poseline.track.tune import override

OUT = Path("reports/benchmarks/real_tracking.json")
INPUTS: tuple[Input, ...] = ("drop", "occlude", "detections")
Run = Callable[[Boxes, int], Boxes]

CHOICE_SEED = 7
CHOICE_INPUTS: tuple[tuple[Input, int], ...] = (("drop", 2), ("occlude", 2), ("detections", 1))
CANDIDATES: tuple[dict[str, float], ...] = (
    {}, {"lost_cost": 2.5}, {"lost_cost": 8.0}, {"relative_score": 0.6}, {"relative_score": 0.8}, {"clutter_density": 0.005},
    {"clutter_density": 0.02}, {"acceleration": 5.0}, {"acceleration": 11.0}, {"oks_weight": 2.0}, {"oks_weight": 4.5},
    {"confirm_evidence": 0.0}, {"confirm_evidence": 2.5},
)  # fmt: skip


def own_trackers() -> dict[str, Run]:
    """Name -> run on boxes made into poses."""
    configs = {kind: TrackConfig(kind=kind) for kind in ("bytepose", "poseflow")}
    configs["bytepose, offline"] = TrackConfig(offline=OfflineConfig(enabled=True))
    return {name: partial(track_sequence, config) for name, config in configs.items()}


def public_trackers() -> dict[str, Run]:
    """Name -> run on boxes; none where the package is missing."""
    try:
        supervision, trackers = import_module("supervision"), import_module("trackers")  # not among our extras: for this comparison alone
    except ImportError:
        return {}

    def run(make: Callable[[], object]) -> Run:
        def track(boxes: Boxes, _: int) -> Boxes:
            tracker, out = make(), {}
            for frame, rows in boxes.items():
                detections = supervision.Detections(xywh_to_xyxy(rows[:, :4]), confidence=rows[:, 4], class_id=np.zeros(len(rows), int))
                found = tracker.update(detections)
                if found.tracker_id is not None and len(found):
                    kept = found.tracker_id >= 0
                    xyxy = found.xyxy[kept]
                    out[frame] = np.column_stack([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2], found.tracker_id[kept]])
            return out

        return track

    return {
        "ByteTrack": run(trackers.ByteTrackTracker),
        "SORT": run(trackers.SORTTracker),
        "OC-SORT": run(trackers.OCSORTTracker),
        "BoT-SORT, no camera": run(lambda: trackers.BoTSORTTracker(enable_cmc=False)),
    }


def measure(run: Run, root: Path, kind: Input, stride: int, seeds: list[int]) -> dict[str, dict[str, float]]:
    """Sequence -> metrics, means over the seeds."""
    rows: dict[str, list[dict[str, float]]] = {}
    for seed in seeds[:1] if kind == "detections" else seeds:
        for name, sequence in read_sequences(root, kind, seed=seed, stride=stride).items():
            rows.setdefault(name, []).append(score_sequence(sequence.ground_truth, run(sequence.detections, seed)))
    return {name: mean(found) for name, found in rows.items()}


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each metric."""
    return {name: round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0]}


def summarise(table: Mapping[str, Mapping[str, Mapping[str, float]]], sequences: Mapping[str, RealSequence]) -> dict[str, object]:
    """Of one input: a row a tracker, and where public ones are among them the default's lead over the best of them."""
    rows = [{"tracker": name, **mean([dict(row) for row in each.values()]), "sequences": each} for name, each in table.items()]
    true_ids = {name: len({int(i) for boxes in one.ground_truth.values() for i in boxes[:, 4]}) for name, one in sequences.items()}
    found: dict[str, object] = {"ground_truth_ids": true_ids, "mean_ground_truth_ids": round(float(np.mean(list(true_ids.values()))), 1)}
    public = [name for name in table if not name.startswith(("bytepose", "poseflow"))]
    if public and "bytepose" in table:
        means = {name: mean([dict(row) for row in each.values()]) for name, each in table.items()}
        found["lead"] = {key: round(means["bytepose"][key] - max(means[name][key] for name in public), 4) for key in ("hota", "idf1")}
        found["best_public"] = max(public, key=lambda name: means[name]["hota"])
        gaps = {name: row["hota"] - max(table[one][name]["hota"] for one in public) for name, row in table["bytepose"].items()}
        behind = min(gaps, key=lambda name: gaps[name])
        found["worst"] = {"sequence": behind, "hota_lead": round(gaps[behind], 4)}
    return found | {"trackers": rows}


def compare(arguments: argparse.Namespace, known: dict[str, object]) -> None:
    """Measure the trackers on each input, and write after each."""
    runs = own_trackers() | public_trackers()
    chosen = {name: run for name, run in runs.items() if not arguments.trackers or name in arguments.trackers}
    results = {(one["input"], one["stride"]): one for one in known.get("results", [])}  # type: ignore[attr-defined]
    for stride in arguments.thin:
        for kind in arguments.inputs:
            old = results.get((kind, stride), {"trackers": []})
            table = {row["tracker"]: row["sequences"] for row in old["trackers"]}
            for name, run in chosen.items():
                table[name] = measure(run, arguments.real / "mot", kind, stride, list(range(arguments.seeds)))
                row = mean(list(table[name].values()))
                print(f"{kind:10s} 1/{stride} {name:20s}", *(f"{key} {value:.4g}" for key, value in row.items()), flush=True)
            ordered = {name: table[name] for name in runs | table if name in table}
            summary = summarise(ordered, read_sequences(arguments.real / "mot", kind, stride=stride))
            results[kind, stride] = {"input": kind, "stride": stride, "seeds": arguments.seeds, **summary}
            known["results"] = [results[key] for key in sorted(results, key=lambda key: (key[1], INPUTS.index(key[0])))]
            arguments.out.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def choose(arguments: argparse.Namespace, known: dict[str, object]) -> None:
    """What the best of the candidates, chosen without a sequence, gains on it over the defaults; HOTA."""
    rows: list[dict[str, dict[str, float]]] = []
    for changes in CANDIDATES:
        config = override(TrackConfig(), {f"bytepose.{name}": value for name, value in changes.items()})
        row: dict[str, dict[str, float]] = {}
        for kind, stride in CHOICE_INPUTS:
            for name, found in measure(partial(track_sequence, config), arguments.real / "mot", kind, stride, [CHOICE_SEED]).items():
                row.setdefault(name, {})[f"{kind} 1/{stride}"] = found["hota"]
        rows.append(row)
        print(changes, {name: round(float(np.mean(list(each.values()))), 4) for name, each in row.items()}, flush=True)
    scores = np.array([[np.mean(list(each.values())) for each in row.values()] for row in rows])
    result = leave_one_out(scores)
    names = list(rows[0])
    known["choice"] = {
        "seed": CHOICE_SEED, "inputs": [f"{kind} 1/{stride}" for kind, stride in CHOICE_INPUTS], "gain": round(result.gain, 4),
        "gain_interval": [round(end, 4) for end in result.interval], "held": result.held, "best": CANDIDATES[result.best],
        "sequences": {
            name: {"chosen": CANDIDATES[one], "gain": round(gain, 4)}
            for name, one, gain in zip(names, result.chosen, result.gains, strict=True)
        },
        "candidates": [
            {"changes": changes, "mean": round(float(row.mean()), 4), "scores": row.round(4).tolist()}
            for changes, row in zip(CANDIDATES, scores, strict=True)
        ],
    }  # fmt: skip
    arguments.out.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({key: known["choice"][key] for key in ("gain", "gain_interval", "held", "best", "sequences")}, indent=1))


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("compare", "choose"))
    parser.add_argument("--real", type=Path, default=os.environ.get("POSELINE_REAL"))
    parser.add_argument("--inputs", nargs="+", default=list(INPUTS), choices=INPUTS)
    parser.add_argument("--thin", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trackers", nargs="+", help="only these; default: all that are installed")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    if arguments.real is None:
        parser.error("no real data: give --real DIR or set POSELINE_REAL")
    arguments.real = Path(arguments.real)
    known: dict[str, object] = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.is_file() else {}
    (compare if arguments.what == "compare" else choose)(arguments, known)


if __name__ == "__main__":
    main()
