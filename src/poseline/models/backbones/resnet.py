"""ResNet-18 to -152 and the variants that FastPose builds on: channel attention, shuffled down-sampling, deformable stages.

Reference:
    He et al., Deep Residual Learning, CVPR 2016; Hu et al., Squeeze-and-Excitation, CVPR 2018;
    Dai et al., Deformable Convolutional Networks, ICCV 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from poseline.config.network import ModelConfig
from poseline.errors import ConfigError
from poseline.models.backbones.base import Backbone, reset_convolutions, scale_channels

DEPTHS: dict[int, tuple[int, int, int, int]] = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


@dataclass(frozen=True)
class ResNetVariant:
    """What departs from the plain network.

    Attributes:
        attention: channel attention at the end of the first block of each stage.
        shuffle: stages 2 to 4 halve the grid by moving 2x2 cells into channels instead of by a stride.
        deformable: the 3x3 convolutions of stages 2 to 4 sample at learnt offsets.
    """

    attention: bool = False
    shuffle: bool = False
    deformable: bool = False


PLAIN = ResNetVariant()


class ChannelAttention(nn.Module):
    """Scales each channel by a gate in 0..1 computed from the means of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(inplace=True), nn.Linear(channels, channels), nn.Sigmoid())

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """The gated features."""
        return features * self.fc(features.mean(dim=(2, 3)))[:, :, None, None]


class DeformableConv(nn.Conv2d):
    """A 3x3 convolution whose nine taps move by offsets (dy, dx) given beside the input."""

    def forward(self, features: Tensor, offsets: Tensor | None = None) -> Tensor:
        """The convolved features; ``offsets`` is [B, 18, h, w] in input cells."""
        if offsets is None:
            return super().forward(features)
        from torchvision.ops import deform_conv2d  # torchvision takes seconds to load, and few networks need it

        return deform_conv2d(features, offsets, self.weight, None, stride=self.stride, padding=self.padding, dilation=self.dilation)


def conv3x3(inplanes: int, planes: int, stride: int, variant: ResNetVariant) -> nn.Module:
    """The 3x3 convolution of a residual block in this variant."""
    if variant.deformable:
        return DeformableConv(inplanes, planes, 3, stride=stride, padding=1, bias=False)
    if variant.shuffle and stride == 2:
        return nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * inplanes, planes, 3, padding=1, bias=False))
    return nn.Conv2d(inplanes, planes, 3, stride=stride, padding=1, bias=False)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions (expansion 1), or a 1x1, a 3x3 that carries the stride and a 1x1 (expansion 4), around a shortcut."""

    def __init__(
        self, inplanes: int, planes: int, stride: int = 1, *, expansion: int, first: bool = False, variant: ResNetVariant = PLAIN
    ) -> None:
        super().__init__()
        outplanes, inner = planes * expansion, stride if expansion > 1 else 1
        if expansion > 1:
            self.conv1: nn.Module = nn.Conv2d(inplanes, planes, 1, bias=False)
        else:
            self.conv1 = conv3x3(inplanes, planes, stride, ResNetVariant(shuffle=variant.shuffle))
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2_offset = nn.Conv2d(planes, 18, 3, stride=inner, padding=1) if variant.deformable else None
        self.conv2 = conv3x3(planes, planes, inner, variant)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outplanes, 1, bias=False) if expansion > 1 else None
        self.bn3 = nn.BatchNorm2d(outplanes) if expansion > 1 else None
        self.se = ChannelAttention(outplanes) if first and variant.attention else None
        self.downsample = shortcut(inplanes, outplanes, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """The features after the block."""
        out = self.relu(self.bn1(self.conv1(features)))
        out = self.bn2(self.conv2(out) if self.conv2_offset is None else self.conv2(out, self.conv2_offset(out)))
        if self.conv3 is not None and self.bn3 is not None:
            out = self.bn3(self.conv3(self.relu(out)))
        if self.se is not None:
            out = self.se(out)
        return self.relu(out + (features if self.downsample is None else self.downsample(features)))


def shortcut(inplanes: int, outplanes: int, stride: int) -> nn.Sequential | None:
    """A 1x1 convolution where the block changes channels or grid, else None (identity)."""
    if stride == 1 and inplanes == outplanes:
        return None
    return nn.Sequential(nn.Conv2d(inplanes, outplanes, 1, stride=stride, bias=False), nn.BatchNorm2d(outplanes))


class ResNet(Backbone):
    """The four stages of a ResNet, with torchvision's parameter names; FastPose's always carry channel attention."""

    resizable = True
    strides = (4, 8, 16, 32)

    def __init__(self, model: ModelConfig) -> None:
        super().__init__(model)
        prefix, depth = model.backbone.split("resnet")
        if prefix == "shuffle_" and model.dcn:
            raise ConfigError(f"model.dcn: '{model.backbone}' has no deformable stages. Set model.dcn false or take se_resnet{depth}.")
        attention = prefix != "" or model.kind in ("fastpose", "fastpose_duc")
        variant = ResNetVariant(attention=attention, shuffle=prefix == "shuffle_", deformable=model.dcn)
        expansion = 1 if int(depth) < 50 else 4
        planes = tuple(scale_channels(channels, model.width) for channels in (64, 128, 256, 512))
        self.out_channels = tuple(count * expansion for count in planes)
        self.conv1 = nn.Conv2d(3, planes[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(planes[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inplanes = planes[0]
        for stage, (count, blocks) in enumerate(zip(planes, DEPTHS[int(depth)], strict=True)):
            # Shuffle and deformable sampling spare the first stage, which keeps the grid and the cheapest features.
            own = variant if stage else ResNetVariant(attention=variant.attention)
            layers: list[nn.Module] = []
            for index in range(blocks):
                stride = 2 if stage and index == 0 else 1
                layers.append(ResidualBlock(inplanes, count, stride, expansion=expansion, first=index == 0, variant=own))
                inplanes = count * expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        reset_convolutions(self)
        for name, part in self.named_modules():  # offsets of deformable convolutions start at zero
            if name.endswith("conv2_offset") and isinstance(part, nn.Conv2d):
                nn.init.zeros_(part.weight)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """The maps of the four stages, at strides 4, 8, 16 and 32."""
        out = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        features: list[Tensor] = []
        for name in ("layer1", "layer2", "layer3", "layer4"):
            out = getattr(self, name)(out)
            features.append(out)
        return features
