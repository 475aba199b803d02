"""How long stages take: percentiles over the last samples, in bounded memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

KEPT_SAMPLES = 2000


class Stopwatch:
    """Times named stages. Percentiles are of the last `KEPT_SAMPLES` of each, in milliseconds.

    on_sample: told of each (stage, seconds), for a histogram elsewhere. total_s: seconds of each stage since the start.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        on_sample: Callable[[str, float], None] = lambda _stage, _seconds: None,
    ) -> None:
        self._clock = clock
        self._on_sample = on_sample
        self._samples: dict[str, deque[float]] = {}
        self.total_s: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside; nothing is kept where it raises."""
        started = self._clock()
        yield
        self.add(name, self._clock() - started)

    def add(self, name: str, seconds: float) -> None:
        """Keep a time that was measured elsewhere."""
        self._samples.setdefault(name, deque(maxlen=KEPT_SAMPLES)).append(seconds)
        self.total_s[name] = self.total_s.get(name, 0.0) + seconds
        self._on_sample(name, seconds)

    def percentiles_ms(self) -> dict[str, dict[str, float]]:
        """p50 and p95 of each stage, in the order in which stages were first timed (nearest rank)."""
        return {name: _percentiles_ms(sorted(samples)) for name, samples in self._samples.items()}


def _percentiles_ms(ordered: list[float]) -> dict[str, float]:
    return {
        f"p{percent}": round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1e3, 3)
        for percent in (50, 95)
    }
