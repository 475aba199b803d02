"""`run --events`: events appended to a file, one a line. A full disk costs the events of that time and nothing more."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

from edge_agent.errors import NotFoundError

log = logging.getLogger(__name__)

WAITING_MOST_BYTES = 256_000


class EventsFile:
    """After opening it nothing raises: what cannot be written waits, up to a bound; beyond it whole lines are lost."""

    def __init__(self, path: Path) -> None:
        """Raises NotFoundError where it cannot be opened."""
        self._path = path
        self._waiting = bytearray()  # from the middle of a line, where the disk took half of one
        self._lost = 0
        self._why = ""
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise NotFoundError(f"cannot write events to {path}: {error.strerror}; give another --events") from None

    @property
    def fault(self) -> str | None:
        """What is wrong now, in words; None once the file is written again."""
        return f"{self._path}: {self._why}; events wait or are missing there" if self._why else None

    @property
    def loss(self) -> str | None:
        """How many events the file lacks, in words; after `close` the final word."""
        lost = self._lost + (self._waiting.count(b"\n") if self._file.closed else 0)
        return f"{lost} events are missing in {self._path}, which could not be written" if lost else None

    def write(self, payload: bytes) -> None:
        if len(self._waiting) + len(payload) < WAITING_MOST_BYTES:
            self._waiting += payload + b"\n"
        else:
            self._lost += 1
        self.flush()

    def flush(self) -> None:
        """Write what waits; said once when that fails, and once when it works again."""
        try:
            while self._waiting:
                written = self._file.write(self._waiting)
                if not written:
                    raise BlockingIOError(errno.EAGAIN, "it takes nothing now")
                del self._waiting[:written]
        except OSError as error:
            if not self._why:
                log.error("%s: %s; events wait or are missing there", self._path, error.strerror)
            self._why = error.strerror or str(error)
            return
        if self._why:
            log.info("%s is written again; %s", self._path, self.loss or "no event is missing")
        self._why = ""

    def close(self) -> None:
        self.flush()
        try:
            self._file.close()
        except OSError as error:
            self._why = error.strerror or str(error)
        if self.loss:
            log.error("%s", self.loss)
