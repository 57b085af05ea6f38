"""Commands about the catalogue of weights: weights list, info, get, verify."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from poseline.cli.app import AsJson, Commands, app
from poseline.errors import FindingsError

if TYPE_CHECKING:
    from tqdm import tqdm

    from poseline.zoo.download import Progress
    from poseline.zoo.weight_cache import Check
    from poseline.zoo.weight_files import WeightFile

weights = typer.Typer(
    cls=Commands, help="Published detectors and pose networks: what they are, their licences, their files.", no_args_is_help=True
)
app.add_typer(weights, name="weights")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A name of `poseline weights list`.")]
Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Names; default: every file that is here.")]


@weights.command("list")
def list_weights(as_json: AsJson = False) -> None:
    """List every network of the catalogue: size, published AP, licence, commercial use, and whether it is here."""
    from poseline.zoo.weight_files import load_catalogue

    entries = load_catalogue().values()
    if as_json:
        print(json.dumps([_describe(entry) for entry in entries]))
        return
    print(f"{'name':<38} {'task':<9} {'MB':>6} {'AP':>5} {'commercial':<10} {'licence':<12} {'here':<9} protocol")
    for entry in entries:
        size = f"{entry.size / 1e6:.1f}" if entry.size else "?"
        metric = f"{100 * entry.ap:.1f}" if entry.ap is not None else "?"
        print(
            f"{entry.name:<38} {entry.task:<9} {size:>6} {metric:>5} {entry.commercial:<10} {entry.licence or 'not given':<12} "
            f"{_state(entry):<9} {entry.protocol or 'no published AP'}"
        )
    print("\ncommercial: by the licence of the file; what its training data allow is in `poseline weights info NAME`. ?: not known.")


@weights.command()
def info(name: Name, as_json: AsJson = False) -> None:
    """Show all that is known of one network."""
    from poseline.zoo.weight_files import find_entry

    described = _describe(find_entry(name))
    if as_json:
        print(json.dumps(described))
        return
    for key, value in described.items():
        print(f"{key:<22} {'not known' if value is None else json.dumps(value) if isinstance(value, dict | list) else value}")


@weights.command()
def get(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of `poseline weights list`.")], as_json: AsJson = False
) -> None:
    """Download networks into the cache, or from the mirror of POSELINE_MIRROR; what is there already is checked."""
    from poseline.zoo.weight_cache import check_file, download
    from poseline.zoo.weight_files import find_entry

    found = []
    for entry in [find_entry(name) for name in names]:
        with _Bar(entry.name) as progress:
            path = download(entry, progress=progress)
        check = check_file(entry)
        found.append({"name": entry.name, "file": str(path), "state": check.state, "sha256": check.found})
        if not as_json:
            print(f"{entry.name}: {path} ({check.state}), licence {entry.licence or 'not given'}")
    if as_json:
        print(json.dumps(found))


@weights.command()
def verify(names: Names = None, as_json: AsJson = False) -> None:
    """Check files of the cache against their hashes; exit code 1 where one is damaged or a named one is missing."""
    from poseline.zoo.weight_cache import check_file
    from poseline.zoo.weight_files import find_entry, load_catalogue

    entries = [find_entry(name) for name in names] if names else list(load_catalogue().values())
    checks = {entry.name: check_file(entry) for entry in entries}
    if not names:
        checks = {name: check for name, check in checks.items() if check.state != "missing"}
    if as_json:
        print(json.dumps([{"name": name, "file": str(c.path), "state": c.state, "sha256": c.found} for name, c in checks.items()]))
    else:
        for name, check in checks.items():
            print(_verdict(name, check))
        if not checks:
            print("no weights are here; `poseline weights get NAME` fetches them")
    wrong = [name for name, check in checks.items() if check.state in ("missing", "damaged")]
    if wrong:
        raise FindingsError(f"{', '.join(wrong)}: missing or damaged. Remove what is damaged and run `poseline weights get`.")


def _verdict(name: str, check: Check) -> str:
    match check.state:
        case "verified":
            return f"{name}: {check.path} is what the catalogue says (SHA-256 {check.found})"
        case "noted":
            return f"{name}: {check.path} is as first downloaded (SHA-256 {check.found}; its publisher states none)"
        case "missing":
            return f"{name}: {check.path} is missing"
        case "damaged":
            return f"{name}: {check.path} is damaged: expected SHA-256 {' or '.join(check.expected)}, got {check.found}"


def _describe(entry: WeightFile) -> dict[str, object]:
    from poseline.zoo.weight_files import cache_folder

    return {**entry.model_dump(mode="json"), "cached_at": str(cache_folder() / entry.file), "state": _state(entry)}


def _state(entry: WeightFile) -> str:
    """Whether the file is here, without reading it."""
    from poseline.zoo.weight_files import cache_folder

    return "here" if (cache_folder() / entry.file).is_file() else "-"


class _Bar:
    """A progress bar on stderr that appears with the first bytes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bar: tqdm[None] | None = None

    def __enter__(self) -> Progress:
        return self._advance

    def _advance(self, have: int, total: int | None) -> None:
        from tqdm import tqdm

        if self.bar is None:
            self.bar = tqdm(total=total, unit="B", unit_scale=True, desc=self.name, disable=not sys.stderr.isatty(), leave=False)
        self.bar.n = have
        self.bar.refresh()

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
