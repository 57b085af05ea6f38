"""The recipes that the package holds, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib import resources

from pydantic import Field

from poseline.config import AugmentConfig, CodecConfig, LossConfig, ModelConfig, PredictConfig, PreprocessConfig, TrainConfig
from poseline.config.base import Section
from poseline.config.params import Yaml
from poseline.core.yaml_text import parse_yaml
from poseline.errors import ConfigError

OF_THE_RUN = frozenset(
    {
        "sets", "init_from", "teacher", "processes", "nodes", "rendezvous", "amp", "channels_last", "compile", "deterministic", "threads",
        "workers", "wait_minutes", "validate_every", "validate_people", "checkpoint_every", "checkpoint_minutes", "early_stop",
    }
)  # fmt: skip
"""Values of ``train`` that are no part of a recipe: which data, on which machine, and what is looked at on the way."""
OF_PREPROCESS = frozenset({"padding", "resolution"})
OF_PREDICT = frozenset({"flip", "score", "nms"})
"""Values of these sections that are a part of a recipe."""


class Published(Section):
    """The result that the source of a recipe published, and how it was measured.

    Attributes:
        ap: OKS AP, 0..1.
        data: the data set and its split.
        boxes: whose boxes.
        flip: whether outputs of the image and of its mirror image were averaged.
        stated_in: where the number stands.
    """

    ap: float = Field(gt=0, lt=1)
    data: str
    boxes: str
    flip: bool
    stated_in: str

    @property
    def protocol(self) -> str:
        """How the AP was measured, in words."""
        return f"{self.data}, {self.boxes}, {'with' if self.flip else 'without'} flip test"


class RecipeParams(Section):
    """What a recipe sets: sections of params.yaml, of which it names only what differs from the package's defaults."""

    preprocess: PreprocessConfig = PreprocessConfig()
    codec: CodecConfig = CodecConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    augment: AugmentConfig = AugmentConfig()
    train: TrainConfig = TrainConfig()
    predict: PredictConfig = PredictConfig()

    def parts(self) -> dict[str, Section]:
        """The sections by name."""
        return {name: getattr(self, name) for name in type(self).model_fields}


class Recipe(Section):
    """One recipe.

    Attributes:
        name: of the file.
        summary: what it trains.
        source: the paper, programs or configuration that it comes from.
        batch: how the source made up its batch; ``train.batch_size`` is the whole of it.
        published: the result that the source published; None where none is known.
        reproduced: whether this project has reached that result, or made it.
        deviations: what of the source cannot be expressed, or is not known.
        params: what it sets.
    """

    name: str
    summary: str
    source: str
    batch: str
    published: Published | None
    reproduced: bool = False
    deviations: tuple[str, ...]
    params: RecipeParams

    @property
    def claim(self) -> str:
        """What may be expected of it, in one sentence."""
        if self.reproduced:
            return "The project's own default: its metrics, made with this code, stand in reports/metrics/coco.json."
        if self.published is None:
            return "No AP of its source is known here, and this project has not trained it to the end."
        return f"AP {100 * self.published.ap:.1f} as its source published it ({self.published.protocol}); not reproduced by this project."

    def values(self) -> dict[str, Yaml]:
        """Every value that the recipe decides, by dotted key: the package's defaults too, so that nothing of an earlier recipe stays."""
        return {key: value for name, section in self.params.parts().items() for key, value in list_values(section, name) if _decides(key)}

    def own_values(self) -> dict[str, Yaml]:
        """Those that differ from the package's defaults."""
        default = {key: value for name, section in RecipeParams().parts().items() for key, value in list_values(section, name)}
        return {key: value for key, value in self.values().items() if default[key] != value}


def list_values(section: Section, prefix: str) -> list[tuple[str, Yaml]]:
    """Dotted key and plain value of each field, down to the fields that are no sections themselves."""
    found: list[tuple[str, Yaml]] = []
    plain = section.model_dump(mode="json")
    for name in type(section).model_fields:
        value = getattr(section, name)
        found += list_values(value, f"{prefix}.{name}") if isinstance(value, Section) else [(f"{prefix}.{name}", plain[name])]
    return found


def list_recipes() -> list[str]:
    """The names of all recipes."""
    return sorted(file.name.removesuffix(".yaml") for file in resources.files(__package__).iterdir() if file.name.endswith(".yaml"))


@cache
def load_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ConfigError: there is none.
    """
    names = list_recipes()
    if name not in names:
        close = get_close_matches(name, names, n=1)
        hint = f"Did you mean '{close[0]}'? " if close else ""
        raise ConfigError(f"recipe '{name}': there is none of that name. {hint}They are: {', '.join(names)}.")
    raw: Mapping[str, Yaml] = parse_yaml((resources.files(__package__) / f"{name}.yaml").read_text(encoding="utf-8"))
    return Recipe.model_validate({"name": name, **raw})


def _decides(key: str) -> bool:
    section, name = key.split(".")[:2]
    if section == "train":
        return name not in OF_THE_RUN
    return name in {"preprocess": OF_PREPROCESS, "predict": OF_PREDICT}.get(section, {name})
