"""The frozen, typed mirror of params.yaml."""

from poseline.config.base import Section
from poseline.config.dataset import (
    FORMATS,
    PROTOCOLS,
    DataConfig,
    DatasetConfig,
    MiniConfig,
    PreprocessConfig,
    Split,
    SplitConfig,
    ValidateConfig,
)
from poseline.config.evaluation import GateConfig, NmsConfig, PredictConfig, ReportConfig, ScoreConfig
from poseline.config.network import CodecConfig, LossConfig, ModelConfig, NormaliseConfig
from poseline.config.params import Params, config_hash, dump_section, flatten, load_params, parse_params
from poseline.config.tracking import TrackConfig
from poseline.config.training import AugmentConfig, MlflowConfig, ScheduleConfig, TrainConfig

__all__ = [
    "FORMATS",
    "PROTOCOLS",
    "AugmentConfig",
    "CodecConfig",
    "DataConfig",
    "DatasetConfig",
    "GateConfig",
    "LossConfig",
    "MiniConfig",
    "MlflowConfig",
    "ModelConfig",
    "NmsConfig",
    "NormaliseConfig",
    "Params",
    "PredictConfig",
    "PreprocessConfig",
    "ReportConfig",
    "ScheduleConfig",
    "ScoreConfig",
    "Section",
    "Split",
    "SplitConfig",
    "TrackConfig",
    "TrainConfig",
    "ValidateConfig",
    "config_hash",
    "dump_section",
    "flatten",
    "load_params",
    "parse_params",
]
