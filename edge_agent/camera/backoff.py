"""How long to wait before the next attempt: twice as long each time, never longer than a limit, never in step."""

from __future__ import annotations

import random

FIRST_S = 0.5
MOST_S = 30.0


class Backoff:
    """The pauses of one camera. Jitter is +-50 %: after a power cut not all cameras of a site are asked at once."""

    def __init__(self, first_s: float = FIRST_S, most_s: float = MOST_S, rng: random.Random | None = None) -> None:
        self._first_s, self._most_s = first_s, most_s
        self._rng = rng or random.Random()
        self._failures = 0

    def next_s(self) -> float:
        """The pause after one more failure."""
        pause_s = min(self._most_s, self._first_s * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return pause_s * self._rng.uniform(0.5, 1.5)

    def reset(self) -> None:
        self._failures = 0
