"""RTMPose: a large-kernel convolution, a gated attention unit over keypoints, and SimCC.

Reference:
    Jiang et al., RTMPose: Real-Time Multi-Person Pose Estimation based on MMPose, 2023;
    Hua et al., Transformer Quality in Linear Time, ICML 2022 (the gated attention unit).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from poseline.codecs.base import Codec
from poseline.config.network import ModelConfig
from poseline.models.backbones.base import Backbone
from poseline.models.heads.base import Head

HIDDEN = 256
ATTENTION = 128


class ScaleNorm(nn.Module):
    """Divides vectors by their root mean square and multiplies them by one learnt number."""

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.g = nn.Parameter(torch.ones(1))

    def forward(self, vectors: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """The normalised vectors."""
        rms = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True) * vectors.shape[-1] ** -0.5
        return vectors / rms.clamp(min=self.eps) * self.g


class ChannelScale(nn.Module):
    """Multiplies each channel by a learnt number."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, vectors: Tensor) -> Tensor:
        """The scaled vectors."""
        return vectors * self.scale


class GatedAttention(nn.Module):
    """Attention among the keypoints of a person: squared ReLU of scaled products, gated values, a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = 2 * channels
        self.ln = ScaleNorm()
        self.uv = nn.Linear(channels, 2 * self.inner + ATTENTION, bias=False)
        self.gamma = nn.Parameter(torch.rand(2, ATTENTION))
        self.beta = nn.Parameter(torch.rand(2, ATTENTION))
        self.o = nn.Linear(self.inner, channels, bias=False)
        self.res_scale = ChannelScale(channels)
        nn.init.xavier_uniform_(self.uv.weight)

    def forward(self, tokens: Float[Tensor, "B K C"]) -> Float[Tensor, "B K C"]:
        """The tokens after attention."""
        gates, values, base = functional.silu(self.uv(self.ln(tokens))).split([self.inner, self.inner, ATTENTION], dim=-1)
        queries = base * self.gamma[0] + self.beta[0]
        keys = base * self.gamma[1] + self.beta[1]
        weights = functional.relu(queries @ keys.transpose(1, 2) / ATTENTION**0.5).square()
        return self.res_scale(tokens) + self.o(gates * (weights @ values))


class RTMPoseHead(Head):
    """From the last feature map to logits over x and y bins."""

    outputs = "bins"

    def __init__(self, backbone: Backbone, model: ModelConfig, codec: Codec) -> None:
        super().__init__(backbone, model, codec)
        stride = backbone.strides[-1]
        cells = (model.input_wh[1] // stride) * (model.input_wh[0] // stride)
        bins_x, bins_y = (shape[-1] for shape in codec.output_shapes)
        self.final_layer = nn.Conv2d(backbone.out_channels[-1], codec.num_keypoints, 7, padding=3)
        self.mlp = nn.Sequential(ScaleNorm(), nn.Linear(cells, HIDDEN, bias=False))
        self.gau = GatedAttention(HIDDEN)
        self.cls_x = nn.Linear(HIDDEN, bins_x, bias=False)
        self.cls_y = nn.Linear(HIDDEN, bins_y, bias=False)
        nn.init.normal_(self.final_layer.weight, std=0.001)
        assert self.final_layer.bias is not None
        nn.init.zeros_(self.final_layer.bias)
        for linear in (self.mlp[1], self.gau.o, self.cls_x, self.cls_y):
            assert isinstance(linear, nn.Linear)
            nn.init.normal_(linear.weight, std=0.01)

    def forward(self, features: list[Tensor]) -> tuple[Float[Tensor, "B K Wb"], Float[Tensor, "B K Hb"]]:
        """Logits over the x bins and over the y bins."""
        tokens = self.gau(self.mlp(self.final_layer(features[-1]).flatten(2)))
        return self.cls_x(tokens), self.cls_y(tokens)
