"""Sections of params.yaml about data: mini, data, validate, preprocess."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from poseline.config.base import Section
from poseline.kinds import Kinds

Split = Literal["train", "val"]

MiniSet = Literal["coco", "mpii", "posetrack"]
FORMATS = Kinds(
    "poseline.formats",
    {
        "coco": "poseline.datasets.coco.files",
        "coco-wholebody": "poseline.datasets.wholebody.files",
        "crowdpose": "poseline.datasets.crowdpose.files",
        "halpe": "poseline.datasets.halpe.files",
        "mpii": "poseline.datasets.mpii.annotations",
        "posetrack": "poseline.datasets.posetrack.annotations",
    },
)
"""Format of a data set -> the module that reads its annotations (see ``datasets/formats.py``)."""
PROTOCOLS = Kinds(
    "poseline.protocols",
    {
        "coco": "poseline.datasets.coco.evaluate:Coco",
        "coco-wholebody": "poseline.datasets.wholebody.evaluate:WholeBody",
        "halpe": "poseline.datasets.halpe.evaluate:Halpe",
        "crowdpose": "poseline.datasets.crowdpose.evaluate:CrowdPose",
        "mpii": "poseline.datasets.mpii.evaluate:Mpii",
        "mpii-multi": "poseline.datasets.mpii.evaluate_multi:MpiiMulti",
        "posetrack": "poseline.datasets.posetrack.evaluate:PoseTrack",
        "mot": "poseline.datasets.mot.evaluate:Mot",
    },
)
"""Protocol -> its class (see ``datasets/protocols.py``). The format of the same name is scored by it; others score result files only."""
DETECTIONS = "_detections"
"""What the name of a set's score under detected boxes ends in."""


class MiniConfig(Section):
    """The embedded data sets that are drawn from a seed, in the official formats."""

    seed: int = Field(default=20, ge=0)
    sets: tuple[MiniSet, ...] = ("coco", "mpii", "posetrack")
    image_wh: tuple[int, int] = (320, 240)
    coco_train_images: int = Field(default=1400, ge=1)
    coco_val_images: int = Field(default=200, ge=1)
    mpii_train_images: int = Field(default=500, ge=1)
    mpii_val_images: int = Field(default=120, ge=1)
    posetrack_train_videos: int = Field(default=8, ge=1)
    posetrack_val_videos: int = Field(default=6, ge=1)
    posetrack_frames: int = Field(default=24, ge=2, description="of a train video, 10 a second")
    posetrack_val_frames: tuple[int, int] = Field(default=(60, 150), description="least and most of a val video, 25 a second")
    max_people: int = Field(default=6, ge=1, le=12)
    processes: int = Field(default=0, ge=0, description="drawing processes; 0: one a core")

    @field_validator("posetrack_val_frames")
    @classmethod
    def _rising(cls, frames: tuple[int, int]) -> tuple[int, int]:
        if not 2 <= frames[0] <= frames[1]:
            raise ValueError("expected the least and the most number of frames, at least 2")
        return frames


class SplitConfig(Section):
    """One split: its annotation file or folder (relative to the set's ``annotations``) and its image folder."""

    annotations: str
    images: Path


class DatasetConfig(Section):
    """One data set in the files of its format. ``annotations`` is the folder (or file) whose content DVC watches."""

    format: str
    enabled: bool = True
    annotations: Path
    train: SplitConfig | None = Field(default=None, description="null: nothing to train on")
    val: SplitConfig | None = Field(default=None, description="null: nothing to score")
    detections: str | None = Field(default=None, description="detector results on val, COCO result format")
    head_boxes: str | None = Field(default=None, description="MPII: .mat with the head boxes of val (PCKh needs them)")
    skeleton: str | None = Field(default=None, description="keypoints of the files, a name or YAML file; null: the format's own")
    results: str = Field(default="", description="what is scored: data/predictions/NAME, or data/tracks/NAME for videos")

    @field_validator("format")
    @classmethod
    def _known(cls, name: str) -> str:
        return FORMATS.check(name)

    @model_validator(mode="after")
    def _any_split(self) -> DatasetConfig:
        if self.train is None and self.val is None:
            raise ValueError("train, val: both are null. Name the files of at least one split")
        return self

    def split(self, name: Split) -> SplitConfig | None:
        """The files of a split; None where the set has none."""
        return self.train if name == "train" else self.val


class DataConfig(Section):
    """The data sets by name, and the skeleton that one model learns for all of them."""

    skeleton: str = "union21"
    sets: dict[str, DatasetConfig]

    @field_validator("sets")
    @classmethod
    def _names(cls, sets: dict[str, DatasetConfig]) -> dict[str, DatasetConfig]:
        for name in sets:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name) or name.endswith(DETECTIONS):
                raise ValueError(f"'{name}': a set's name has letters, digits, _ and - only, and does not end in {DETECTIONS}")
        return sets


class ValidateConfig(Section):
    """Thresholds of the data checks. A check's severity is fixed: errors stop the pipeline, warnings do not."""

    check_images: Literal["none", "exists", "header", "decode"] = "header"
    box_tolerance_px: float = Field(default=2.0, ge=0)
    keypoint_outside_box: float = Field(default=0.5, ge=0, description="allowed distance outside the box, in box sizes")
    max_warnings: float = Field(default=1.0, ge=0, le=1, description="share of people with warnings that becomes an error")
    html: bool = True


class PreprocessConfig(Section):
    """Person crops kept for training, larger than the input so that augmentation can move and turn them."""

    padding: float = Field(default=1.6, ge=1.0, description="extent of the stored crop over the person box")
    resolution: float = Field(default=1.0, gt=0, le=4, description="stored pixels per network-input pixel")
    jpeg_quality: int = Field(default=92, ge=50, le=100)
    shard_crops: int = Field(default=2000, ge=1)
    min_keypoints: int = Field(default=1, ge=1)
    min_box_px: float = Field(default=8.0, ge=0)
    processes: int = Field(default=0, ge=0)
