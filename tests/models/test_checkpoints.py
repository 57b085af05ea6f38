from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from poseline.errors import DataError
from poseline.models.checkpoints import compare_states, read_checkpoint

STATE = {"a.weight": torch.ones(64, 64), "a.bias": torch.zeros(64)}


class Malicious:
    """Unpickling it would run a command."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_tensors_come_out_of_every_usual_wrapping(tmp_path: Path, wrapper: str | None, prefix: str) -> None:
    named = {prefix + name: tensor for name, tensor in STATE.items()}
    beside = {"epoch": 3, "meta": {"lr": np.float64(0.1), "losses": np.ones(2)}}
    torch.save(named if wrapper is None else {wrapper: named, **beside}, tmp_path / "w.pth")
    found = read_checkpoint(tmp_path / "w.pth")
    assert found.keys() == STATE.keys()
    assert torch.equal(found["a.weight"], STATE["a.weight"])


def test_old_files_and_safetensors_are_read(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file(STATE, tmp_path / "w.safetensors")
    assert read_checkpoint(tmp_path / "old.pth").keys() == read_checkpoint(tmp_path / "w.safetensors").keys() == STATE.keys()


@pytest.mark.parametrize("name", ["new.pth", "old.pth", "w.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.95])
def test_files_cut_short_are_refused_on_one_line(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    if path.suffix == ".safetensors":
        save_file(STATE, path)
    else:
        torch.save(STATE, path, _use_new_zipfile_serialization=name == "new.pth")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert_refused(path, "cut short or not a")


def test_files_that_hold_code_are_refused_and_do_not_run_it(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    torch.save({"state_dict": STATE, "extra": Malicious(mark)}, tmp_path / "new.pth")
    torch.save({"state_dict": STATE, "extra": Malicious(mark)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / f"raw{protocol}.pth").write_bytes(pickle.dumps({"w": Malicious(mark)}, protocol=protocol))
        assert_refused(tmp_path / f"raw{protocol}.pth", "'posix.system', which could run code; it was not loaded")
    torch.save(nn.Linear(2, 2), tmp_path / "module.pth")
    for name in ("new.pth", "old.pth", "module.pth"):
        assert_refused(tmp_path / name, "which could run code; it was not loaded")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "says"), [([1, 2], "got list"), ({}, "got dict"), ({"epoch": 3}, "'epoch' is int"), (STATE["a.bias"], "got Tensor")]
)
def test_files_without_weights_are_refused(tmp_path: Path, content: object, says: str) -> None:
    torch.save(content, tmp_path / "w.pth")
    assert_refused(tmp_path / "w.pth", says)


def test_a_missing_file_and_a_text_file_are_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path / "none.pth", "no such file")
    (tmp_path / "text.pth").write_text("not found\n")
    assert_refused(tmp_path / "text.pth", "not a PyTorch checkpoint")


def assert_refused(path: Path, says: str) -> None:
    with pytest.raises(DataError) as error:
        read_checkpoint(path)
    text = str(error.value)
    assert says in text
    assert text.startswith(str(path))
    assert "\n" not in text


def test_differences_show_the_first_ten_names_of_each_list() -> None:
    expected = {f"own{index}": (1,) for index in range(12)} | {"shared": (2,), "bn.num_batches_tracked": ()}
    text = compare_states(expected, {"theirs": (1,), "shared": (3,)}).describe()
    assert "12 missing: own0, own1, own2, own3, own4, own5, own6, own7, own8, own9, ... (2 more)" in text
    assert "1 unexpected: theirs" in text
    assert "1 wrong shape: shared (expected [2], got [3])" in text
    assert compare_states(expected, expected).count == 0
