"""Benchmarks write only files that git knows or ignores: a clean tree stays clean of untracked files."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
OUTPUT = re.compile(r"(?:reports|data)/[\w./-]+\.(?:json|md|png|csv)")


def git(*arguments: str) -> list[str]:
    return subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout.splitlines()


@pytest.mark.skipif(not (REPOSITORY / ".git").exists(), reason="no checkout of the repository")
@pytest.mark.parametrize("script", sorted(path.name for path in (REPOSITORY / "benchmarks").glob("*.py")))
def test_what_a_benchmark_writes_is_tracked_or_ignored(script: str) -> None:
    outputs = set(OUTPUT.findall((REPOSITORY / "benchmarks" / script).read_text(encoding="utf-8")))
    known = set(git("ls-files", "--", *outputs)) | set(git("check-ignore", "--", *outputs)) if outputs else set()
    assert outputs <= known
