"""Appearance of people: skin, hair, clothes and their patterns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Float

Pattern = Literal["plain", "rings", "stripes", "plaid", "halves"]
Front = Literal["buttons", "zip", "neck", "logo", "tie", "bib"]
Hair = Literal["short", "long", "bald", "cap", "bun"]
Bottom = Literal["trousers", "shorts", "skirt"]
FRONTS: dict[Front, float] = {"buttons": 0.2, "zip": 0.2, "neck": 0.2, "logo": 0.22, "tie": 0.08, "bib": 0.1}
HAIRS: dict[Hair, float] = {"short": 0.42, "long": 0.28, "bald": 0.07, "cap": 0.12, "bun": 0.11}
BOTTOMS: dict[Bottom, float] = {"trousers": 0.6, "shorts": 0.26, "skirt": 0.14}
PATTERNS: dict[Pattern, float] = {"rings": 0.38, "stripes": 0.17, "plaid": 0.25, "halves": 0.2}
Name = TypeVar("Name", bound=str)

SKIN_TONES = np.array(
    [(246, 214, 190), (236, 196, 164), (224, 176, 140), (200, 150, 112), (168, 118, 82), (128, 86, 58), (94, 62, 44)], np.float32
)
HAIR_TONES = np.array([(28, 22, 20), (56, 38, 26), (92, 62, 36), (140, 98, 56), (196, 160, 96), (150, 70, 36), (150, 148, 146)], np.float32)
CLOTH_TONES = np.array(
    [
        (226, 224, 218), (38, 40, 46), (110, 112, 118), (170, 40, 44), (214, 90, 44), (232, 184, 60), (60, 120, 66), (44, 150, 140),
        (46, 84, 160), (96, 150, 210), (112, 60, 130), (214, 130, 160), (120, 88, 60), (30, 48, 84), (184, 168, 130), (150, 196, 120),
    ],
    np.float32,
)  # fmt: skip


@dataclass(frozen=True)
class Cloth:
    """A fabric: its pattern in metres and its two colours."""

    pattern: Pattern
    colour: Float[np.ndarray, " 3"]
    second: Float[np.ndarray, " 3"]
    period_m: float

    def paint(self, along_m: np.ndarray, angle: np.ndarray) -> Float[np.ndarray, "P 3"]:
        """Colours at places along a body part (metres) and around it (radians; the front is pi/2)."""
        fold = np.float32(0.05) * np.sin(np.float32(3) * angle + np.float32(24) * along_m) + np.float32(1)
        if self.pattern == "plain":
            return fold[:, None] * self.colour
        if self.pattern == "halves":
            share = (along_m < 0.17).astype(np.float32)
        elif self.pattern == "rings":
            share = (np.mod(along_m / self.period_m, 1) < 0.45).astype(np.float32)
        elif self.pattern == "stripes":
            share = (np.mod(angle * (0.14 / self.period_m), 1) < 0.4).astype(np.float32)
        else:
            share = 0.5 * (np.mod(along_m / self.period_m, 1) < 0.5) + 0.5 * (np.mod(angle * (0.14 / self.period_m), 1) < 0.5)
        mixed = self.colour + share.astype(np.float32)[:, None] * (self.second - self.colour)
        return mixed * fold[:, None]


@dataclass(frozen=True)
class Look:
    """One person's appearance; colours are RGB 0..255."""

    skin: Float[np.ndarray, " 3"]
    hair: Hair
    hair_colour: Float[np.ndarray, " 3"]
    beard: bool
    glasses: bool
    eye_colour: Float[np.ndarray, " 3"]
    shirt: Cloth
    sleeve: float
    front: Front
    accent: Float[np.ndarray, " 3"]
    backpack: bool
    bottom: Bottom
    bottom_cloth: Cloth
    bottom_length: float
    shoe: Float[np.ndarray, " 3"]
    sock: Float[np.ndarray, " 3"]


def draw_look(rng: np.random.Generator) -> Look:
    """An appearance at random."""
    skin = _vary(rng, SKIN_TONES[rng.integers(len(SKIN_TONES))], 6)
    hair_colour = _vary(rng, HAIR_TONES[rng.integers(len(HAIR_TONES))], 8)
    shirt = draw_cloth(rng, plain_fraction=0.5)
    bottom_cloth = draw_cloth(rng, plain_fraction=0.85)
    hair = _choose(rng, HAIRS)
    bottom = _choose(rng, BOTTOMS)
    if hair == "cap":
        hair_colour = _cloth_tone(rng)
    return Look(
        skin=skin, hair=hair, hair_colour=hair_colour, beard=bool(hair != "long" and hair != "bun" and rng.random() < 0.22),
        glasses=bool(rng.random() < 0.12), eye_colour=_vary(rng, np.array([60, 45, 30], np.float32), 20), shirt=shirt,
        sleeve=float(rng.choice([0.12, 0.55, 0.62, 1.9, 1.95], p=[0.1, 0.25, 0.2, 0.2, 0.25])),
        front=_choose(rng, FRONTS),
        accent=_contrast(rng, shirt.colour), backpack=bool(rng.random() < 0.16), bottom=bottom, bottom_cloth=bottom_cloth,
        bottom_length=float(rng.uniform(0.55, 0.95)), shoe=_cloth_tone(rng), sock=_cloth_tone(rng),
    )  # fmt: skip


def draw_cloth(rng: np.random.Generator, *, plain_fraction: float) -> Cloth:
    """A fabric at random, plain with that probability."""
    colour = _cloth_tone(rng)
    pattern: Pattern = "plain" if rng.random() <= plain_fraction else _choose(rng, PATTERNS)
    return Cloth(pattern, colour, _contrast(rng, colour), float(rng.uniform(0.05, 0.13)))


def _choose(rng: np.random.Generator, shares: dict[Name, float]) -> Name:
    weights = np.array(list(shares.values()))
    return list(shares)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def _vary(rng: np.random.Generator, colour: np.ndarray, spread: float) -> np.ndarray:
    return np.clip(colour + rng.normal(0, spread) + rng.normal(0, spread / 3, 3), 8, 250).astype(np.float32)


def _cloth_tone(rng: np.random.Generator) -> np.ndarray:
    return _vary(rng, CLOTH_TONES[rng.integers(len(CLOTH_TONES))], 12)


def _contrast(rng: np.random.Generator, colour: np.ndarray) -> np.ndarray:
    """A tone well apart from the given one."""
    tones = CLOTH_TONES[rng.permutation(len(CLOTH_TONES))[:5]]
    return _vary(rng, tones[int(np.argmax(np.abs(tones - colour).sum(axis=1)))], 6)
