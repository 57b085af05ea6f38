"""Every reader on every oddity of real files: read as if it were not there, or refused in one line."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from official_files import DETECTIONS, FORMS, Form, coco_results, coco_truth, encode

from poseline.datasets.images import list_images
from poseline.errors import DataError, DataWarning

every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
Change = Callable[[object], object]


def floats(value: object) -> object:
    """Every whole number as a float, as pandas writes it."""
    if isinstance(value, dict):
        return {key: floats(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [floats(inner) for inner in value]
    if isinstance(value, str) and value.count(",") > 5:
        return "".join(",".join(str(float(part)) for part in line.split(",")) + "\n" for line in value.splitlines())
    return float(value) if type(value) is int else value


def backslashes(value: object) -> object:
    """Every file name as Windows writes it."""
    if isinstance(value, dict):
        return {key: backslashes(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [backslashes(inner) for inner in value]
    return value.replace("/", "\\") if isinstance(value, str) else value


def read_changed(form: Form, folder: Path, change: Change, encoding: str = "utf-8") -> object:
    """What is read of the files after a change of their content."""
    changed = {name: encode(change(copy.deepcopy(content)), encoding) for name, content in form.files.items()}
    return form.read(form.write(folder, changed))


@every_form
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_changes_nothing(form: Form, encoding: str, tmp_path: Path) -> None:
    assert read_changed(form, tmp_path / "odd", lambda content: content, encoding) == form.read(form.write(tmp_path / "plain"))


@every_form
def test_whole_numbers_may_be_floats(form: Form, tmp_path: Path) -> None:
    assert read_changed(form, tmp_path / "odd", floats) == form.read(form.write(tmp_path / "plain"))


@every_form
def test_windows_separators_are_separators(form: Form, tmp_path: Path) -> None:
    assert read_changed(form, tmp_path / "odd", backslashes) == form.read(form.write(tmp_path / "plain"))


@every_form
def test_files_that_a_mac_leaves_are_not_read(form: Form, tmp_path: Path) -> None:
    folder = form.write(tmp_path / "odd")
    for name in form.files:
        path = folder / name
        path.with_name("._" + path.name).write_bytes(b"\x00\x05\x16\x07\x00")
        for hidden in ("__MACOSX", ".hidden"):
            (path.parent / hidden).mkdir(exist_ok=True)
            (path.parent / hidden / ("._" + path.name)).write_bytes(b"\x00\x05\x16\x07")
    assert form.read(folder) == form.read(form.write(tmp_path / "plain"))


@every_form
@pytest.mark.parametrize("key", ["annotations", "results", "predictions"])
def test_a_list_of_results_may_stand_in_an_object(form: Form, key: str, tmp_path: Path) -> None:
    def wrap(content: object) -> object:
        return {"info": {}, key: content} if isinstance(content, list) else content

    assert read_changed(form, tmp_path / "odd", wrap) == form.read(form.write(tmp_path / "plain"))


def first_number(content: object, value: object) -> object:
    """The content with the first number of its first list of coordinates replaced."""
    if isinstance(content, str):
        return content.replace(",50,", f",{value},", 1)
    lists = ("keypoints", "bbox", "joints", "preds", "point")

    def spoil(node: object) -> bool:
        if isinstance(node, dict):
            for key in lists:
                if isinstance(inner := node.get(key), list) and not isinstance(inner[0], str):
                    while isinstance(inner[0], list | dict):
                        inner = inner[0]["x"] if isinstance(inner[0], dict) else inner[0]
                    inner[0] = value
                    return True
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        return any(spoil(child) for child in children)

    assert spoil(content)
    return content


@every_form
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), True, "12", None, [3], 10**400], ids=str)
def test_what_is_no_finite_number_is_refused(form: Form, value: object, tmp_path: Path) -> None:
    if not any(isinstance(content, dict | list) for content in form.files.values()) and not isinstance(value, float):
        pytest.skip("a text file: '12' and 12 are the same there")
    with pytest.raises(DataError) as error:
        read_changed(form, tmp_path, lambda content: first_number(content, value))
    assert "\n" not in str(error.value)


@every_form
def test_a_key_with_two_values_is_refused(form: Form, tmp_path: Path) -> None:
    name, content = next(iter(form.files.items()))
    if isinstance(content, str):
        pytest.skip("no JSON")
    text = json.dumps(content)
    key = "group" if '"group"' in text else "scale" if '"scale"' in text else "imgnum" if "imgnum" in text else "image_id"
    twice = text.replace(f'"{key}":', f'"{key}": 77, "{key}":', 1)
    with pytest.raises(DataError, match=f"the key '{key}' is given twice"):
        form.read(form.write(tmp_path, {name: twice.encode()}))


@every_form
def test_compressed_and_damaged_files_are_one_line(form: Form, tmp_path: Path) -> None:
    for bytes_of in (lambda data: gzip.compress(data), lambda data: data[: len(data) // 2] + b"\xff\xfe\xfd", lambda data: b"[" * 100_000):
        changed = {name: bytes_of(encode(content)) for name, content in form.files.items()}
        with pytest.raises(DataError) as error:
            form.read(form.write(tmp_path, changed))
        assert "\n" not in str(error.value)


def doubled(content: object) -> object:
    """The content with its first entry twice."""
    if isinstance(content, str):
        first, rest = content.split("\n", 1)
        return f"{first}\n{first}\n{rest}"
    if isinstance(content, list):
        return [content[0], *content]
    for key in ("annotations", "annolist"):
        if isinstance(entries := content.get(key), list):  # type: ignore[union-attr]
            content[key] = [entries[0], *entries]  # type: ignore[index]
    return content


@every_form
def test_an_id_given_twice_is_refused(form: Form, tmp_path: Path) -> None:
    """Where entries have ids; a detection that stands twice in a result list is a false positive to every official tool."""
    names = [name for name, content in form.files.items() if not isinstance(content, list)]
    if not any(name.startswith("truth") for name in names):
        pytest.skip("entries of lists have no ids")
    changed = {name: encode(doubled(copy.deepcopy(form.files[name]))) for name in names if name.startswith("truth")}
    with pytest.raises(DataError, match=r"twice|2 times|fault"):
        form.read(form.write(tmp_path, changed))


def test_image_folders_have_no_hidden_images(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "._a.PNG", ".hidden.jpg"):
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == ["a.PNG", "b.jpg"]


CATEGORIES = [name for name, form in FORMS.items() if "mpii" not in name and "mot" not in name and "2017" not in name]


def set_category(content: object, value: object) -> object:
    """The content with every entry of that category."""
    entries = content["annotations"] if isinstance(content, dict) else content
    for entry in entries:  # type: ignore[union-attr]
        entry["category_id"] = value
    return content


def rename_category(content: object, category: dict[str, object]) -> object:
    """The content with its one category called otherwise."""
    if isinstance(content, dict):
        names = content["categories"][0]["keypoints"]
        content["categories"] = [{**category, **({"keypoints": names} if "keypoints" in category else {})}]
    return set_category(content, category["id"])


@pytest.mark.parametrize("name", CATEGORIES)
def test_entries_of_other_categories_are_left_out_and_counted(name: str, tmp_path: Path) -> None:
    form = FORMS[name]

    def with_dogs(content: object) -> object:
        entries = content["annotations"] if isinstance(content, dict) else content
        for number, entry in enumerate(list(entries)):  # type: ignore[call-overload]
            own_id = {"id": 10_000 + number} if "id" in entry else {}
            entries.append({**copy.deepcopy(entry), "category_id": 18, **own_id})  # type: ignore[union-attr]
        if isinstance(content, dict):
            content["categories"].append({"id": 18, "name": "dog"})
        return content

    if name == "tracked poses":  # nothing says which of two categories are people
        with pytest.raises(DataError, match=r"poses of categories 1 \(6\), 18 \(6\)"):
            read_changed(form, tmp_path / "odd", with_dogs)
        return
    with pytest.warns(DataWarning, match=r"6 of 12 \w+ are not of category 1.* and are left out: category 18 \(6\)"):
        found = read_changed(form, tmp_path / "odd", with_dogs)
    assert found == form.read(form.write(tmp_path / "plain"))


@pytest.mark.parametrize("name", CATEGORIES)
def test_entries_of_a_category_that_is_not_listed_are_left_out(name: str, tmp_path: Path) -> None:
    form = FORMS[name]

    def strangers(content: object) -> object:
        return set_category(content, 9)

    if name == "tracked poses":
        assert read_changed(form, tmp_path / "odd", strangers) == form.read(form.write(tmp_path / "plain"))
        return
    with pytest.raises(DataError, match=r"none of the 6 \w+ is of category 1 'person'; they are of 9 \(6\)"):
        read_changed(form, tmp_path, strangers)


@pytest.mark.parametrize("name", [name for name in CATEGORIES if name != "detections"])
@pytest.mark.parametrize("category", [{"id": 0, "name": "human"}, {"id": 3, "name": "player", "keypoints": []}], ids=["plain", "named"])
def test_a_single_category_is_taken_whatever_it_is_called(name: str, category: dict[str, object], tmp_path: Path) -> None:
    form = FORMS[name]

    def rename(content: object) -> object:
        return rename_category(content, category)

    if name.startswith("posetrack") and "keypoints" not in category:  # keypoints are placed by these names
        with pytest.raises(DataError, match="expected one category with keypoint names"):
            read_changed(form, tmp_path, rename)
        return
    assert read_changed(form, tmp_path / "odd", rename) == form.read(form.write(tmp_path / "plain"))


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        ([{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}], "no category has keypoint names .1 'cat', 2 'dog'."),
        ([{"id": i, "name": f"kind {i}", "keypoints": ["x"]} for i in (1, 2)], "several categories have keypoint names"),
        ([{"id": 1, "name": "person"}, {"id": 1, "name": "dog"}], "category id 1 is given 2 times"),
        ([{"name": "person"}, {"name": "dog"}], "expected an integer 'id', got nothing"),
        ([3], "expected an object, got a number"),
        ("person", "expected a list, got a string"),
        ([{"id": 1, "name": "person", "keypoints": "nose"}], "expected a list of names under 'keypoints'"),
    ],
)
@pytest.mark.parametrize("name", ["coco scored", "coco annotations", "crowdpose annotations", "halpe scored", "posetrack scored"])
def test_categories_that_do_not_tell_are_refused(name: str, categories: object, message: str, tmp_path: Path) -> None:
    def replace_categories(content: object) -> object:
        return {**content, "categories": categories} if isinstance(content, dict) else content

    with pytest.raises(DataError, match=message):
        read_changed(FORMS[name], tmp_path, replace_categories)


def test_results_without_a_listed_category_follow_the_annotations(tmp_path: Path) -> None:
    form = Form({"truth.json": coco_truth("coco17", 17) | {"categories": []}, "preds.json": coco_results(17)}, FORMS["coco scored"].read)
    assert form.read(form.write(tmp_path)) == FORMS["coco scored"].read(FORMS["coco scored"].write(tmp_path / "plain"))
    changed = {"preds.json": encode(set_category(coco_results(17), 0))}
    with pytest.raises(DataError, match=r"none of the 6 results is of category 1; they are of 0 \(6\)"):
        form.read(form.write(tmp_path, changed))


def test_detections_are_of_cocos_person(tmp_path: Path) -> None:
    assert len(DETECTIONS) == 6
    assert np.isfinite(FORMS["detections"].read(FORMS["detections"].write(tmp_path))).all()
