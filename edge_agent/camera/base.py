"""What every source offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edge_agent.records import Frame


@dataclass(frozen=True, slots=True)
class Figures:
    """Counters since the start.

    dropped: frames replaced by a newer one before they were read. abandoned: capture threads given up as stuck.
    """

    frames: int = 0
    dropped: int = 0
    reconnects: int = 0
    abandoned: int = 0


class Source(Protocol):
    """Frames of one camera, clip or folder."""

    name: str
    live: bool
    fps: float | None
    total_frames: int | None

    @property
    def ended(self) -> bool:
        """No frame will come any more."""
        ...

    @property
    def status(self) -> str:
        """online, stalled or offline."""
        ...

    @property
    def problem(self) -> str:
        """Why it is not online, without secrets; empty otherwise."""
        ...

    @property
    def figures(self) -> Figures: ...

    def start(self) -> None: ...

    def read(self) -> Frame | None:
        """The next frame, or None: nothing new yet. Never waits for a camera."""
        ...

    def close(self) -> None: ...
