"""What an ONNX network wants of an image, and the array that it is fed."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from jaxtyping import UInt8
from pydantic import Field, model_validator

from poseline.config.base import Section
from poseline.config.network import NormaliseConfig
from poseline.errors import BackendError
from poseline.infer.sessions import Port, Session


class ImageInput(Section):
    """The input of a network; part of the description of a pose network and of a detector.

    ``mean`` and ``std`` are of pixel values in 0..1, in the network's own channel order; in place of ``std``, ``scale`` multiplies
    what is left after the mean is taken (255: the network takes bytes as they are).
    """

    input_wh: tuple[int, int] = Field(description="width and height of the input, pixels")
    mean: tuple[float, float, float] = Field(default=(0.0, 0.0, 0.0), description="taken off values in 0..1")
    std: tuple[float, float, float] | None = Field(default=None, description="divides what is left; in its place scale may be given")
    scale: float | None = Field(default=None, gt=0, description="multiplies what is left after the mean: 255 gives bytes as they are")
    channel_order: Literal["rgb", "bgr"] = Field(default="rgb", description="of the network's input")
    input_name: str | None = Field(default=None, description="name of the image input; null takes the first")
    output_names: tuple[str, ...] | None = Field(default=None, description="the outputs to read, in this order; null takes all")

    @model_validator(mode="after")
    def _check_input(self) -> ImageInput:
        if self.std is not None and self.scale is not None:
            raise ValueError("std: given together with scale; give one of them")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError(f"std: expected three numbers above 0, got {list(self.std)}")
        if min(self.input_wh) < 1:
            raise ValueError(f"input_wh: expected two sizes above 0, got {list(self.input_wh)}")
        return self

    def normalise(self) -> NormaliseConfig:
        """The normalisation of RGB values, whatever the network's channel order."""
        factor = 1.0 if self.scale is None else self.scale
        mean, std = self.mean, self.std or (1 / factor,) * 3
        return NormaliseConfig(mean=self._in_rgb(mean), std=self._in_rgb(std))

    def _in_rgb(self, values: tuple[float, float, float]) -> tuple[float, float, float]:
        return (values[2], values[1], values[0]) if self.channel_order == "bgr" else values


class ImageFeed:
    """Turns RGB bytes into a network's input array: channel order, normalisation, layout and type.

    Args:
        port: the network's input.
        normalise: of RGB values in 0..1.
        bgr: the network wants blue first.
    """

    def __init__(self, port: Port, normalise: NormaliseConfig, *, bgr: bool) -> None:
        self.port, self.bgr = port, bgr
        self.channels_last = len(port.shape) == 4 and port.shape[3] == 3 and port.shape[1] != 3
        order = slice(None, None, -1) if bgr else slice(None)
        mean, std = np.array(normalise.mean[order], np.float64), np.array(normalise.std[order], np.float64)
        factor, shift = (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)
        values = np.arange(256, dtype=np.float32)[:, None]
        raw = np.allclose(factor, 1) and np.allclose(shift, 0)
        table = np.broadcast_to(values, (256, 3)) if raw else values * factor + shift
        # A row for each channel of the network: what becomes of each byte.
        self.table = np.ascontiguousarray((table if np.issubdtype(port.dtype, np.floating) else np.rint(table)).T)

    def __call__(self, images: UInt8[np.ndarray, "B H W 3"]) -> np.ndarray:
        """The input array."""
        count, height, width = images.shape[:3]
        planes = np.empty((count, 3, height, width), np.float32)
        for image, place in zip(images, planes, strict=True):
            channels = cv2.split(np.ascontiguousarray(image))
            for row, plane in enumerate(channels[::-1] if self.bgr else channels):
                cv2.LUT(plane, self.table[row], place[row])
        out = planes.transpose(0, 2, 3, 1) if self.channels_last else planes
        return np.ascontiguousarray(out, dtype=self.port.dtype)


def find_input(session: Session, name: str | None, *, source: str) -> Port:
    """The network's image input: of that name, or the first.

    Raises:
        BackendError: there is no input of that name.
    """
    ports = {port.name: port for port in session.inputs}
    name = name or next(iter(ports))
    if name not in ports:
        raise BackendError(f"{source}: no input '{name}', it has {sorted(ports)}. Fix input_name in its description.")
    return ports[name]


def find_outputs(session: Session, names: tuple[str, ...] | None, *, source: str) -> list[int]:
    """Indices of the outputs of these names; of all where None is given.

    Raises:
        BackendError: there is no output of a name.
    """
    own = [port.name for port in session.outputs]
    for name in names or ():
        if name not in own:
            raise BackendError(f"{source}: no output '{name}', it has {own}. Fix output_names in its description.")
    return [own.index(name) for name in (names or own)]


def run_batches(session: Session, feeds: dict[str, np.ndarray], *, fixed: int | None) -> list[np.ndarray]:
    """The outputs of a batch of any size, for a network whose batch may be fixed in the file; a short last batch is filled up."""
    count = len(next(iter(feeds.values())))
    if fixed is None or fixed == count:
        return session.run(feeds)
    parts: list[list[np.ndarray]] = []
    for start in range(0, count, fixed):
        chunk = {name: array[start : start + fixed] for name, array in feeds.items()}
        short = fixed - len(next(iter(chunk.values())))
        if short:
            chunk = {name: np.concatenate([array, np.repeat(array[-1:], short, axis=0)]) for name, array in chunk.items()}
        parts.append([array[: fixed - short] for array in session.run(chunk)])
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
