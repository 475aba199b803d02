"""How many wear a mask as they should: correctly masked visits over judged visits, with Wilson's 95 % interval.

    compliance = Compliance(correct_label=labels[0], windows_s={"hour": 3600, "day": 86400})
    compliance.add(event)                         `end` events count, all others and posters do not
    compliance.rate(at_s, window="hour", camera=None, zone=None) -> Rate      window None: since the start
    compliance.report(at_s) -> list of Rate       every window, over all, per camera and per zone

Visits that could not be judged are counted beside it, never in it. Windows go by the monotonic clock.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

from edge_agent.records import CANNOT_TELL, Event

Z_95 = 1.959964
VISITS_MOST = 200_000  # a day of two visits a second; older ones leave the windows early and stay in the totals
WINDOWS_S = {"hour": 3600.0, "day": 86_400.0}
Key = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class Rate:
    """rate, low and high are None without a judged visit. window, camera, zone: None stands for all."""

    window: str | None
    camera: str | None
    zone: str | None
    correct: int
    judged: int
    cannot_tell: int
    rate: float | None
    low: float | None
    high: float | None


def wilson(correct: int, judged: int) -> tuple[float, float] | None:
    """The 95 % interval of a share (Wilson 1927): honest for few visits and for shares near 0 and 1."""
    if judged == 0:
        return None
    share, z2 = correct / judged, Z_95**2
    middle = share + z2 / (2 * judged)
    half = Z_95 * math.sqrt(share * (1 - share) / judged + z2 / (4 * judged**2))
    return max(0.0, (middle - half) / (1 + z2 / judged)), min(1.0, (middle + half) / (1 + z2 / judged))


class Compliance:
    """Ended visits, in windows."""

    def __init__(self, correct_label: str, windows_s: Mapping[str, float] | None = None) -> None:
        self._correct = correct_label
        self._windows_s = dict(WINDOWS_S if windows_s is None else windows_s)
        self._visits: deque[tuple[float, str, str | None, str]] = deque(maxlen=VISITS_MOST)
        self._totals: dict[Key, Counter[str]] = {}

    def add(self, event: Event) -> None:
        """Take an event; only the end of a visit that counts changes anything."""
        if event.type != "end" or event.counted_as is None:
            return
        self._visits.append((event.at_s, event.camera, event.zone, event.counted_as))
        for key in {(None, None), (event.camera, None), (event.camera, event.zone)}:
            self._totals.setdefault(key, Counter())[event.counted_as] += 1

    def rate(self, at_s: float, window: str | None = None, camera: str | None = None, zone: str | None = None) -> Rate:
        """The share now. A zone is looked for in the camera given, or in all."""
        if window is None and (camera is not None or zone is None):
            return self._rate(window, camera, zone, self._totals.get((camera, zone), Counter()))
        since_s = -math.inf if window is None else at_s - self._windows_s[window]
        counted: Counter[str] = Counter()
        for ended_s, seen_by, seen_in, label in reversed(self._visits):
            if ended_s < since_s:
                break
            counted[label] += camera in (None, seen_by) and zone in (None, seen_in)
        return self._rate(window, camera, zone, counted)

    def report(self, at_s: float) -> list[Rate]:
        """All windows and the time since the start, over all, per camera, per zone."""
        self._forget(at_s)
        keys = sorted(self._totals, key=lambda key: (key[0] or "", key[1] or ""))
        return [self.rate(at_s, window, *key) for window in (*self._windows_s, None) for key in keys]

    def _forget(self, at_s: float) -> None:
        longest_s = max(self._windows_s.values(), default=0.0)
        while self._visits and self._visits[0][0] < at_s - longest_s:
            self._visits.popleft()

    def _rate(self, window: str | None, camera: str | None, zone: str | None, counted: Counter[str]) -> Rate:
        cannot_tell = counted[CANNOT_TELL]
        judged = counted.total() - cannot_tell
        correct = counted[self._correct]
        interval = wilson(correct, judged)
        rate = correct / judged if judged else None
        low, high = interval or (None, None)
        return Rate(window, camera, zone, correct, judged, cannot_tell, rate, low, high)
