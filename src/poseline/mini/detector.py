"""A simulated person detector: the ground-truth boxes with the faults of a real one. No network made these boxes.

Boxes jitter more the less of a person shows; small and hidden people are missed more often; some people are found
twice; some clutter is taken for people. Scores follow the quality of the box, with noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtr

from poseline.mini.scene import Person

#: Fraction of the luck of a tenth of a second before that a video frame inherits.
_MEMORY = 0.8


@dataclass(frozen=True)
class Detection:
    """A box (x, y, width, height) in pixels and its score 0..1."""

    bbox_xywh: tuple[float, float, float, float]
    score: float


@dataclass
class SimulatedDetector:
    """Draws detections; in a video it remembers each track's luck, so that misses last some frames.

    Attributes:
        rng: source of chance.
        image_wh: size of the images.
        seconds_per_frame: of a video.
    """

    rng: np.random.Generator
    image_wh: tuple[int, int]
    seconds_per_frame: float = 0.1
    _luck: dict[int, float] = field(default_factory=dict, repr=False)

    def detect(self, people: Sequence[Person]) -> list[Detection]:
        """Detections in one image (or the next frame of a video), best first."""
        found: list[Detection] = []
        for person in people:
            quality = self._quality(person)
            chance = 0.02 + 0.75 * (1 - quality) ** 1.7
            if ndtr(self._draw_luck(person.track_id)) < chance:
                continue
            found.append(self._box(person, quality, spread=0.035 + 0.09 * (1 - quality)))
            if self.rng.random() < 0.07 + 0.08 * (1 - quality):
                double = self._box(person, quality, spread=0.11)
                found.append(Detection(double.bbox_xywh, round(double.score * float(self.rng.uniform(0.25, 0.75)), 4)))
        found.extend(self._false_alarm() for _ in range(self.rng.poisson(0.55)))
        return sorted(found, key=lambda one: -one.score)

    def _quality(self, person: Person) -> float:
        """1 for a large, wholly visible person, down to 0."""
        tall = max(person.bbox_xywh[2:])
        return float(np.clip(person.visible_fraction**0.7 * np.clip(0.45 + tall / 160, 0, 1), 0, 1))

    def _draw_luck(self, track_id: int) -> float:
        fresh = float(self.rng.normal())
        if track_id < 0:
            return fresh
        before, memory = self._luck.get(track_id), _MEMORY ** (self.seconds_per_frame / 0.1)
        self._luck[track_id] = fresh if before is None else memory * before + (1 - memory**2) ** 0.5 * fresh
        return self._luck[track_id]

    def _box(self, person: Person, quality: float, *, spread: float) -> Detection:
        x, y, w, h = person.bbox_xywh
        shift = np.clip(self.rng.normal(0, spread, 4), -0.3, 0.3) * np.array([w, h, w, h])
        score = 1 / (1 + np.exp(-(6.0 * quality - 2.2 - 12 * abs(shift[:2]).sum() / (w + h) + self.rng.normal(0, 0.6))))
        return self._clipped(x + shift[0], y + shift[1], x + w + shift[2], y + h + shift[3], float(score))

    def _false_alarm(self) -> Detection:
        width, height = self.image_wh
        tall = float(self.rng.uniform(30, 0.75 * height))
        wide = tall * float(self.rng.uniform(0.3, 0.6))
        x, y = self.rng.uniform(0, width - wide), self.rng.uniform(0, height - tall)
        return self._clipped(x, y, x + wide, y + tall, float(np.clip(self.rng.beta(1.4, 5), 0.03, 0.6)))

    def _clipped(self, x0: float, y0: float, x1: float, y1: float, score: float) -> Detection:
        width, height = self.image_wh
        x0, y0 = float(np.clip(x0, 0, width - 4)), float(np.clip(y0, 0, height - 4))
        x1, y1 = float(np.clip(x1, x0 + 4, width)), float(np.clip(y1, y0 + 4, height))
        return Detection((round(x0, 2), round(y0, 2), round(x1 - x0, 2), round(y1 - y0, 2)), round(score, 4))
