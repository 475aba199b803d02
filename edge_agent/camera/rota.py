"""Several cameras, fairly served: whoever was served last comes last, so a fast camera cannot starve a slow one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from edge_agent.camera.base import Source
from edge_agent.camera.live import LiveSource
from edge_agent.records import Frame

PACE_S = 0.005  # a clip at its own speed wakes nobody; it is asked


class Rota:
    """The sources of one agent."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._queue = deque(sources)
        self._wake = threading.Event()
        self.sources = tuple(sources)

    def start(self) -> None:
        for source in self.sources:
            self._start(source)

    def take(self, sources: Sequence[Source]) -> None:
        """Serve other sources from now on: those that run already go on, new ones start."""
        fresh = [source for source in sources if source not in self.sources]
        self._queue, self.sources = deque(sources), tuple(sources)
        for source in fresh:
            self._start(source)

    def _start(self, source: Source) -> None:
        if isinstance(source, LiveSource):
            source.start(self._wake)
        else:
            source.start()

    @property
    def ended(self) -> bool:
        """Every source has ended: only where all are files."""
        return all(source.ended for source in self.sources)

    def next(self, wait_s: float = 0.2) -> tuple[Source, Frame] | None:
        """The next frame and whose it is; None where none came within `wait_s`."""
        found = self._poll()
        if found is None and not self.ended and wait_s > 0:
            self._wake.wait(wait_s if all(source.live for source in self.sources) else min(wait_s, PACE_S))
            found = self._poll()
        return found

    def close(self) -> None:
        for source in self.sources:
            source.close()

    def _poll(self) -> tuple[Source, Frame] | None:
        self._wake.clear()  # before reading: what comes in between sets it again
        for position, source in enumerate(self._queue):
            frame = source.read()
            if frame is not None:
                del self._queue[position]
                self._queue.append(source)
                return source, frame
        return None
