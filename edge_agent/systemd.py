"""What systemd is told: READY, STATUS, WATCHDOG, RELOADING, STOPPING. Without $NOTIFY_SOCKET nothing happens.

    systemd = Systemd(health)
    systemd.beat()        # a few times a second: WATCHDOG every third of its time, STATUS when the words change
    systemd.stopping()

READY=1 goes out after the first processed frame, or once a degraded state is declared. WATCHDOG=1 only while frames
progress or the stall is declared and being handled, as `health.alive()` has it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

import sdnotify

from edge_agent.health import Health

LONGEST_STATUS = 240


class Systemd:
    """Talks to the service manager; `send` is a stand-in for the socket in tests."""

    def __init__(
        self,
        health: Health,
        env: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        send: Callable[[str], None] | None = None,
    ) -> None:
        env = os.environ if env is None else env
        self._health, self._clock = health, clock
        self._watchdog_s = _watchdog_s(env)
        self._send = send or (sdnotify.SystemdNotifier().notify if env.get("NOTIFY_SOCKET") else None)
        self._watchdog_due_s = float("-inf")
        self._ready = False
        self._words = ""

    def beat(self) -> None:
        """Say what is due."""
        if self._send is None:
            return
        report, now = self._health.report(), self._clock()
        if report.ready and not self._ready:
            self._ready = True
            self._send("READY=1")
        if self._watchdog_s and now >= self._watchdog_due_s:
            self._watchdog_due_s = now + self._watchdog_s / 3
            if self._health.alive():
                self._send("WATCHDOG=1")
        self._status(report.words)

    def reloading(self, now: bool) -> None:
        """A reload begins or is over."""
        if self._send is not None:
            # Type=notify-reload wants the time too; Type=notify ignores it.
            self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}" if now else "READY=1")

    def stopping(self, why: str = "stopping") -> None:
        """The agent is about to end."""
        if self._send is not None:
            self._send(f"STOPPING=1\nSTATUS={_one_line(why)}")

    def _status(self, words: str) -> None:
        if self._send is not None and words != self._words:
            self._words = words
            self._send(f"STATUS={_one_line(words)}")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:LONGEST_STATUS]


def _watchdog_s(env: Mapping[str, str]) -> float:
    """WatchdogSec as systemd gives it; 0 where there is none or it is meant for another process."""
    try:
        if env.get("WATCHDOG_PID") not in (None, "", str(os.getpid())):
            return 0.0
        return max(0.0, int(env.get("WATCHDOG_USEC", "0")) / 1e6)
    except ValueError:
        return 0.0
