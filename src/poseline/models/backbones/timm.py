"""Any timm network as a backbone, with timm's own pre-trained weights."""

from __future__ import annotations

from types import ModuleType

from jaxtyping import Float
from torch import Tensor

from poseline.config.network import ModelConfig
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
    """The stage outputs (``features_only``) of a timm network, from stride 4 up.

    Args:
        model: names the network, with its pre-training tag where wanted; fixed-size transformers are built for its ``input_wh``.
        weights: None for none, ``imagenet`` for timm's own, or a file in timm's naming.
    """

    def __init__(self, model: ModelConfig, *, weights: str | None = None) -> None:
        super().__init__(model)
        name = model.backbone.removeprefix("timm/")
        timm = import_timm()
        base = name.partition(".")[0]
        if not timm.is_model(base):
            raise ConfigError(
                f"model.backbone: timm has no network '{name}'. List them: python -c 'import timm; print(timm.list_models())'"
            )
        fixed_size = timm.models.is_model_in_modules(base, FIXED_SIZE_FAMILIES)
        size = {"img_size": (model.input_wh[1], model.input_wh[0])} if fixed_size else {}
        overlay = None if weights in (None, "imagenet") else {"file": weights}
        try:
            self.net = timm.create_model(name, features_only=True, pretrained=weights is not None, pretrained_cfg_overlay=overlay, **size)
        except (AttributeError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"model.backbone: timm/{name} gives no feature maps ({reason}). Choose another timm network.") from None
        info = self.net.feature_info
        self.kept = tuple(index for index, stride in enumerate(info.reduction()) if stride >= 4)
        self.out_channels = tuple(info.channels()[index] for index in self.kept)
        self.strides = tuple(info.reduction()[index] for index in self.kept)
        self.nhwc = str(getattr(self.net, "output_fmt", "NCHW")).endswith("NHWC")

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """The network's maps at strides of four and more."""
        features = self.net(images)
        kept = [features[index] for index in self.kept]
        return [feature.permute(0, 3, 1, 2).contiguous() for feature in kept] if self.nhwc else kept


FIXED_SIZE_FAMILIES = {"vision_transformer", "swin_transformer", "swin_transformer_v2", "eva", "deit", "beit", "hiera"}
"""timm's families whose position tables are made for one input size."""
