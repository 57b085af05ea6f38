"""Any timm network as a trunk, with timm's own pre-trained weights."""

from __future__ import annotations

from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor

from poseline.errors import BackendError, ConfigError
from poseline.models.backbones.base import Backbone


def import_timm() -> ModuleType:
    """The timm package.

    Raises:
        BackendError: it is not installed.
    """
    try:
        import timm
    except ImportError:
        raise BackendError("this network needs the package timm. Install it: pip install 'poseline[timm]'") from None
    return timm


class TimmBackbone(Backbone):
    """The stage outputs (``features_only``) of a timm network, from stride 4 up."""

    def __init__(self, name: str, *, input_wh: tuple[int, int], pretrained: bool = False) -> None:
        super().__init__()
        timm = import_timm()
        options: dict[str, bool | tuple[int, int]] = {"features_only": True, "pretrained": pretrained}
        if "img_size" in _arguments(timm, name):
            options["img_size"] = (input_wh[1], input_wh[0])
        try:
            self.net = timm.create_model(name, **options)
        except RuntimeError as error:
            raise ConfigError(f"model.backbone: timm/{name}: {' '.join(str(error).split())}. Choose another timm network.") from None
        info = self.net.feature_info
        self.kept = tuple(index for index, stride in enumerate(info.reduction()) if stride >= 4)
        self.out_channels = tuple(info.channels()[index] for index in self.kept)
        self.strides = tuple(info.reduction()[index] for index in self.kept)
        self.channels_last_output = str(getattr(self.net, "output_fmt", "NCHW")).endswith("NHWC")

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """The network's maps at strides of four and more."""
        features = self.net(images)
        kept = [features[index] for index in self.kept]
        return [torch.permute(feature, (0, 3, 1, 2)).contiguous() for feature in kept] if self.channels_last_output else kept


def _arguments(timm: ModuleType, name: str) -> set[str]:
    """Names of the arguments that this timm network insists on knowing: ``img_size`` for fixed-size transformers."""
    if not timm.is_model(name.split(".")[0]):
        raise ConfigError(f"model.backbone: timm has no network '{name}'. List them: python -c 'import timm; print(timm.list_models())'")
    module = timm.models.model_entrypoint(name.split(".")[0]).__module__
    return {"img_size"} if timm.models.is_model_in_modules(name.split(".")[0], FIXED_SIZE_FAMILIES) and module else set()


FIXED_SIZE_FAMILIES = ("vision_transformer", "swin_transformer", "swin_transformer_v2", "eva", "deit", "beit", "hiera", "mvitv2")
