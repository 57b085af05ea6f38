"""The typed mirror of params.yaml: overrides, messages, round trip."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from poseline.config import Params, config_hash, dump_section, flatten, load_params
from poseline.errors import ConfigError

PARAMS = Path(__file__).parents[2] / "params.yaml"


def test_the_projects_own_file_is_valid() -> None:
    params = load_params(PARAMS)
    assert params.data.sets["coco"].enabled
    assert params.model.input_wh[0] % 32 == 0


def test_every_value_of_the_file_is_a_known_key() -> None:
    raw = yaml.safe_load(PARAMS.read_text())
    known = flatten(dump_section(load_params(PARAMS)))
    for key, value in flatten(raw).items():
        if not isinstance(value, dict):
            assert key in known, key


def test_overrides_change_one_value() -> None:
    params = load_params(PARAMS, ["train.epochs=3", "codec.kind=simcc", "model.input_wh=[64, 96]"])
    assert (params.train.epochs, params.codec.kind, params.model.input_wh) == (3, "simcc", (64, 96))
    assert params.train.batch_size == load_params(PARAMS).train.batch_size


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("codec.simcc.split_ratio=0.5", "params.yaml: codec.simcc.split_ratio: Input should be greater than or equal to 1, got 0.5"),
        ("train.epoch=3", "params.yaml: train.epoch: unknown key"),
        ("nonsense=1", "params.yaml: nonsense: unknown key"),
        ("model.input_wh=[100, 128]", "model: input_wh: both sides must be multiples of 32, got [100, 128]"),
        ("train.learning_rate=.nan", "train.learning_rate: Input should be a finite number"),
        ("train.processes=many", "train.processes"),
        ("seed.x=1", "'seed' is a value, not a section"),
        ("train.epochs", "expected KEY=VALUE"),
        ("model.backbone=resnet42", "model.backbone: unknown kind 'resnet42'. Did you mean 'resnet34'? The depths of a ResNet are 10, "),
        ("model.backbone=se_resnet110", "Did you mean 'se_resnet101'? The depths of a ResNet are 10, 18, 34, 50, 101, 152; any network"),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_key(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_params(PARAMS, [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_broken_yaml_say_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_params(tmp_path / "none.yaml")
    broken = tmp_path / "params.yaml"
    broken.write_text("seed: [1\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_params(broken)
    broken.write_text("- 1\n")
    with pytest.raises(ConfigError, match="expected a mapping"):
        load_params(broken)


def test_dump_and_parse_give_the_same_tree_and_hash() -> None:
    params = load_params(PARAMS)
    again = Params.model_validate(dump_section(params))
    assert again == params
    assert config_hash(again.train) == config_hash(params.train)
    assert config_hash(load_params(PARAMS, ["train.epochs=99"]).train) != config_hash(params.train)


def test_an_old_key_or_value_names_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from poseline.config import renamed

    monkeypatch.setitem(renamed.KEYS, "report.pictures", "report.images")
    monkeypatch.setitem(renamed.VALUES, "codec.geometry", {"legacy": "published"})
    with pytest.raises(ConfigError, match=r"report\.pictures: renamed, write report\.images"):
        load_params(PARAMS, ("report.pictures=3",))
    assert renamed.find_renamed({"codec": {"geometry": "legacy"}}) == "codec.geometry: value 'legacy' was renamed, write 'published'"
    assert renamed.find_renamed({"codec": {"geometry": "published"}}) is None
