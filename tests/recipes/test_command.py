"""`poseline recipe list | show | use` as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from poseline.projects.params_text import set_values

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text())
    return tmp_path


def poseline(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "poseline.cli", *words], cwd=folder, capture_output=True, text=True, check=False)


def test_list_is_a_table_with_the_published_ap(tmp_path: Path) -> None:
    done = poseline(tmp_path, "recipe", "list")
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.strip()}
    assert rows["name"][1:5] == ["network", "input", "epochs", "AP"]
    assert rows["fastpose-r50-2x"][1:6] == ["fastpose", "resnet50", "192x256", "270", "72.0"]
    assert rows["rtmpose-m-420e"][1:6] == ["rtmpose", "cspnext_medium", "192x256", "420", "74.6"]
    assert rows["mini"][5] == "-"
    assert "reproduced none of them" in done.stdout
    listed = json.loads(poseline(tmp_path, "recipe", "list", "--json").stdout)
    assert [one["name"] for one in listed] == list(rows)[1:-1]


def test_show_states_source_protocol_and_that_it_is_not_reproduced(tmp_path: Path) -> None:
    said = poseline(tmp_path, "recipe", "show", "rtmpose-s-420e").stdout
    assert "AP 71.6 as its source published it (COCO val2017, person boxes of 56.4 AP, with flip test); not reproduced" in said
    assert "rtmpose-s_8xb256-420e_coco-256x192.py" in said
    assert "deviates: " in said
    assert "train.schedule.kind: flat_cosine" in said
    values = json.loads(poseline(tmp_path, "recipe", "show", "rtmpose-s-420e", "--json").stdout)["values"]
    assert values["train.ema"] == 0.9998


def test_use_keeps_comments_and_order_and_shows_what_changes(project: Path) -> None:
    before = (project / "params.yaml").read_text()
    done = poseline(project, "recipe", "use", "fastpose-r50-1x")
    assert done.returncode == 0, done.stderr
    after = (project / "params.yaml").read_text()
    assert "train.epochs: 10 -> 200" in done.stdout
    assert "train.second_phase.augment: {} -> {box_noise: true}" in done.stdout
    assert "not reproduced by this project" in done.stdout
    old, new = before.splitlines(), after.splitlines()
    assert len(old) == len(new)
    changed = [(one, other) for one, other in zip(old, new, strict=True) if one != other]
    assert all(one.partition(":")[0] == other.partition(":")[0] for one, other in changed)
    assert all(one.partition(" # ")[2] == other.partition(" # ")[2] for one, other in changed)
    assert yaml.safe_load(after)["train"]["second_phase"] == {
        "epoch": 141, "restart": True, "milestones": [20, 50], "augment": {"box_noise": True},
    }  # fmt: skip
    assert poseline(project, "recipe", "use", "fastpose-r50-1x").stdout.startswith("recipe: ")


def test_use_works_on_another_file_and_dry_writes_nothing(project: Path) -> None:
    own = project / "own.yaml"
    own.write_text(set_values((project / "params.yaml").read_text(), {"train.amp": True, "train.processes": 2, "seed": 7}))
    text = own.read_text()
    dry = poseline(project, "recipe", "use", "vitpose-b", "--params", "own.yaml", "--dry")
    assert "values would change in own.yaml" in dry.stdout
    assert own.read_text() == text
    done = poseline(project, "recipe", "use", "vitpose-b", "--params", "own.yaml", "--json")
    changes = {change["key"]: change["after"] for change in json.loads(done.stdout)["changes"]}
    raw = yaml.safe_load(own.read_text())
    assert (changes["model.kind"], raw["model"]["kind"], raw["train"]["layer_decay"]) == ("vitpose", "vitpose", 0.75)
    assert (raw["train"]["amp"], raw["train"]["processes"], raw["seed"]) == (True, 2, 7)
    assert (project / "params.yaml").read_text() == (REPOSITORY / "params.yaml").read_text()


def test_an_older_file_gets_the_keys_that_it_lacks(project: Path) -> None:
    raw = yaml.safe_load((project / "params.yaml").read_text())
    for key in ("second_phase", "freeze", "layer_decay", "momentum", "nesterov", "decay_norms"):
        del raw["train"][key]
    del raw["loss"]
    (project / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    done = poseline(project, "recipe", "use", "hrnet-w32")
    assert done.returncode == 0, done.stderr
    assert "train.second_phase.epoch: not set -> 211" in done.stdout
    written = yaml.safe_load((project / "params.yaml").read_text())
    assert written["train"]["second_phase"]["augment"] == {"box_noise": True}
    assert written["loss"] == {"kind": "mse"}
    assert "freeze" not in written["train"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("use", "fastpose-r50-3x"), "error: recipe 'fastpose-r50-3x': there is none of that name. Did you mean 'fastpose-r50-"),
        (("show", "nothing"), "error: recipe 'nothing': there is none of that name. They are: "),
        (("use", "mini", "--params", "none.yaml"), "error: none.yaml: cannot be read"),
        (("use", "../../params"), "error: recipe '../../params': there is none of that name"),
    ],
)
def test_a_wrong_name_is_one_line_and_exit_2(project: Path, words: tuple[str, ...], told: str) -> None:
    before = (project / "params.yaml").read_bytes()
    done = poseline(project, "recipe", *words)
    assert done.returncode == 2
    assert done.stderr.startswith(told)
    assert len(done.stderr.splitlines()) == 1
    assert (project / "params.yaml").read_bytes() == before


def test_a_file_that_is_not_valid_stays_as_it_is(project: Path) -> None:
    text = (project / "params.yaml").read_text().replace("optimizer: adamw", "optimizer: lion")
    (project / "params.yaml").write_text(text)
    done = poseline(project, "recipe", "use", "mini")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "train.optimizer" in done.stderr
    assert (project / "params.yaml").read_text() == text
