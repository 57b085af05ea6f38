"""What `poseline new` writes: dvc.yaml in the shape that the data need, params.yaml that the package reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from poseline.artifacts import Layout
from poseline.config import load_params, parse_params
from poseline.errors import ConfigError
from poseline.projects.code_file import check_stage
from poseline.projects.data_sets import OFFICIAL, plan_data
from poseline.projects.params_text import flow, replace_section, set_values
from poseline.projects.pipeline import (
    Shape,
    find_unnamed,
    list_stages,
    make_template,
    read_template,
    render_pipeline,
    same_stages,
    write_sets,
)

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = ("coco", "mpii", "posetrack")
MINI = Shape(True, NAMES, ("posetrack",), {name: name for name in NAMES})


def test_the_templates_are_those_of_the_source_tree() -> None:
    assert read_template("pipeline.yaml") == make_template((REPOSITORY / "dvc.yaml").read_text()), "run: poseline code"
    assert read_template("params.yaml") == (REPOSITORY / "params.yaml").read_text(), "run: poseline code"


def test_a_project_has_the_pipeline_of_the_source_tree_with_code_yaml_for_the_code() -> None:
    source = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
    made = yaml.safe_load(render_pipeline(MINI))["stages"]
    assert list(made) == ["code", *source]
    assert list_stages() == list(source)
    for name, stage in source.items():
        ours, theirs = made[name].get("do", made[name]), stage.get("do", stage)
        assert ours["params"] == [*theirs["params"], {"code.yaml": [f"stages.{name}"]}]
        assert ours.get("deps", []) == [dep for dep in theirs.get("deps", []) if not dep.startswith("src/")]
        assert {key: ours[key] for key in ("cmd", "outs")} == {key: theirs[key] for key in ("cmd", "outs")}


def test_the_shape_follows_the_data() -> None:
    made = yaml.safe_load(render_pipeline(Shape(False, ("own",), (), {"own": "coco"})))
    assert "mini" not in made["stages"]
    assert "mini" not in made["stages"]["report"]["params"]
    assert "data/tracks" not in str(made["stages"]["report"]["deps"])
    assert "data/predictions/own" in made["stages"]["report"]["deps"]
    assert made["stages"]["preprocess"]["deps"] == ["data/validated/own", "${data.sets.own.annotations}"]
    assert made["stages"]["track"]["foreach"] == {}
    assert "reports/plots/own.json" in str(made["plots"])
    assert same_stages(render_pipeline(MINI), render_pipeline(replace(MINI, scored={"other": "coco"})))
    assert not same_stages(render_pipeline(MINI), render_pipeline(replace(MINI, videos=())))


def test_a_data_set_that_dvc_yaml_does_not_name_is_seen(tmp_path: Path) -> None:
    """In the source tree, where a set is added to params.yaml alone."""
    text = (REPOSITORY / "dvc.yaml").read_text()
    more = replace(MINI, sets=(*NAMES, "own"), videos=("posetrack", "own"))
    assert find_unnamed(text, MINI) == []
    assert find_unnamed(text, replace(MINI, videos=())) == []
    assert find_unnamed(text, more) == ["own"]
    assert find_unnamed(write_sets(text, more), more) == []
    assert write_sets(write_sets(text, more), MINI) == text
    assert write_sets(write_sets(text, Shape(True, (), (), {})), MINI) == text
    (tmp_path / "src/poseline").mkdir(parents=True)
    (tmp_path / "dvc.yaml").write_text(text)
    (tmp_path / "params.yaml").write_text("data: {sets: {own: {annotations: a}}}")
    with pytest.raises(ConfigError, match=r"does not name the data set own .* Run: poseline code"):
        check_stage("preprocess", Layout(tmp_path))


@pytest.mark.parametrize("name", OFFICIAL)
def test_an_official_set_is_one_entry(name: str, tmp_path: Path) -> None:
    plan = plan_data(name, None, tmp_path)  # type: ignore[arg-type]
    raw = yaml.safe_load(plan.render(read_template("params.yaml")))
    params = parse_params(raw, source="params.yaml")
    assert list(params.data.sets) == [name]
    assert params.data.skeleton == OFFICIAL[name].skeleton
    assert "mini" not in raw
    assert raw.keys() == yaml.safe_load(read_template("params.yaml")).keys() - {"mini"}
    assert params.model.input_wh == (192, 256)
    assert f"datasets/{name}" in plan.notes[0]


def test_the_folder_of_an_official_set_must_hold_its_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no annotations/train.json. Expected the files of mpii"):
        plan_data("mpii", tmp_path, tmp_path / "project")
    with pytest.raises(ConfigError, match="--from mini draws its own data"):
        plan_data("mini", tmp_path, tmp_path)


def test_values_and_sections_change_and_the_rest_stays() -> None:
    text = read_template("params.yaml")
    changed = set_values(text, {"train.schedule.kind": "step", "seed": 7, "model.input_wh": [64, 96]})
    differing = [(old, new) for old, new in zip(text.splitlines(), changed.splitlines(), strict=True) if old != new]
    assert differing == [
        ("seed: 1", "seed: 7"),
        ("  input_wh: [96, 128]", "  input_wh: [64, 96]"),
        ("    kind: cosine   # cosine, flat_cosine, step, constant", "    kind: step   # cosine, flat_cosine, step, constant"),
    ]
    with pytest.raises(KeyError, match=r"train\.speed"):
        set_values(text, {"train.speed": 1})
    assert yaml.safe_load(replace_section(text, "mini", "")) == {k: v for k, v in yaml.safe_load(text).items() if k != "mini"}
    assert "drawn from a seed" not in replace_section(text, "mini", "")


@pytest.mark.parametrize("value", ["plain", "a: b", "yes", "No", "", "1e3", "/data/a b", "é", [1, None, {"x": True}], 0.005, "~", "-"])
def test_values_in_one_line_are_read_back(value: object) -> None:
    assert yaml.safe_load(f"key: {flow(value)}")["key"] == value  # type: ignore[arg-type]


def test_the_parameters_of_a_new_project_are_read(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(plan_data("mini", None, tmp_path).render(read_template("params.yaml")))
    assert load_params(tmp_path / "params.yaml") == load_params(REPOSITORY / "params.yaml")
