"""How many wear a mask as they should: correctly masked visits over judged visits, with Wilson's 95 % interval.

    compliance = Compliance()
    compliance.add(event, at_s)                   `end` events count, all others and posters do not
    compliance.report(at_s, places) -> list of Rate       every window of every place asked for

Visits that could not be judged are counted beside it, never in it. `at_s` is the loop's own monotonic clock, also where
events come from a clip that has a time of its own.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_agent.records import CANNOT_TELL, Event

CORRECT_LABEL = "with_mask"
Z_95 = 1.959964
VISITS_MOST = 200_000  # a day of two visits a second; older ones leave the windows early
WINDOWS_S = {"hour": 3600.0, "day": 86_400.0, "start": math.inf}
Place = tuple[str | None, str | None]  # camera and zone; None stands for all


@dataclass(frozen=True, slots=True)
class Rate:
    """rate, low and high are None without a judged visit. camera, zone: None stands for all."""

    window: str
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

    def __init__(self, windows_s: Mapping[str, float] = WINDOWS_S) -> None:
        self._windows = {name: _Window(length_s) for name, length_s in windows_s.items()}

    def add(self, event: Event, at_s: float) -> None:
        """Take an event; only the end of a visit that counts changes anything."""
        if event.type != "end" or event.counted_as is None:
            return
        places: set[Place] = {(None, None), (event.camera, None), (event.camera, event.zone)}
        for window in self._windows.values():
            window.add(at_s, tuple(places), event.counted_as)

    def report(self, at_s: float, places: Sequence[Place]) -> list[Rate]:
        """Each window of each place, also where nobody was."""
        for window in self._windows.values():
            window.forget(at_s)
        return [_rate(name, place, self._windows[name].counts[place]) for place in places for name in self._windows]


class _Window:
    """Visits of the last `length_s`, counted by place as they come and go: a report costs the same on a busy day."""

    def __init__(self, length_s: float) -> None:
        self.counts: defaultdict[Place, Counter[str]] = defaultdict(Counter)
        self._length_s = length_s
        self._visits: deque[tuple[float, tuple[Place, ...], str]] = deque()

    def add(self, at_s: float, places: tuple[Place, ...], label: str) -> None:
        for place in places:
            self.counts[place][label] += 1
        if self._length_s == math.inf:
            return
        self._visits.append((at_s, places, label))
        if len(self._visits) > VISITS_MOST:
            self._drop_oldest()

    def forget(self, at_s: float) -> None:
        while self._visits and self._visits[0][0] < at_s - self._length_s:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, places, label = self._visits.popleft()
        for place in places:
            self.counts[place][label] -= 1


def _rate(window: str, place: Place, counted: Counter[str]) -> Rate:
    cannot_tell = counted[CANNOT_TELL]
    judged = counted.total() - cannot_tell
    correct = counted[CORRECT_LABEL]
    interval = wilson(correct, judged)
    if interval is None:
        return Rate(window, *place, correct, judged, cannot_tell, None, None, None)
    rate, low, high = (round(share, 4) for share in (correct / judged, *interval))
    return Rate(window, *place, correct, judged, cannot_tell, rate, low, high)
