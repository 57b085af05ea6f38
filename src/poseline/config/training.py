"""Sections of params.yaml about training: augment, train, mlflow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

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

    kind: Literal["cosine", "flat_cosine", "step", "constant"] = "cosine"
    warmup_steps: int = Field(default=100, ge=0)
    milestones: tuple[int, ...] = Field(default=(90, 120), description="step: epochs at whose start the rate is multiplied by factor")
    factor: float = Field(default=0.1, gt=0, lt=1)
    flat: float = Field(default=0.5, ge=0, lt=1, description="flat_cosine: fraction of the epochs before the rate falls")
    final: float = Field(default=0.01, ge=0, le=1, description="cosine, flat_cosine: last learning rate over the first")


AugmentChanges = dict[str, bool | int | float | str]
"""Values of the section ``augment`` by name."""


def change_augment(augment: AugmentConfig, changes: AugmentChanges) -> AugmentConfig:
    """The section with some values changed, checked again.

    Raises:
        ValueError: a name or value that the section does not take.
    """
    try:
        return AugmentConfig.model_validate({**augment.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        raise ValueError(f"{name}: {'no value of augment' if first['type'] == 'extra_forbidden' else first['msg']}") from None


class SecondPhaseConfig(Section):
    """The last epochs of a run, with another augmentation, and where wanted a learning rate that starts anew.

    The optimiser, the averaged weights and the best model so far go on. AlphaPose's second phase restarts the rate and adds ``box_noise``;
    RTMPose's last 30 epochs weaken the augmentation.
    """

    epoch: int | None = Field(default=None, ge=1, description="its first epoch, counted from 0; null: there is none")
    restart: bool = Field(default=False, description="the schedule starts anew there, without its warm-up")
    milestones: tuple[int, ...] = Field(default=(), description="step, with restart: epochs counted from the start of the phase")
    augment: AugmentChanges = Field(default={}, description="values of augment that change there: {box_noise: true}")

    @field_validator("augment")
    @classmethod
    def _known(cls, changes: AugmentChanges) -> AugmentChanges:
        change_augment(AugmentConfig(), changes)
        return changes

    @model_validator(mode="after")
    def _used(self) -> SecondPhaseConfig:
        if self.milestones and not self.restart:
            raise ValueError("milestones: they hold for a schedule that starts anew. Set restart to true, or write them in train.schedule")
        return self


class SwaConfig(Section):
    """Stochastic weight averaging: the equal mean of the weights after each of the last epochs is validated and kept."""

    start: float | None = Field(default=None, ge=0, lt=1, description="fraction of the epochs before the first that is averaged; null: off")
    learning_rate: float | None = Field(default=None, gt=0, description="from there on; null: the schedule goes on")
    anneal_epochs: int = Field(default=0, ge=0, description="over which the rate goes there; 0: at once")
    anneal: Literal["cosine", "linear"] = Field(default="cosine", description="how it goes there")

    @model_validator(mode="after")
    def _used(self) -> SwaConfig:
        if self.start is None and self.learning_rate is not None:
            raise ValueError("learning_rate: it holds from start on, which is null. Set train.swa.start, for example 0.75")
        return self


class FreezeConfig(Section):
    """Parts of the network whose weights and running statistics stay as they are in the first epochs."""

    epochs: int = Field(default=0, ge=0, description="how many; as many as train.epochs: the whole run")
    prefixes: tuple[str, ...] = Field(default=(), description="of parameters' names: backbone, backbone.layer1, head")

    @model_validator(mode="after")
    def _parts(self) -> FreezeConfig:
        if self.epochs and not self.prefixes:
            raise ValueError("prefixes: none, so that nothing would be frozen. Name parts of the network, such as backbone")
        return self


class TeacherConfig(Section):
    """Distillation: a trained model whose outputs are learnt beside the labels."""

    model: Path | None = Field(
        default=None,
        description="folder of a trained model, or an ONNX file with its description; of the same codec, input and padding; null: none",
    )
    weight: float = Field(default=1.0, gt=0, description="of its term beside the loss of the labels")


class TrainConfig(Section):
    """The training run."""

    epochs: int = Field(default=210, ge=1)
    batch_size: int = Field(default=64, ge=1, description="per process")
    learning_rate: float = Field(default=1e-3, gt=0)
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = "adamw"
    momentum: float = Field(default=0.9, ge=0, lt=1, description="sgd, rmsprop")
    nesterov: bool = Field(default=False, description="sgd")
    weight_decay: float = Field(default=0.01, ge=0)
    decay_norms: bool = Field(default=False, description="weight decay of biases, normalisation weights and position tables too")
    layer_decay: float = Field(default=1.0, gt=0, le=1, description="vision transformers: factor on the learning rate, block by block down")
    clip_norm: float | None = Field(default=None, gt=0)
    ema: float | None = Field(default=None, gt=0, lt=1, description="decay of the averaged weights that are validated and kept")
    swa: SwaConfig = SwaConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    second_phase: SecondPhaseConfig = SecondPhaseConfig()
    freeze: FreezeConfig = FreezeConfig()
    teacher: TeacherConfig = TeacherConfig()
    sets: tuple[str, ...] | None = Field(default=None, description="names of data.sets to train on; null: all that have a train split")
    init_from: Path | None = Field(default=None, description="folder of a trained model to start from")
    processes: int | Literal["auto"] = 1
    nodes: int = Field(default=1, ge=1)
    rendezvous: str | None = Field(default=None, description="host:port of the first node, with nodes > 1")
    wait_minutes: float = Field(default=15.0, gt=0, description="for the other nodes to join, with nodes > 1")
    amp: bool = Field(default=False, description="bfloat16 autocast, on CUDA")
    channels_last: bool = True
    compile: Literal["none", "default", "max-autotune"] = Field(default="none", description="of the network, by torch.compile")
    deterministic: bool = Field(default=True, description="the same bits in every run on a GPU too (1 % slower); on the CPU always")
    threads: int = Field(default=0, ge=0, description="CPU threads per process; 0: cores / processes")
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = Field(
        default=0, description="data-loading processes per training process; auto: none on the CPU, else by the cores"
    )
    validate_every: int = Field(default=1, ge=1, description="epochs")
    early_stop: int | None = Field(default=None, ge=1, description="validations without a better AP after which the run ends; null: never")
    validate_people: int = Field(default=400, ge=1, description="at most so many val people score the checkpoints")
    checkpoint_every: int = Field(default=1, ge=1, description="epochs")
    checkpoint_minutes: float = Field(default=5.0, ge=0, description="between two checkpoints within an epoch; 0: after each step")

    @model_validator(mode="after")
    def _momentum(self) -> TrainConfig:
        if self.nesterov and (self.optimizer != "sgd" or not self.momentum):
            raise ValueError("nesterov: goes with optimizer sgd and a momentum. Set train.optimizer=sgd, or train.nesterov=false")
        return self


class MlflowConfig(Section):
    """The experiment store. MLFLOW_TRACKING_URI wins where it is set."""

    enabled: bool = True
    experiment: str = "poseline"
    uri: str | None = Field(default=None, description="default: sqlite:///<repository>/mlflow.db")
    registered_model: str = "poseline"
    system_metrics: bool = True
    wait_s: float = Field(default=1.0, ge=0, description="how long a stage's end waits for its record to arrive in the store")
