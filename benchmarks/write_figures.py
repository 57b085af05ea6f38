"""Writes the figures that README and docs quote, from the files under reports/: `make figures`; with --check it writes nothing.

A figure stands in the text as

    <!-- figure: metrics/coco; ap; interval -->60.9 [58.8, 63.4]<!-- /figure -->

which names a JSON file under reports/, the place in it and the form. Steps of the place are parted by slashes; in a list a step is a
position, or `key=value&key=value`, which the entry has. Forms: `percent` (60.9), `interval` (with the 95 % interval that the file holds
beside it), or a format of Python, after a factor where one is needed: `.2f`, `,.0f`, `1000 .1f`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MARK = re.compile(r"(<!-- figure: (?P<file>[^;]+); (?P<place>[^;]+); (?P<form>[^;>]+?) -->)(?P<text>.*?)(<!-- /figure -->)")
METRIC = re.compile(r"\b(?:mAP|AP|PCKh(?:@0\.5)?|MOTA|HOTA|IDF1)\b(?: \(\w+\))?[:|* ]+(?:of |is )?[+-]?(\d{1,2}\.\d\d?|\.\d{3})\b")
"""A metric and its value as prose has them; each must stand in a mark. (PCKh@0.5 is a name.)"""
NAME = re.compile(r"\b(?:mAP|AP|PCKh|MOTA|HOTA|IDF1)\b")


class FigureError(ValueError):
    """A mark that names no figure, or a figure without a mark."""


def documents(root: Path) -> list[Path]:
    """README and the pages under docs/."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def look_up(content: object, place: str) -> object:
    """The value at a place of a JSON file.

    >>> look_up({"speed": [{"people": 5, "fps": 834.0}]}, "speed/people=5/fps")
    834.0
    """
    for step in place.split("/"):
        if isinstance(content, dict):
            content = content[step]
        elif isinstance(content, list) and step.isdigit():
            content = content[int(step)]
        elif isinstance(content, list):
            wanted = dict(part.split("=", 1) for part in step.split("&"))
            (content,) = [entry for entry in content if all(shown(entry.get(key)) == value for key, value in wanted.items())]
        else:
            raise KeyError(step)
    return content


def shown(value: object) -> str:
    """A value as a step names it."""
    return json.dumps(value) if isinstance(value, bool) else str(value)


def write(value: object, form: str, interval: object = None) -> str:
    """The figure as text.

    >>> write(0.6089, "percent"), write(0.6089, "interval", [0.588, 0.634]), write(0.0123, "1000 .1f"), write("udp", "s")
    ('60.9', '60.9 [58.8, 63.4]', '12.3', 'udp')
    """
    if form == "percent":
        return f"{100 * float(str(value)):.1f}"
    if form == "interval":
        low, high = (100 * float(end) for end in interval) if isinstance(interval, list) else (float("nan"),) * 2
        return f"{100 * float(str(value)):.1f} [{low:.1f}, {high:.1f}]"
    if form == "s":
        return str(value)
    factor, _, spec = form.rpartition(" ")
    return format(float(str(value)) * float(factor or 1), spec)


def renew(text: str, reports: Path, *, source: str) -> str:
    """The text with every figure as the reports have it now.

    Raises:
        FigureError: a file, or a place in it, does not exist.
    """

    def one(mark: re.Match[str]) -> str:
        path = reports / f"{mark['file']}.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            interval = look_up(content, f"{mark['place']}_interval") if mark["form"] == "interval" else None
            figure = write(look_up(content, mark["place"]), mark["form"], interval)
        except (OSError, KeyError, IndexError, ValueError) as error:
            raise FigureError(f"{source}: figure '{mark['file']}; {mark['place']}': {type(error).__name__}: {error}") from None
        return f"{mark[1]}{figure}{mark[6]}"

    return MARK.sub(one, text)


def unmarked(text: str) -> list[str]:
    """Metrics with a value that stands in no mark, in prose and in tables. Code blocks are left out."""
    prose = MARK.sub("", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [found[0] for found in METRIC.finditer(prose)] + unmarked_cells(prose)


def unmarked_cells(text: str) -> list[str]:
    """Rows of tables with a number in the column of a metric, or in the column `figure` beside a metric's name."""
    found, header = [], []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if cells and header:
            columns = [i for i, name in enumerate(header) if NAME.search(name) or (name == "figure" and NAME.search(cells[0]))]
            found += [line for i in columns if i < len(cells) and re.search(r"\d\.\d", cells[i])]
        header = (header or cells) if cells else []
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 where a figure is not that of the reports")
    check, stale = parser.parse_args().check, []
    for path in documents(ROOT):
        text = path.read_text(encoding="utf-8")
        new = renew(text, ROOT / "reports", source=path.name)
        stale += [path.name] if new != text else []
        for found in unmarked(new):
            raise FigureError(f"{path.name}: '{found}' stands in no mark. Give it one, and its file under reports/.")
        if new != text and not check:
            path.write_text(new, encoding="utf-8")
    print(f"figures: {', '.join(stale) or 'nothing'} {'is out of date' if check else 'written'}")
    sys.exit(1 if stale and check else 0)


if __name__ == "__main__":
    main()
