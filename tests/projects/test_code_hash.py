"""What counts as another code: statements and values do, comments, docstrings and layout do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from poseline.errors import ConfigError
from poseline.projects.code_hash import hash_file
from poseline.projects.running_code import with_imports

BEFORE = '''
"""A module."""
from __future__ import annotations
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from pathlib import Path
LIMIT = 0.5
"""What it is."""
class A:
    """A class."""
    def run(self, x: int = 1, *more, **named) -> float:
        """Run."""
        return f"{x:.{LIMIT}f}" if x > LIMIT else [y for y in more if y]
'''
SAME = (
    BEFORE.replace("A class.", "Another text."), BEFORE.replace("LIMIT = 0.5", "LIMIT = (0.5)  # half"),
    BEFORE.replace('"""What it is."""\n', ""),
    BEFORE.replace("    from pathlib import Path", "    from pathlib import PurePath"), BEFORE.replace("\nclass", "\n\n\nclass"),
)  # fmt: skip
OTHER = (
    BEFORE.replace("0.5", "0.50001"), BEFORE.replace("0.5", "'0.5'"), BEFORE.replace("x > LIMIT", "x >= LIMIT"),
    BEFORE.replace("*more", "*rest"),
    BEFORE.replace("x: int = 1", "x: int = True"), BEFORE.replace(":.{LIMIT}f", ":.{LIMIT}e"), BEFORE + "print(1)\n",
)  # fmt: skip


def hash_text(folder: Path, text: str, name: str = "module.py") -> str:
    (folder / name).write_text(text)
    return hash_file(folder / name)


@pytest.mark.parametrize("text", SAME)
def test_comments_docstrings_and_layout_do_not_count(text: str, tmp_path: Path) -> None:
    assert text != BEFORE
    assert hash_text(tmp_path, text) == hash_text(tmp_path, BEFORE)


@pytest.mark.parametrize("text", OTHER)
def test_statements_count(text: str, tmp_path: Path) -> None:
    assert text != BEFORE
    assert hash_text(tmp_path, text) != hash_text(tmp_path, BEFORE)


def test_of_yaml_the_values_count(tmp_path: Path) -> None:
    assert hash_text(tmp_path, "a: 1  # one\n", "a.yaml") == hash_text(tmp_path, "# x\na:  1\n", "a.yaml")
    assert hash_text(tmp_path, "a: 1\n", "a.yaml") != hash_text(tmp_path, "a: 2\n", "a.yaml")


def test_what_cannot_be_parsed_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"module\.py: cannot be read"):
        hash_text(tmp_path, "def")


def test_files_beside_a_plug_in_that_it_imports_belong_to_it(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    texts = {"mine.py": "import helper\nfrom tools import filters, numbers\nimport numpy", "helper.py": "import far", "far.py": "",
             "tools/__init__.py": "", "tools/filters.py": "", "alone.py": ""}  # fmt: skip
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    found = {path.relative_to(tmp_path).as_posix() for path in with_imports([tmp_path / "mine.py"])}
    assert found == set(texts) - {"alone.py"}
