"""Scores of a model that lies elsewhere, on this project's data; nothing of the pipeline is written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from poseline.artifacts import Layout, scratch_folder
from poseline.config import Params
from poseline.errors import ConfigError
from poseline.evaluation.scoring import ScoreFiles
from poseline.evaluation.set_scores import score_set
from poseline.stages import predict, track

BORROWED = ("mini", "validated", "processed")
"""Folders of data/ that prediction, tracking and scoring read as the project has them."""


def run(params: Params, layout: Layout, device: str, names: Iterable[str], model: Path) -> dict[str, ScoreFiles]:
    """The scores of a model on data sets, by their name; predictions and tracks are dropped. The stamp names its weights.

    Args:
        params: of prediction, tracking and scoring.
        layout: whose data are used.
        device: as the command names it.
        names: of the data sets.
        model: folder with model.json.

    Raises:
        ConfigError: the parameters run an ONNX file in place of a model.
    """
    if params.predict.runtime == "onnxruntime":
        raise ConfigError("score --model: predict.runtime is onnxruntime, which runs predict.onnx. Add --set predict.runtime=torch.")
    made: dict[str, ScoreFiles] = {}
    with tempfile.TemporaryDirectory(dir=scratch_folder(layout.cache)) as folder:
        there = lay_out(layout, model, Path(folder))
        for name in names:
            predict.run(params, there, device, name)
            if name in params.track.sets:
                track.run(params, there, name)
            made |= score_set(params, there, name)
    # What made them lay in a folder that is gone: the weights, the data and the protocol say what they are.
    return {name: replace(one, score=one.score.stamped(made_from=None)) for name, one in made.items() if one.score.enabled}


def lay_out(layout: Layout, model: Path, folder: Path) -> Layout:
    """A project in ``folder`` with this one's data and that model."""
    there = Layout(folder, layout.main or layout.root)
    (folder / "data").mkdir()
    for name in BORROWED:
        (folder / "data" / name).symlink_to((layout.root / "data" / name).resolve())
    there.model.symlink_to(model.resolve())
    return there
