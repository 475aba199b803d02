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


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A file came to its end with fewer frames than it states.

    certain: a place in it could not be read, or it breaks off; otherwise what it states may be an estimate.
    """

    came: int
    stated: int
    certain: bool
    words: str


class Source(Protocol):
    """Frames of one camera, clip or folder."""

    name: str
    live: bool
    fps: float | None

    @property
    def total_frames(self) -> int | None:
        """Of a file, as it states or as its length suggests; once it has ended whole, those that came."""
        ...

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

    @property
    def shortfall(self) -> Shortfall | None:
        """Of a file that has ended; None where all it states came, for live sources, and after a stop."""
        ...

    def start(self) -> None: ...

    def read(self) -> Frame | None:
        """The next frame, or None: nothing new yet. Never waits for a camera."""
        ...

    def close(self) -> None: ...
