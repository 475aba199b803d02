"""The time, passed in. Durations come from `monotonic`, which no one can set; `utc` may jump.

clock = SystemClock(); clock.monotonic(); clock.utc(); clock.sleep(0.1)
boot_id()               the kernel's id of this boot: with `monotonic` it orders events of one boot
clock_synchronised()    whether the kernel thinks that its UTC follows a time server
"""

from __future__ import annotations

import ctypes
import time
from pathlib import Path
from typing import Protocol

TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


class Clock(Protocol):
    """What stages may ask of the time."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back."""
        ...

    def utc(self) -> float:
        """Seconds since 1970."""
        ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The real one."""

    def monotonic(self) -> float:
        return time.monotonic()

    def utc(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


def boot_id(path: Path = Path("/proc/sys/kernel/random/boot_id")) -> str:
    """The kernel's id of this boot; empty where there is none."""
    try:
        return path.read_text("ascii").strip()
    except OSError:
        return ""


def clock_synchronised() -> bool | None:
    """Whether UTC follows a time server, as adjtimex(2) says; None where that cannot be asked."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        state = int(libc.adjtimex(ctypes.create_string_buffer(512)))  # modes = 0: only read; struct timex is 208 bytes
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != TIME_ERROR
