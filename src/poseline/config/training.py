"""Sections of params.yaml about training: augment, train, mlflow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from poseline.config.base import Section


class AugmentConfig(Section):
    """Training augmentation; the draws of a sample depend on (seed, epoch, index) only.

    ``standard`` is one affine map and photometric changes on the stored crops. ``published`` is AlphaPose's, draw for draw, on the
    whole images (slower): it uses rotation_deg, scale, half_body, half_body_min_keypoints and box_noise, and has its own probabilities
    for the rest.
    """

    kind: Literal["standard", "published"] = Field(default="standard", description="published: AlphaPose's, on the whole images")
    flip: float = Field(default=0.5, ge=0, le=1)
    rotation_deg: float = Field(default=40.0, ge=0, le=180, description="standard deviation, clipped at twice that")
    rotation_probability: float = Field(default=0.6, ge=0, le=1)
    scale: float = Field(default=0.3, ge=0, lt=1)
    translation: float = Field(default=0.03, ge=0, le=0.5, description="standard deviation, in crop sizes")
    half_body: float = Field(default=0.0, ge=0, le=1)
    half_body_min_keypoints: int = Field(default=8, ge=1)
    brightness: float = Field(default=0.2, ge=0, lt=1)
    contrast: float = Field(default=0.2, ge=0, lt=1)
    colour: float = Field(default=0.1, ge=0, lt=1)
    erase: float = Field(default=0.0, ge=0, le=1, description="probability of one random rectangle filled with noise")
    box_noise: bool = Field(default=False, description="published: boxes with a detector's errors (its second training phase)")


class ScheduleConfig(Section):
    """Learning rate over epochs."""

    kind: Literal["cosine", "step", "constant"] = "cosine"
    warmup_steps: int = Field(default=100, ge=0)
    milestones: tuple[int, ...] = (90, 120)
    factor: float = Field(default=0.1, gt=0, lt=1)
    final: float = Field(default=0.01, ge=0, le=1, description="cosine: last learning rate over the first")


class TrainConfig(Section):
    """The training run."""

    epochs: int = Field(default=210, ge=1)
    batch_size: int = Field(default=64, ge=1, description="per process")
    learning_rate: float = Field(default=1e-3, gt=0)
    optimizer: Literal["adam", "adamw"] = "adamw"
    weight_decay: float = Field(default=0.01, ge=0)
    clip_norm: float | None = Field(default=None, gt=0)
    ema: float | None = Field(default=None, gt=0, lt=1, description="decay of the averaged weights that are validated and kept")
    schedule: ScheduleConfig = ScheduleConfig()
    sets: tuple[str, ...] | None = Field(default=None, description="names of data.sets to train on; null: all that have a train split")
    init_from: Path | None = Field(default=None, description="folder of a trained model to start from")
    processes: int | Literal["auto"] = 1
    nodes: int = Field(default=1, ge=1)
    rendezvous: str | None = Field(default=None, description="host:port of the first node, with nodes > 1")
    amp: bool = Field(default=False, description="bfloat16 autocast, on CUDA")
    channels_last: bool = True
    compile: Literal["none", "default", "max-autotune"] = Field(default="none", description="of the network, by torch.compile")
    deterministic: bool = Field(default=True, description="the same bits in every run on a GPU too (1 % slower); on the CPU always")
    threads: int = Field(default=0, ge=0, description="CPU threads per process; 0: cores / processes")
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = Field(
        default=0, description="data-loading processes per training process; auto: none on the CPU, else by the cores"
    )
    validate_every: int = Field(default=1, ge=1, description="epochs")
    validate_people: int = Field(default=400, ge=1, description="at most so many val people score the checkpoints")
    checkpoint_every: int = Field(default=1, ge=1, description="epochs")
    checkpoint_minutes: float = Field(default=5.0, ge=0, description="between two checkpoints within an epoch; 0: after each step")


class MlflowConfig(Section):
    """The experiment store. MLFLOW_TRACKING_URI wins where it is set."""

    enabled: bool = True
    experiment: str = "poseline"
    uri: str | None = Field(default=None, description="default: sqlite:///<repository>/mlflow.db")
    registered_model: str = "poseline"
    system_metrics: bool = True
