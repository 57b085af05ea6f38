"""HRNet: parallel branches at strides 4 to 32 that exchange features.

Reference:
    Sun et al., Deep High-Resolution Representation Learning for Human Pose Estimation, CVPR 2019.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from poseline.config.network import ModelConfig
from poseline.models.backbones.base import Backbone
from poseline.models.backbones.resnet import ResidualBlock

STAGE_MODULES = {2: 1, 3: 4, 4: 3}


def conv_norm(in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, relu: bool = False) -> nn.Sequential:
    """A convolution with batch norm, and ReLU where ``relu``."""
    from torchvision.ops import Conv2dNormActivation  # torchvision takes seconds to load, and few networks need it

    return Conv2dNormActivation(in_channels, out_channels, kernel, stride, activation_layer=nn.ReLU if relu else None)


def downsampling(in_channels: int, out_channels: int, steps: int) -> nn.Sequential:
    """Strided 3x3 convolutions that halve the grid ``steps`` times; only the last changes the channels and has no ReLU."""
    inner = [conv_norm(in_channels, in_channels, 3, stride=2, relu=True) for _ in range(steps - 1)]
    return nn.Sequential(*inner, conv_norm(in_channels, out_channels, 3, stride=2))


class ExchangeModule(nn.Module):
    """Four residual blocks on each branch, then every output is the sum of all branches brought to its grid."""

    def __init__(self, channels: Sequence[int], *, num_outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width, width, expansion=1) for _ in range(4))) for width in channels
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(exchange_path(channels, source, target) for source in range(len(channels))) for target in range(num_outputs)
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """One map an output, finest first."""
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        fused: list[Tensor] = []
        for target, paths in enumerate(self.fuse_layers):
            assert isinstance(paths, nn.ModuleList)
            size = maps[target].shape[-2:]
            total = torch.zeros_like(maps[target])
            for source, path in enumerate(paths):
                part = path(maps[source])
                total = total + (functional.interpolate(part, size=size, mode="nearest") if source > target else part)
            fused.append(functional.relu(total))
        return fused


def exchange_path(channels: Sequence[int], source: int, target: int) -> nn.Module:
    """What brings the channels of one branch to those of another; going finer, the caller resizes."""
    if source == target:
        return nn.Identity()
    if source > target:
        return conv_norm(channels[source], channels[target], 1)
    return downsampling(channels[source], channels[target], target - source)


class HRNet(Backbone):
    """The network up to the finest branch, its only map, with the parameter names of the published networks."""

    strides = (4,)

    def __init__(self, model: ModelConfig) -> None:
        super().__init__(model)
        width = int(model.backbone.removeprefix("hrnet_w"))
        self.out_channels = (width,)
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(*(ResidualBlock(inplanes, 64, expansion=4) for inplanes in (64, 256, 256, 256)))
        channels = [width * 2**branch for branch in range(4)]
        before = [256]
        for stage, modules in STAGE_MODULES.items():
            self.add_module(f"transition{stage - 1}", transition(before, channels[:stage]))
            outputs = [stage] * modules
            if stage == 4:
                outputs[-1] = 1
            self.add_module(f"stage{stage}", nn.Sequential(*(ExchangeModule(channels[:stage], num_outputs=count) for count in outputs)))
            before = channels[:stage]

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """The finest branch [B, width, H/4, W/4] after the last exchange."""
        out = self.relu(self.bn1(self.conv1(images)))
        maps = [self.layer1(self.relu(self.bn2(self.conv2(out))))]
        for stage in STAGE_MODULES:
            paths = getattr(self, f"transition{stage - 1}")
            # A new branch starts from the coarsest map; the others go on from their own.
            maps = [path(maps[min(index, len(maps) - 1)]) for index, path in enumerate(paths)]
            maps = getattr(self, f"stage{stage}")(maps)
        return maps


def transition(before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
    """Paths from the branches of one stage to those of the next; branches that stay as they are pass through."""
    paths: list[nn.Module] = []
    for index, count in enumerate(after):
        if index >= len(before):
            paths.append(nn.Sequential(conv_norm(before[-1], count, 3, stride=2, relu=True)))
        elif before[index] != count:
            paths.append(conv_norm(before[index], count, 3, relu=True))
        else:
            paths.append(nn.Identity())
    return nn.ModuleList(paths)
