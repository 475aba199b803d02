"""What is saved, oldest first, and what has to go: by bytes and by days. Used by the writer's thread; `find` by any.

A clock that jumps must not empty the folder: files are removed by age only once UTC and the monotonic clock have agreed
for STEADY_AFTER_S. By bytes, what was saved first goes first, whatever the clock said then.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge_agent.clock import Clock
from edge_agent.config import RecordConfig

DAY_S = 86_400.0
STEADY_AFTER_S = 3600.0
JUMP_S = 300.0
AGE_CHECK_S = 60.0


@dataclass(frozen=True, slots=True)
class SavedPicture:
    """One pair of files; `path` is the JPEG, the JSON lies beside it."""

    path: Path
    bytes: int
    utc_s: float

    @property
    def name(self) -> str:
        """Visit and label: what follows the time of day in the file's name."""
        return self.path.stem.partition("-")[2]


class SnapshotIndex:
    """The pairs under `root`."""

    def __init__(self, root: Path, config: RecordConfig, clock: Clock) -> None:
        self._root, self._config, self._clock = root, config, clock
        self._pairs: deque[SavedPicture] = deque()
        self._newest: dict[str, SavedPicture] = {}  # by name
        self._lock = threading.Lock()
        self.bytes = 0
        self._offset_s = clock.utc() - clock.monotonic()
        self._steady_since_s = clock.monotonic()
        self._aged_at_s = float("-inf")

    def load(self) -> None:
        """Find what earlier starts saved; remove halves and parts."""
        if not self._root.is_dir():
            return
        for part in self._root.glob("*/*.part"):
            part.unlink(missing_ok=True)
        pairs = []
        for picture in self._root.glob("*/*.jpg"):
            words = picture.with_suffix(".json")
            if not words.is_file():
                picture.unlink(missing_ok=True)
                continue
            about, more = picture.stat(), words.stat()
            pairs.append(SavedPicture(picture, about.st_size + more.st_size, about.st_mtime))
        for words in self._root.glob("*/*.json"):
            if not words.with_suffix(".jpg").is_file():
                words.unlink(missing_ok=True)
        with self._lock:
            self._pairs = deque(sorted(pairs, key=lambda pair: (pair.utc_s, pair.path.name)))
            self._newest = {pair.name: pair for pair in self._pairs}
            self.bytes = sum(pair.bytes for pair in self._pairs)
        self.make_room(0)

    def add(self, picture: Path, size_bytes: int, utc_s: float) -> None:
        with self._lock:
            pair = SavedPicture(picture, size_bytes, utc_s)
            self._pairs.append(pair)
            self._newest[pair.name] = pair
            self.bytes += size_bytes

    def find(self, names: Iterable[str]) -> SavedPicture | None:
        """The newest of these names; None where none is saved any more."""
        with self._lock:
            found = [self._newest[name] for name in names if name in self._newest]
        return max(found, key=lambda pair: pair.utc_s, default=None)

    def make_room(self, size_bytes: int) -> None:
        """Remove the oldest until `size_bytes` more fit, and what is too old."""
        while self._pairs and self.bytes + size_bytes > self._config.quota_bytes:
            self._remove_oldest()
        now_s = self._clock.monotonic()
        if now_s - self._aged_at_s < AGE_CHECK_S or not self._clock_is_steady():
            return
        self._aged_at_s = now_s
        limit_s = self._clock.utc() - self._config.quota_days * DAY_S
        while self._pairs and self._pairs[0].utc_s < limit_s:
            self._remove_oldest()

    def _remove_oldest(self) -> None:
        pair = self._pairs[0]
        pair.path.with_suffix(".json").unlink(missing_ok=True)
        pair.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty: the day has other pictures
            pair.path.parent.rmdir()
        with self._lock:
            self._pairs.popleft()
            if self._newest.get(pair.name) is pair:
                del self._newest[pair.name]
            self.bytes -= pair.bytes

    def _clock_is_steady(self) -> bool:
        now_s = self._clock.monotonic()
        offset_s = self._clock.utc() - now_s
        if abs(offset_s - self._offset_s) > JUMP_S:
            self._steady_since_s = now_s
        self._offset_s = offset_s
        return now_s - self._steady_since_s >= STEADY_AFTER_S
