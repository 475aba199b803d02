"""Whether a picture can be trusted: online | stalled | frozen | dark | covered | moved | offline.

    liveness = Liveness(config.liveness)
    liveness.observe(frame, at_s, source_status="online") -> str      each turn; frame None: nothing new came

Each status has a stated delay (docs/people.md), and none is raised by a quiet scene: `frozen` asks for the same picture
to the last bit, `covered` and `moved` compare with what this camera usually sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge_agent.config import LivenessConfig
from edge_agent.records import F32, U8, Frame

LOOK_EVERY_S = 0.5  # dark, covered and moved are slow; looking at each frame would say no more
DARK_MEAN = 14.0  # grey levels; with a bright lamp somewhere it is not dark:
DARK_BRIGHTEST = 48.0
PLAIN = 1.0  # mean absolute detail of a lens cap, a hand, fog; a bare wall with a door has more
DETAIL_KEPT = 0.3
SAME_VIEW = 0.3  # correlation of detail with the usual view; crowds stay above, a turned camera is near 0
VIEW_MEMORY_S = 60.0


@dataclass(slots=True)
class _Cause:
    """Something wrong, since when, and when it was last seen."""

    since_s: float | None = None
    last_s: float = 0.0

    def tell(self, present: bool, at_s: float, clear_after_s: float) -> None:
        if present:
            self.since_s = at_s if self.since_s is None else self.since_s
            self.last_s = at_s
        elif self.since_s is not None and at_s - self.last_s >= clear_after_s:
            self.since_s = None

    def lasts(self, at_s: float, delay_s: float) -> bool:
        return self.since_s is not None and at_s - self.since_s >= delay_s


class Liveness:
    """One camera."""

    def __init__(self, config: LivenessConfig) -> None:
        self._config = config
        self._began_s: float | None = None
        self._last_s: float | None = None
        self._previous: U8 | None = None
        self._previous_small: U8 | None = None
        self._looked_s = float("-inf")
        self._frozen, self._dark, self._covered, self._moved = _Cause(), _Cause(), _Cause(), _Cause()
        self._detail_usual: float | None = None
        self._view: F32 | None = None
        self._learned_s = 0.0

    def observe(self, frame: Frame | None, at_s: float, source_status: str = "online") -> str:
        """The status now. source_status: what the source itself says, online | stalled | offline."""
        if self._began_s is None:
            self._began_s = at_s
        if frame is not None:
            self._last_s = at_s
            self._see(frame, at_s)
        unseen_s = at_s - (self._began_s if self._last_s is None else self._last_s)
        if unseen_s >= self._config.offline_after_s or (source_status == "offline" and frame is None):
            self._forget_frozen()
            return "offline"
        if unseen_s >= self._config.stalled_after_s:
            return "stalled"
        return self._of_the_picture(at_s)

    def _of_the_picture(self, at_s: float) -> str:
        if self._dark.lasts(at_s, self._config.dark_after_s):
            return "dark"
        if self._frozen.lasts(at_s, self._config.frozen_after_s):
            return "frozen"
        if self._covered.lasts(at_s, self._config.covered_after_s):
            return "covered"
        if self._moved.lasts(at_s, self._config.moved_after_s):
            return "moved"
        return "online"

    def _forget_frozen(self) -> None:
        self._frozen, self._previous, self._previous_small = _Cause(), None, None

    def _see(self, frame: Frame, at_s: float) -> None:
        small = frame.glance
        if self._previous_small is not None and small.shape != self._previous_small.shape:
            self._view, self._detail_usual, self._learned_s = None, None, 0.0
        self._frozen.tell(self._is_same(frame.bgr, small), at_s, 0.0)
        self._previous, self._previous_small = frame.bgr, small
        if at_s - self._looked_s >= LOOK_EVERY_S:
            elapsed_s = min(2.0, at_s - self._looked_s)
            self._looked_s = at_s
            self._look(small, at_s, elapsed_s)

    def _is_same(self, bgr: U8, small: U8) -> bool:
        """The same picture to the last bit; the small one first: it differs in nearly every live pair."""
        if self._previous is None or self._previous_small is None or self._previous.shape != bgr.shape:
            return False
        return bool(np.array_equal(small, self._previous_small)) and bool(np.array_equal(bgr, self._previous))

    def _look(self, small: U8, at_s: float, elapsed_s: float) -> None:
        clear_s = self._config.clear_after_s
        mean = float(small.mean())
        dark = mean < DARK_MEAN and float(np.percentile(small, 99)) < DARK_BRIGHTEST
        self._dark.tell(dark, at_s, clear_s)
        view, amount = _detail(small, mean)
        usual = self._detail_usual
        learned = self._learned_s >= self._config.learn_s
        covered = not dark and (amount < PLAIN or (learned and usual is not None and amount < DETAIL_KEPT * usual))
        self._covered.tell(covered, at_s, clear_s)
        moved = not dark and not covered and learned and self._view is not None and _same(view, self._view) < SAME_VIEW
        self._moved.tell(moved, at_s, clear_s)
        if dark or covered:
            return
        if self._moved.lasts(at_s, self._config.accept_view_after_s):
            self._view, self._detail_usual, self._learned_s, self._moved = None, None, 0.0, _Cause()
        if not moved:
            self._learn(view, amount, elapsed_s)

    def _learn(self, view: F32, amount: float, elapsed_s: float) -> None:
        if self._view is None or self._detail_usual is None:
            self._view, self._detail_usual = view, amount
            return
        share = elapsed_s / min(VIEW_MEMORY_S, max(self._learned_s, 1.0) + elapsed_s)
        self._learned_s += elapsed_s
        self._view = self._view + np.float32(share) * (view - self._view)
        self._detail_usual += share * (amount - self._detail_usual)


def _detail(small: U8, mean: float) -> tuple[F32, float]:
    """What is left without smooth light, float32, and how much of it there is, as if the light were middling."""
    grey = small.astype(np.float32)
    detail = grey - cv2.GaussianBlur(grey, (0, 0), 4.0)
    scale = 100.0 / (mean + 20.0)
    return np.clip(detail * scale, -40, 40), float(np.abs(detail).mean()) * scale


def _same(a: F32, b: F32) -> float:
    """Correlation of two views' details, 0 for unrelated ones."""
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0
