"""People found by torchvision's detectors, with weights of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import nn

from poseline.errors import ArtifactError, ConfigError
from poseline.infer.detectors.base import Detections
from poseline.infer.detectors.onnx import finish_boxes


class TorchvisionDetector:
    """Faster R-CNN, RetinaNet, FCOS, SSD or SSDLite of torchvision, run by PyTorch.

    Args:
        name: the model's name in torchvision.
        weights: its checkpoint.
        min_score: people scored lower are left out.
        device: where it runs.

    Raises:
        ArtifactError: the checkpoint does not fit the model.
        ConfigError: the model knows no people.
    """

    batch_size = 1

    def __init__(self, name: str, weights: Path, *, min_score: float, device: torch.device) -> None:
        from torchvision.models import get_model, get_model_weights

        self.name, self.min_score, self.device = name, min_score, device
        categories = [str(category) for category in get_model_weights(name).DEFAULT.meta["categories"]]  # type: ignore[attr-defined]
        if "person" not in categories:
            raise ConfigError(f"{name}: has no class 'person'. Take another detector.")
        self.person = categories.index("person")
        model: nn.Module = get_model(name, weights=None, weights_backbone=None, num_classes=len(categories))
        try:
            model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        except (RuntimeError, OSError, ValueError) as error:
            raise ArtifactError(f"{weights}: does not fit {name} ({str(error).splitlines()[0]}). Fetch it again.") from None
        self.model = model.to(device).eval()

    @torch.inference_mode()
    def detect(self, images: Sequence[UInt8[np.ndarray, "H W 3"]]) -> list[Detections]:
        """The people in each RGB image, best first; resizing, NMS and normalisation are the model's own."""
        tensors = [torch.from_numpy(np.ascontiguousarray(image)).to(self.device).permute(2, 0, 1).float() / 255 for image in images]
        found = []
        for image, output in zip(images, self.model(tensors) if tensors else [], strict=True):
            people = (output["labels"] == self.person) & (output["scores"] >= self.min_score)
            boxes, scores = output["boxes"][people].cpu().numpy(), output["scores"][people].cpu().numpy()
            found.append(finish_boxes(boxes, scores, image.shape[1], image.shape[0], nms_iou=None))
        return found
