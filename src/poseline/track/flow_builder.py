"""PF-Builder: chains of poses through a window of frames that gather the most confidence.

Reference:
    Xiu et al., BMVC 2018, section 3.2. The paper builds forward from each pose; here chains end in the newest frame, which is what an
    online tracker must answer for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

BARRED = -np.inf


def build_flows(
    confidence: Sequence[Float[np.ndarray, " _"]],
    links: Sequence[Float[np.ndarray, "_ _"]],
    *,
    gain_frames: int,
    min_gain: float,
) -> tuple[Int[np.ndarray, "C W"], Float[np.ndarray, " C"]]:
    """One flow for each pose of the newest frame, best first: its pose in each frame (-1 before it began), and its confidence.

    The best chain is taken first and its poses removed, as in the paper, so that no pose serves two flows.

    Args:
        confidence: of the poses of each frame, oldest first.
        links: what each step from a pose to one of the next frame adds; -inf where they may not follow each other.
        gain_frames: r; a flow ends where its confidence gains less than ``min_gain`` over r frames.
        min_gain: gamma.

    >>> flows, value = build_flows([np.ones(2), np.ones(1)], [np.array([[0.0], [-np.inf]])], gain_frames=2, min_gain=0.0)
    >>> flows.tolist(), value.tolist()
    ([[0, 0]], [2.0])
    """
    num_frames, num_flows = len(confidence), len(confidence[-1])
    free = [np.ones(len(frame), dtype=bool) for frame in confidence]
    flows = np.full((num_flows, num_frames), -1, dtype=np.int64)
    values = np.zeros(num_flows)
    total, before = _gather(confidence, links, free)
    for row in range(num_flows):
        candidate = int(np.argmax(np.where(free[-1], total, BARRED)))
        path = _trace(before, candidate)
        if any(pose >= 0 and not free[w][pose] for w, pose in enumerate(path)):
            # A better flow took one of these poses: look for what the poses left can gather.
            total, before = _gather(confidence, links, free)
            candidate = int(np.argmax(np.where(free[-1], total, BARRED)))
            path = _trace(before, candidate)
        path = _stop_where_poor(path, confidence, gain_frames, min_gain)
        for w, pose in enumerate(path):
            if pose >= 0:
                free[w][pose] = False
                values[row] += confidence[w][pose]
        flows[row] = path
    return flows, values


def _gather(
    confidence: Sequence[np.ndarray], links: Sequence[np.ndarray], free: Sequence[np.ndarray]
) -> tuple[Float[np.ndarray, " N"], list[Int[np.ndarray, " _"]]]:
    """Greatest confidence of a chain ending in each newest pose, and each pose's predecessor (-1: the chain begins)."""
    total = np.where(free[0], confidence[0], BARRED)
    before = [np.full(len(total), -1, dtype=np.int64)]
    for w, link in enumerate(links, start=1):
        if not link.size:
            total = np.where(free[w], confidence[w], BARRED)
            before.append(np.full(len(total), -1, dtype=np.int64))
            continue
        reached = total[:, None] + link
        best = reached.argmax(axis=0)
        gathered = reached[best, np.arange(len(best))]
        before.append(np.where(gathered > 0, best, -1))
        total = np.where(free[w], confidence[w] + np.maximum(gathered, 0), BARRED)
    return total, before


def _trace(before: Sequence[Int[np.ndarray, " _"]], last: int) -> Int[np.ndarray, " W"]:
    path = np.full(len(before), -1, dtype=np.int64)
    pose = last
    for w in range(len(before) - 1, -1, -1):
        path[w] = pose
        pose = int(before[w][pose])
        if pose < 0:
            break
    return path


def _stop_where_poor(path: Int[np.ndarray, " W"], confidence: Sequence[np.ndarray], gain_frames: int, min_gain: float) -> np.ndarray:
    """The part of a chain since it last gained less than ``min_gain`` over ``gain_frames`` frames."""
    first = int(np.argmax(path >= 0))
    scores = np.array([confidence[w][path[w]] for w in range(first, len(path))])
    gains = np.convolve(scores, np.ones(gain_frames), mode="valid") if len(scores) >= gain_frames else np.zeros(0)
    poor = np.flatnonzero(gains[:-1] < min_gain)
    if not len(poor):
        return path
    cut = path.copy()
    cut[: first + int(poor[-1]) + gain_frames] = -1
    return cut
