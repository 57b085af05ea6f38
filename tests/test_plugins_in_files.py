"""``plugins`` in params.yaml: files of the project offer kinds as other packages do; what is wrong with one is said in a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from poseline.config import load_params
from poseline.config.tracking import TRACKERS
from poseline.errors import ConfigError, PoselineError
from poseline.kinds import Kinds
from poseline.plugins import GROUPS, use_plugins
from poseline.track.base import Tracker

SOURCE = Path(__file__).resolve().parents[1] / "src/poseline"
TRACKER = '''
from pydantic import Field

from poseline.config.base import Section
from poseline.track.base import Tracker

KINDS = {"poseline.trackers": {"mine": "Mine"}}


class Mine(Tracker):
    class Config(Section):
        reach: float = Field(default=2.0, gt=0)
'''


@pytest.fixture(autouse=True)
def no_plugins_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((SOURCE.parents[1] / "params.yaml").read_text())
    yield
    Kinds.use_files({})


def test_a_file_offers_a_kind_with_its_options(tmp_path: Path) -> None:
    (tmp_path / "my_tracker.py").write_text(TRACKER)
    params = load_params(tmp_path / "params.yaml", ["plugins=[my_tracker.py]", "track.kind=mine", "track.mine={reach: 3}"])
    assert params.plugins == ("my_tracker.py",)
    assert params.track.mine.reach == 3.0  # type: ignore[attr-defined]
    assert issubclass(TRACKERS.load_class("mine", Tracker), Tracker)
    with pytest.raises(ConfigError, match=r"track\.reach: .*greater than 0"):
        load_params(tmp_path / "params.yaml", ["plugins=[my_tracker.py]", "track.kind=mine", "track.mine={reach: 0}"])


def test_a_project_without_the_file_does_not_know_its_kind(tmp_path: Path) -> None:
    (tmp_path / "my_tracker.py").write_text(TRACKER)
    load_params(tmp_path / "params.yaml", ["plugins=[my_tracker.py]", "track.kind=mine"])
    with pytest.raises(ConfigError, match="unknown kind 'mine'"):
        load_params(tmp_path / "params.yaml", ["track.kind=mine"])


@pytest.mark.parametrize(
    ("listed", "text", "message"),
    [
        ("mine.py", "", "expected a list of Python files"),
        ("[gone.py]", None, "plugins: gone.py: cannot be read"),
        ("[my-file.py]", "", "expected a Python file with a name of letters"),
        ("[broken_plugin.py]", "def", "broken_plugin.py: not valid Python"),
        ("[quiet_plugin.py]", "x = 1", "does not say what it offers. Write, for example: KINDS = "),
        ("[quiet_plugin.py]", "KINDS = dict(a=1)", "does not say what it offers"),
        ("[typo_plugin.py]", 'KINDS = {"poseline.tracker": {"a": "A"}}\nclass A: ...', "'poseline.tracker'. Write poseline.trackers"),
        ("[empty_plugin.py]", 'KINDS = {"poseline.trackers": {"a": "A"}}', "KINDS names A, which the file does not define"),
        ("[own_plugin.py]", 'KINDS = {"poseline.trackers": {"bytepose": "A"}}\nclass A: ...', "'bytepose' is one of poseline's own"),
        ("[json.py]", 'KINDS = {"poseline.trackers": {"a": "A"}}\nclass A: ...', "another module has that name"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(listed: str, text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / listed.strip("[]")).write_text(text)
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_params(tmp_path / "params.yaml", [f"plugins={listed}"])


def test_two_files_may_not_offer_the_same_kind(tmp_path: Path) -> None:
    for name in ("first_plugin.py", "second_plugin.py"):
        (tmp_path / name).write_text(TRACKER)
    with pytest.raises(ConfigError, match=r"second_plugin\.py and first_plugin\.py both offer poseline\.trackers 'mine'"):
        use_plugins(["first_plugin.py", "second_plugin.py"], tmp_path)


def test_a_file_that_raises_is_named(tmp_path: Path) -> None:
    (tmp_path / "raising_plugin.py").write_text(TRACKER + "\nraise RuntimeError('no luck')\n")
    with pytest.raises(PoselineError, match=r"kind 'mine' \(raising_plugin:Mine\) cannot be loaded: no luck"):
        load_params(tmp_path / "params.yaml", ["plugins=[raising_plugin.py]", "track.kind=mine"])


def test_every_component_may_be_offered() -> None:
    texts = [path.read_text() for path in SOURCE.rglob("*.py")]
    assert set(GROUPS) == {group for text in texts for group in re.findall(r'= Kinds\(\s*"([\w.]+)"', text)}
