"""What an adapter of a published project says of each network, and what the projects share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from poseline.codecs.scores import ScoreRule
from poseline.config import CodecConfig, ModelConfig
from poseline.config.network import HeatmapConfig
from poseline.config.params import Yaml
from poseline.core.skeletons import load_skeleton
from poseline.zoo.sizes import SIZES

if TYPE_CHECKING:  # loads torch, which listing does without
    from poseline.models.checkpoints import Renames


@dataclass(frozen=True)
class Preset:
    """A published network.

    Attributes:
        name: ``<project>/<network>``.
        licence: of the published weights.
        model: the network, its input, padding and normalisation.
        codec: how its outputs become keypoints, in the geometry that it was trained in.
        renames: (pattern, replacement) pairs that turn published parameter names into ours, each applied once to all names.
        skeleton: the keypoint set.
        score: how its authors score a person.
        flip: whether the published metric is with the flip test.
        metric: the published metric, 0..1, or None.
        protocol: what that metric is.
    """

    name: str
    licence: str
    model: ModelConfig
    codec: CodecConfig
    renames: Renames
    skeleton: str = "coco17"
    score: ScoreRule = "mean_visible"
    flip: bool = True
    metric: float | None = None
    protocol: str = ""

    @property
    def num_keypoints(self) -> int:
        """Keypoints that the network predicts."""
        return load_skeleton(self.skeleton).num_keypoints

    def describe(self) -> dict[str, Yaml]:
        """The row that `poseline models --json` prints: parameters, and 10^9 multiply-adds of one forward pass (gmacs), beside the rest."""
        parameters, gmacs = SIZES[self.name]
        network: dict[str, Yaml] = {"kind": self.model.kind, "backbone": self.model.backbone, "codec": self.codec.kind}
        size: dict[str, Yaml] = {"num_keypoints": self.num_keypoints, "input_wh": list(self.model.input_wh)}
        size |= {"parameters": parameters, "gmacs": gmacs}
        return {"preset": self.name, **network, **size, "metric": self.metric, "protocol": self.protocol, "licence": self.licence}


PUBLISHED_HEATMAP = CodecConfig(kind="heatmap", geometry="published", heatmap=HeatmapConfig(sigma=2.0, centre="integer", refine="quarter"))
"""Heat maps as all projects before UDP made and decoded them."""

COCO_56 = "AP, COCO val2017, boxes of 56.4 AP, flip test"
MPII_PCKH = "PCKh@0.5, MPII single-person val, flip test"

HEAD_LAYERS = r"(?:deconv_layers|final_layer|duc\d|conv_out)\."
BARE = ((rf"^(?!{HEAD_LAYERS})", "backbone."), (rf"^(?={HEAD_LAYERS})", "head."))
"""Names of networks that keep the backbone's layers beside the head's."""

FOREIGN = (r"^(?!backbone\.|head\.|keypoint_head\.)", "foreign.")
"""Keeps names outside a backbone and a head from fitting a preset whose files always have both."""


def replace_model(model: ModelConfig, **changes: str | bool | int | tuple[int, int]) -> ModelConfig:
    """The same network with some values changed, checked again."""
    return ModelConfig.model_validate({**model.model_dump(), **changes})
