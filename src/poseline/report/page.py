"""Pages and the model card from templates; everything a page needs is inside it."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

from jinja2 import BaseLoader, Environment, FunctionLoader, StrictUndefined

from poseline.report.scores import percent


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The template environment: HTML is escaped, an unknown name is an error."""
    folder = resources.files("poseline.report") / "templates"
    loader: BaseLoader = FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8"))
    made = Environment(
        loader=loader, autoescape=lambda name: name is not None and ".html" in name, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    made.filters["percent"] = percent
    return made


def render(template: str, **context: object) -> str:
    """The text of a template under its context."""
    return environment().get_template(template).render(**context)
