"""Writes pictures and their JSON in a thread of its own: atomic, within a quota, and calm when the disk is full.

Used by `record` alone. Nothing here raises into the loop: a disk that is full or read-only is `problem`, and tried
again after a pause.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import queue
import shutil
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import cv2

from edge_agent.clock import Clock
from edge_agent.config import RecordConfig
from edge_agent.records import U8
from edge_agent.snapshot_index import SavedPicture, SnapshotIndex

__all__ = ["Job", "SavedPicture", "SnapshotWriter"]

QUEUE_MOST = 16
RETRY_AFTER_S = 60.0
PROBLEMS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "the folder may not be written",
    errno.EPERM: "the folder may not be written",
    errno.EIO: "the disk fails",
}


@dataclass(frozen=True, slots=True)
class Job:
    """A picture (uint8 BGR, privacy already applied) and what is said of it."""

    picture: U8
    about: dict[str, object]
    utc_s: float
    camera: str


class SnapshotWriter:
    """Takes jobs, writes files. Counters are read by other threads; each is written by one."""

    def __init__(self, root: Path, config: RecordConfig, clock: Clock) -> None:
        self._root, self._config, self._clock = root, config, clock
        self._index = SnapshotIndex(root, config, clock)
        self._jobs: queue.Queue[Job | None] = queue.Queue(QUEUE_MOST)
        self.saved = self.failed = self.dropped = 0
        self.problem = ""
        self._not_before_s = float("-inf")
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)
        self._thread.start()

    @property
    def bytes(self) -> int:
        return self._index.bytes

    def find(self, names: Iterable[str]) -> SavedPicture | None:
        return self._index.find(names)

    def put(self, job: Job) -> None:
        """Queue a picture; one too many is dropped and counted."""
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self.dropped += 1

    def close(self, wait_s: float) -> None:
        """Write what is queued; give up on a disk that hangs after `wait_s`."""
        with contextlib.suppress(queue.Full):
            self._jobs.put(None, timeout=wait_s)
        self._thread.join(wait_s)

    def _run(self) -> None:
        self._attempt(self._index.load)
        while (job := self._jobs.get()) is not None:
            if self._clock.monotonic() < self._not_before_s:
                self.failed += 1
                continue
            self._attempt(partial(self._write, job))

    def _attempt(self, action: Callable[[], None]) -> None:
        """Do it; a disk that refuses is a problem, not an end."""
        try:
            action()
        except (OSError, cv2.error) as error:
            self.failed += 1
            number = error.errno if isinstance(error, OSError) else None
            reason = PROBLEMS.get(number or 0, str(error))
            self.problem = f"pictures cannot be saved in {self._root}: {reason}"
            self._not_before_s = self._clock.monotonic() + RETRY_AFTER_S
        else:
            self.problem = ""

    def _write(self, job: Job) -> None:
        encoded, data = cv2.imencode(".jpg", job.picture, [cv2.IMWRITE_JPEG_QUALITY, self._config.jpeg_quality])
        if not encoded:
            raise OSError(None, "the picture cannot be encoded")
        taken = datetime.fromtimestamp(job.utc_s, UTC)
        about = {"at": taken.isoformat(timespec="milliseconds").replace("+00:00", "Z"), **job.about}
        text = (json.dumps(about, ensure_ascii=False) + "\n").encode()
        self._index.make_room(len(data) + len(text))
        self._root.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self._root).free < self._config.min_free_bytes + len(data):
            raise OSError(errno.ENOSPC, f"less than {self._config.min_free_bytes} bytes are free")
        folder = self._root / f"{taken:%Y-%m-%d}"
        folder.mkdir(exist_ok=True)
        stem = f"{taken:%H%M%S}.{taken.microsecond // 1000:03d}-{job.about['visit']}-{job.about['label']}"
        picture, words = folder / f"{stem}.jpg", folder / f"{stem}.json"
        _write_atomic(picture, data.tobytes())
        try:
            _write_atomic(words, text)
        except OSError:
            picture.unlink(missing_ok=True)
            raise
        self._index.add(picture, len(data) + len(text), job.utc_s)
        self.saved += 1


def _write_atomic(path: Path, data: bytes) -> None:
    """Whole or not at all: a part file in the same folder, to the disk, then its name."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
