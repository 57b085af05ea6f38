"""A project's folder may have any name: the store, its artifacts and the addresses that are printed lie in it all the same."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from poseline.artifacts import Layout
from poseline.config import MlflowConfig
from poseline.experiments import init_store, open_stage, tracking_uri
from poseline.experiments.lineage import masked
from poseline.experiments.store import artifact_location, sqlite_file, sqlite_uri
from poseline.report.lineage import list_commands

NAMES = (
    "feature%2Flogin", "run 3?b", "a%20b", "100%", "%41%", "a#b", "a+b&c=d", "it's", 'quote"s', "naïve-日本", "dots...", "a;b,c", "a@b:c",
    "[x]{y}", "back\\slash", "$HOME`tick`", "~tilde", "e\u0301", "*star|bar<>", "-dash", "%s%d", "??", "tab\there",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_store_and_artifacts_lie_in_the_project(tmp_path: Path, name: str, make_params, open_store, empty_store: Path, capfd) -> None:
    root = tmp_path / name
    (root / "reports/metrics").mkdir(parents=True)
    if name not in NAMES[:3]:  # making a store takes seconds, opening one does not
        shutil.copy(empty_store, root / "mlflow.db")
    with open_stage("score@coco", make_params(), Layout(root)):
        (root / "reports/metrics/coco.json").write_text('{"ap": 0.5, "protocol": {}}')
    assert "warning" not in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name], "nothing is written beside the project"
    assert {"mlflow.db", "mlartifacts"} < {path.name for path in root.iterdir()}
    store = open_store(tracking_uri(MlflowConfig(), root))
    [parent] = store.parents()
    assert parent.data.metrics == {"coco.ap": 0.5}
    fetched = store.client.download_artifacts(store.stage("score@coco").info.run_id, "metrics/coco.json", str(root))
    assert Path(fetched).read_text().startswith('{"ap": 0.5')
    assert [path.relative_to(root / "mlartifacts").parts[-1] for path in (root / "mlartifacts").rglob("*.json")] == ["coco.json"]


@pytest.mark.parametrize("name", NAMES)
def test_an_address_and_its_file_are_each_others_inverse(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "mlflow.db"
    assert sqlite_file(sqlite_uri(path)) == path
    assert artifact_location(sqlite_uri(path), path.parent) == (path.parent / "mlartifacts").as_uri()


def test_addresses_of_other_stores_name_no_file() -> None:
    for uri in ("http://host:5000", "postgresql://ann@host/runs", "databricks", "sqlite://"):
        assert sqlite_file(uri) is None
    assert sqlite_file("sqlite:///mlflow.db") == Path("mlflow.db")
    assert sqlite_file("sqlite:////data/mlflow.db?timeout=5") == Path("/data/mlflow.db")


def test_an_address_of_the_parameters_with_quotes_is_read_as_written(tmp_path: Path) -> None:
    config = MlflowConfig(uri=sqlite_uri(tmp_path / "a%b?/mlflow.db"))
    init_store(config, tmp_path)
    assert (tmp_path / "a%b?/mlflow.db").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".cache", "a%b?"]


def test_the_hint_is_one_word_of_a_shell_without_a_password() -> None:
    for uri in (*(sqlite_uri(Path("/runs") / name / "mlflow.db") for name in NAMES), "postgresql://ann:secret@host/runs"):
        hint = list_commands(store=uri)[-1][0]
        assert shlex.split(hint) == ["mlflow", "ui", "--backend-store-uri", masked(uri)]
        assert "secret" not in hint
