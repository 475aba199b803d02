"""The motion gate: a still scene costs next to nothing, and a person who stands still is still seen.

    gate = MotionGate(config.motion)
    gate.moved(frame) -> bool      whether to look for faces in this frame; first frame: True
    gate.cut -> bool               whether it shows another scene altogether (an edited clip): `tracker.clear()`

A frame is compared with the one last looked at, not with its neighbour: what creeps adds up until it counts. After a
movement the gate stays open for `linger_s`, and it opens at least every `heartbeat_s`, whatever the picture says.
A caller that skips a frame tells the tracker so (`tracker.update(at_s, None)`): nobody leaves because nobody looked.
"""

from __future__ import annotations

import cv2
import numpy as np

from edge_agent.config import MotionConfig
from edge_agent.records import U8, Frame

CUT_CORRELATION = 0.35  # two views of one scene stay above it even when the light is switched (tests/edge_agent)
CUT_SHARE = 0.5  # of the points must change before correlation is asked


class MotionGate:
    """Says which frames of one camera are worth looking at."""

    def __init__(self, config: MotionConfig) -> None:
        self._config = config
        self._looked_at: U8 | None = None
        self._looked_at_s = 0.0
        self._moved_at_s = float("-inf")
        self.cut = False

    def moved(self, frame: Frame) -> bool:
        """Whether to look for faces in this frame."""
        small = frame.glance
        before, self.cut = self._looked_at, False
        if before is None or before.shape != small.shape or frame.at_s < self._looked_at_s:
            self._moved_at_s = frame.at_s
            return self._look(small, frame.at_s)
        changed = np.count_nonzero(cv2.absdiff(small, before) > self._config.threshold)
        if changed >= self._config.min_points:
            self._moved_at_s = frame.at_s
            self.cut = bool(changed > CUT_SHARE * small.size) and _correlation(small, before) < CUT_CORRELATION
        lingers = frame.at_s - self._moved_at_s <= self._config.linger_s
        due = frame.at_s - self._looked_at_s >= self._config.heartbeat_s
        if lingers or due or not self._config.enabled:
            return self._look(small, frame.at_s)
        return False

    def _look(self, small: U8, at_s: float) -> bool:
        self._looked_at, self._looked_at_s = small, at_s
        return True


def _correlation(a: U8, b: U8) -> float:
    """Pearson's, of two pictures: indifferent to brightness and contrast. 1 for two flat ones."""
    x, y = a.astype(np.float32) - a.mean(), b.astype(np.float32) - b.mean()
    scale = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / scale if scale > 0 else 1.0
