"""Where a model or a score came from, told from the store."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from poseline.artifacts import Layout, file_hash
from poseline.config import Params
from poseline.errors import DataError
from poseline.experiments import open_stage
from poseline.experiments.ancestry import describe, find_ancestry

LOCK = "stages: {{preprocess: {{cmd: x, outs: [{{path: data/processed, md5: {}}}]}}}}\n"


def execute(params: Params, layout: Layout, score: Callable[..., object], *, weights: bytes, ap: float) -> str:
    """An execution that trained a model, whose files are no network, and scored it; the hash of its weights."""
    with open_stage("train", params, layout):
        layout.model.mkdir(parents=True, exist_ok=True)
        (layout.model / "model.json").write_text("{}")
        (layout.model / "model.safetensors").write_bytes(weights)
    digest = file_hash(layout.model / "model.safetensors")
    with open_stage("score@coco", params, layout):
        score("coco", ap=ap, protocol={"flip": True, "weights": digest})
    return digest


@pytest.mark.timeout(300)
def test_a_models_run_its_parameters_and_what_else_came_from_its_data(
    layout: Layout, make_params: Callable[..., Params], score: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(layout.root)
    (layout.root / "dvc.lock").write_text(LOCK.format("a" * 32))
    first = execute(make_params(seed=1), layout, score, weights=b"first", ap=0.5)
    execute(make_params(seed=2), layout, score, weights=b"second", ap=0.6)
    found = find_ancestry("data/model", make_params(seed=1), layout)
    assert found.changed == {"seed": ("2", "1")}
    assert found.scores["coco.ap"] == 0.6
    assert [value for _, value in found.relatives] == [0.5]
    (layout.model / "model.safetensors").write_bytes(b"first")
    again = find_ancestry("data/model/model.safetensors", make_params(seed=1), layout)
    assert (again.facts["weights"], again.changed) == (first, {})
    assert again.run == found.relatives[0][0]
    by_score = find_ancestry("reports/metrics/coco.json", make_params(seed=1), layout)
    assert by_score.run == found.run
    run_id = found.run.partition("(")[2].rstrip(")")
    assert find_ancestry(f"runs:/{run_id}", make_params(seed=1), layout) == found
    text = describe(found)
    assert "differs from params.yaml here: seed 2 (here 1)" in text
    assert "on the same data: 1 other execution\n" in text
    (layout.root / "dvc.lock").write_text(LOCK.format("b" * 32))
    execute(make_params(seed=3), layout, score, weights=b"third", ap=0.7)
    assert find_ancestry("data/model", make_params(seed=1), layout).relatives == ()
    (layout.model / "model.safetensors").write_bytes(b"from elsewhere")
    with pytest.raises(DataError, match="knows no run with these weights"):
        find_ancestry("data/model", make_params(seed=1), layout)


def test_an_unknown_name_is_one_line(layout: Layout, make_params: Callable[..., Params]) -> None:
    with pytest.raises(DataError, match="nobody: no file, revision, experiment or MLflow run of that name"):
        find_ancestry("nobody", make_params(), layout)
