"""The machine's own figures, from /proc and /sys; what is not there is None."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from edge_agent.messages import HostFigures

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Host:
    """Reads figures; `cpu_percent` is since the last reading. root: a stand-in for / in tests."""

    def __init__(self, state_dir: Path, root: Path = Path("/"), clock: Callable[[], float] = time.monotonic) -> None:
        self._state_dir, self._root, self._clock = state_dir, root, clock
        self._cpu_s: float | None = None
        self._at_s = 0.0

    def figures(self) -> HostFigures:
        statm = self._text("proc/self/statm").split()
        return HostFigures(
            cpu_percent=self._cpu_percent(),
            resident_bytes=int(statm[1]) * PAGE_BYTES if len(statm) > 1 else None,
            memory_available_bytes=self._memory_available(),
            temperature_celsius=self.temperature_celsius(),
            disk_free_bytes=self.disk_free_bytes(),
            load_1min=self._load(),
        )

    def temperature_celsius(self) -> float | None:
        """The hottest thermal zone that gives a believable figure."""
        found = []
        try:
            files = sorted((self._root / "sys/class/thermal").glob("thermal_zone*/temp"))
        except OSError:  # no file descriptor is left: a figure less, not the end of the agent
            return None
        for file in files:
            try:
                degrees = int(file.read_text("ascii")) / 1000
            except (OSError, ValueError):
                continue
            if -40 <= degrees <= 150:
                found.append(degrees)
        return max(found, default=None)

    def _cpu_percent(self) -> float | None:
        fields = self._text("proc/self/stat").rpartition(")")[2].split()
        if len(fields) < 13:
            return None
        now, used = self._clock(), (int(fields[11]) + int(fields[12])) / TICKS_PER_S
        before, since, self._cpu_s, self._at_s = self._cpu_s, self._at_s, used, now
        if before is None or now <= since:
            return None
        return round(max(0.0, 100 * (used - before) / (now - since)), 1)

    def _memory_available(self) -> int | None:
        for line in self._text("proc/meminfo").splitlines():
            name, _, rest = line.partition(":")
            if name == "MemAvailable" and rest.split():
                return int(rest.split()[0]) * 1024
        return None

    def disk_free_bytes(self) -> int | None:
        try:
            found = os.statvfs(self._state_dir)
        except OSError:
            return None
        return found.f_bavail * found.f_frsize

    def _load(self) -> float | None:
        fields = self._text("proc/loadavg").split()
        return float(fields[0]) if fields else None

    def _text(self, name: str) -> str:
        try:
            return (self._root / name).read_text("ascii", "replace")
        except OSError:
            return ""
