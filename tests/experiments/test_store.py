"""Where the store is, and its set-up under bad conditions."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from poseline.config import MlflowConfig
from poseline.errors import BackendError
from poseline.experiments import init_store, tracking_uri
from poseline.experiments.store import SHORT_PATIENCE, connect

INIT = """
import sys
from pathlib import Path
from poseline.config import MlflowConfig
from poseline.experiments import init_store
init_store(MlflowConfig(), Path(sys.argv[1]))
print("mlflow" in sys.modules)
"""


def test_environment_wins_over_config_over_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking_uri(MlflowConfig(), tmp_path) == f"sqlite:///{tmp_path.resolve()}/mlflow.db"
    assert tracking_uri(MlflowConfig(uri="http://a"), tmp_path) == "http://a"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://b")
    assert tracking_uri(MlflowConfig(uri="http://a"), tmp_path) == "http://b"


def test_four_processes_make_one_sound_store(tmp_path: Path) -> None:
    words = [sys.executable, "-c", INIT, str(tmp_path)]
    racers = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    made = [racer.communicate(timeout=120)[0].strip() for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 4
    assert sorted(made) == ["False", "False", "False", "True"], "one process makes the store, the others find it made"
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        assert database.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_older_schema_is_upgraded(project: Path) -> None:
    (project / ".cache/mlflow-store.json").unlink()
    with sqlite3.connect(project / "mlflow.db") as database:
        [newest] = database.execute("SELECT version_num FROM alembic_version").fetchone()
    _downgrade(project / "mlflow.db")
    init_store(MlflowConfig(), project)
    with sqlite3.connect(project / "mlflow.db") as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchone() == (newest,)


def _downgrade(path: Path) -> None:
    """Take the newest migration back."""
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config, create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(f"sqlite:///{path}")
    config = _get_alembic_config(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "-1")
    engine.dispose()


def test_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database, but long enough to be taken for one " * 30)
    with pytest.raises(BackendError, match=r"mlflow\.db: cannot be used as experiment store"):
        init_store(MlflowConfig(), tmp_path)


def test_how_long_the_user_wants_to_wait_stays(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "MLFLOW_HTTP_REQUEST_TIMEOUT"
    for said, used in ((None, SHORT_PATIENCE[name]), ("120", "120")):
        monkeypatch.delenv(name, raising=False)
        if said is not None:
            monkeypatch.setenv(name, said)
        connect(MlflowConfig(), project)
        assert os.environ[name] == used
