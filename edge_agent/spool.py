"""Events wait here until the broker has them: in memory for a moment, then in SQLite, in order, bounded.

    spool = Spool(state_dir / "spool.db", config.spool)      # opens or repairs; never raises for a bad disk
    spool.put("maskwatch/door/events/hall", payload)         # memory only: never waits for the disk
    for row in spool.take(20): ...                           # oldest first, each once until rewind()
    spool.ack(row.id)                                        # the broker has it: forget it
    spool.rewind()                                           # the connection broke: unacknowledged rows come again
    spool.close()

What a power cut can lose: the events of the last `commit_every_s` seconds that no broker had acknowledged, and the
time of one commit. An event that the broker acknowledges sooner is never written, which spares the SD card. Commits
are synced (`synchronous=FULL`: in WAL mode NORMAL leaves a commit to the next checkpoint).

What is dropped is counted in `dropped` by reason: full (over max_events or max_bytes, oldest first), age, disk (the
disk takes nothing and memory is full), corrupt (its checksum is wrong), refused (the broker will never take it).
Age is counted in seconds of running, not of the wall clock, which may jump by decades on a device without one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_agent.config import SpoolConfig
from edge_agent.spool_file import SpoolFile, SpoolFileError, SpoolRow

log = logging.getLogger(__name__)

DROP_REASONS = ("full", "age", "disk", "corrupt", "refused")
MEMORY_EVENTS = 5_000  # while the disk takes nothing
MEMORY_BYTES = 8_000_000
REOPEN_EVERY_S = 10.0
AGE_CHECK_EVERY_S = 60.0
ACK_EVERY_S = 0.1  # an acknowledgement that a kill forgets is an event sent twice
READ_AHEAD = 200


@dataclass(frozen=True, slots=True)
class SpoolState:
    """Figures for health, metrics and stats."""

    events: int
    bytes: int
    unwritten: int
    dropped: dict[str, int]
    disk_error: str | None
    commits: int


class Spool:
    """Thread-safe. `put` and `ack` touch memory alone; a thread of its own commits."""

    def __init__(
        self,
        path: Path,
        config: SpoolConfig,
        clock: Callable[[], float] = time.monotonic,
        on_put: Callable[[], None] = lambda: None,
    ) -> None:
        """on_put: called when something can be taken."""
        self._config, self._clock, self._on_put = config, clock, on_put
        self._memory = threading.Lock()  # short: never held while the disk works
        self._disk = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._pending: dict[int, SpoolRow] = {}  # not on disk; id order is insertion order
        self._pending_bytes = 0
        self._pending_since: float | None = None
        self._acked_since: float | None = None
        self._ready: deque[SpoolRow] = deque()  # read from disk, not yet taken
        self._taken: dict[int, SpoolRow] = {}
        self._acked: set[int] = set()  # on disk, to be deleted with the next commit
        self._cursor = 0  # rows up to here were taken or are in _ready
        self._disk_events = self._disk_bytes = self._disk_last = 0
        self._dropped: Counter[str] = Counter()
        self._commits = 0
        self._disk_error: str | None = None
        self._reopen_at = 0.0
        self._age_check_at = 0.0
        self._started_at = clock()
        self._ran_before_s = 0.0
        self._file = SpoolFile(path)
        self._open()
        self._next_id = self._disk_last + 1
        self._thread = threading.Thread(target=self._commit_forever, name="spool", daemon=True)
        self._thread.start()

    def put(self, topic: str, payload: bytes) -> None:
        """Keep an event until `ack`. Never blocks on the disk, never raises."""
        with self._memory:
            row = SpoolRow(self._next_id, topic, payload, self._ran_s())
            self._next_id += 1
            self._pending[row.id] = row
            self._pending_bytes += row.size
            if self._pending_since is None:
                self._pending_since = self._clock()
            if self._disk_error is not None:
                self._drop_from_memory()
        self._wake.set()
        if self._config.commit_every_s > 0:
            self._on_put()

    def take(self, limit: int) -> list[SpoolRow]:
        """The next rows, oldest first, at most `limit`; each is given once until `rewind`."""
        rows: list[SpoolRow] = []
        while len(rows) < limit:
            if not self._ready and not self._read_ahead():
                break
            with self._memory:
                while self._ready and len(rows) < limit:
                    row = self._ready.popleft()
                    if self._is_wanted(row):
                        self._taken[row.id] = row
                        rows.append(row)
        return rows

    def ack(self, row_id: int, dropped: str | None = None) -> None:
        """The broker has it, or (dropped: the reason) will never take it: forget it."""
        with self._memory:
            self._forget(row_id)
            if dropped:
                self._dropped[dropped] += 1

    def rewind(self) -> None:
        """Give everything that is not acknowledged again, in order."""
        with self._memory:
            self._taken.clear()
            self._start_over()

    def state(self) -> SpoolState:
        with self._memory:
            disk = max(0, self._disk_events - len(self._acked))
            return SpoolState(
                events=disk + len(self._pending),
                bytes=self._disk_bytes + self._pending_bytes,
                unwritten=len(self._pending),
                dropped=dict(self._dropped),
                disk_error=self._disk_error,
                commits=self._commits,
            )

    def close(self, within_s: float = 1.0) -> None:
        """Commit what is left and stop; a disk that hangs is left behind after `within_s`."""
        self._closing = True
        self._wake.set()
        self._thread.join(within_s)

    # --- reading

    def _read_ahead(self) -> bool:
        """Fill `_ready` from the disk, then from memory; whether it is worth looking again."""
        with self._memory:
            if not self._on_disk_are_more():
                return self._read_memory()  # without the disk's lock: a commit in progress delays nobody
        with self._disk:
            with self._memory:
                if not self._on_disk_are_more():
                    return True
                cursor, disk_last = self._cursor, self._disk_last
            try:
                rows, corrupt, last = self._file.read(cursor, READ_AHEAD)
            except SpoolFileError as error:
                self._repair(error)
                return False
            with self._memory:
                fresh = [row_id for row_id in corrupt if row_id not in self._acked]
                if fresh:
                    self._dropped["corrupt"] += len(fresh)
                self._acked.update(fresh)
                if self._cursor == cursor:  # else rewound meanwhile
                    self._cursor = disk_last if last is None else last
                    self._ready.extend(rows)
            return True

    def _on_disk_are_more(self) -> bool:
        return self._disk_error is None and self._cursor < self._disk_last and self._disk_events > 0

    def _read_memory(self) -> bool:
        if self._config.commit_every_s == 0 and self._disk_error is None:
            return False  # each event is on disk before it is sent
        fresh = [row for row in self._pending.values() if row.id > self._cursor]
        if fresh:
            self._cursor = fresh[-1].id
            self._ready.extend(fresh)
        return bool(fresh)

    def _is_wanted(self, row: SpoolRow) -> bool:
        """Not under way, not acknowledged, not dropped from memory meanwhile."""
        is_there = row.id in self._pending or row.id <= self._disk_last
        return is_there and row.id not in self._taken and row.id not in self._acked

    def _start_over(self) -> None:
        self._ready.clear()
        self._cursor = 0

    # --- forgetting

    def _forget(self, row_id: int) -> None:
        self._taken.pop(row_id, None)
        row = self._pending.pop(row_id, None)
        if row is not None:
            self._pending_bytes -= row.size
        elif row_id <= self._disk_last:
            self._acked.add(row_id)
            self._acked_since = self._acked_since if self._acked_since is not None else self._clock()
        if not self._pending:
            self._pending_since = None

    def _drop_from_memory(self) -> None:
        limit = min(MEMORY_EVENTS, self._config.max_events)
        while len(self._pending) > limit or self._pending_bytes > MEMORY_BYTES:
            self._forget(next(iter(self._pending)))
            self._dropped["disk"] += 1

    # --- writing

    def _ran_s(self) -> float:
        return self._ran_before_s + self._clock() - self._started_at

    def _commit_forever(self) -> None:
        while not self._closing:
            self._wake.wait(self._pause_s())
            self._wake.clear()
            if self._closing or self._pause_s() <= 0:
                self.commit()
        self.commit()
        with self._disk:
            self._file.close()

    def _pause_s(self) -> float:
        """Seconds until the next commit is due."""
        with self._memory:
            now, every = self._clock(), self._config.commit_every_s
            if self._disk_error is not None:
                return self._reopen_at - now
            due = [self._age_check_at]
            if self._pending_since is not None:
                due.append(self._pending_since + every)
            if self._acked_since is not None:
                due.append(self._acked_since + max(every, ACK_EVERY_S))
            return min(due) - now

    def commit(self) -> None:
        """Write what waits in memory, delete what was acknowledged, keep the bounds."""
        with self._disk:
            with self._memory:
                rows, acked = list(self._pending.values()), list(self._acked)
                error = self._disk_error
            if error is not None and not self._reopened():
                return
            try:
                self._file.write(rows, acked, self._ran_s())
                self._after_write(rows, acked)
                self._keep_bounds()
            except SpoolFileError as failure:
                self._repair(failure)
                return
        if rows:
            self._on_put()

    def _after_write(self, rows: list[SpoolRow], acked: list[int]) -> None:
        with self._memory:
            self._commits += bool(rows or acked)
            for row in rows:
                if self._pending.pop(row.id, None) is None:
                    self._acked.add(row.id)  # acknowledged while it was being written
                else:
                    self._pending_bytes -= row.size
            self._pending_since = self._clock() if self._pending else None
            self._acked.difference_update(acked)
            self._acked_since = self._clock() if self._acked else None
            self._disk_last = max([self._disk_last, *(row.id for row in rows)])
            self._disk_events, self._disk_bytes = self._file.events, self._file.bytes

    def _keep_bounds(self) -> None:
        limits = self._config
        if self._clock() >= self._age_check_at:
            self._age_check_at = self._clock() + AGE_CHECK_EVERY_S
            self._gone("age", self._file.drop_older(self._ran_s() - limits.max_age_days * 86_400))
        self._gone("full", self._file.drop_oldest(limits.max_events, limits.max_bytes))

    def _gone(self, reason: str, ids: list[int]) -> None:
        if not ids:
            return
        with self._memory:
            lost = [row_id for row_id in ids if row_id not in self._acked]
            self._acked.difference_update(ids)
            gone = set(ids)
            self._ready = deque(row for row in self._ready if row.id not in gone)
            self._taken = {row_id: row for row_id, row in self._taken.items() if row_id not in gone}
            self._dropped[reason] += len(lost)
            self._disk_events, self._disk_bytes = self._file.events, self._file.bytes
        if lost:
            log.warning("spool: dropped %d events (%s); the broker has been away too long", len(lost), reason)

    # --- a disk that fails

    def _open(self) -> None:
        try:
            self._file.open()
        except SpoolFileError as error:
            self._repair(error)
            return
        self._opened()

    def _opened(self) -> None:
        with self._memory:
            self._disk_error = None
            self._disk_events, self._disk_bytes = self._file.events, self._file.bytes
            self._disk_last = max(self._disk_last, self._file.last_id)
            self._ran_before_s = max(self._ran_before_s, self._file.ran_s)

    def _reopened(self) -> bool:
        if self._clock() < self._reopen_at and not self._closing:
            return False
        try:
            self._file.close()
            self._file.open()
        except SpoolFileError as error:
            self._repair(error)
            return False
        self._opened()
        with self._memory:
            self._start_over()
        log.warning("spool: the disk takes events again")
        return True

    def _repair(self, error: SpoolFileError) -> None:
        """A damaged file is set aside and what can be read of it kept; a disk that fails is tried again later."""
        if error.damaged:
            try:
                aside, kept, lost = self._file.set_aside()
                log.error("spool: %s; set aside as %s, %d events kept", error, aside.name, kept)
                with self._memory:
                    self._dropped["corrupt"] += lost
                    self._start_over()
                self._opened()
                return
            except SpoolFileError as second:
                error = second
        with self._memory:
            if self._disk_error is None:
                log.error("spool: %s; events stay in memory (at most %d) until it works again", error, MEMORY_EVENTS)
            self._disk_error = str(error)
            self._reopen_at = self._clock() + REOPEN_EVERY_S
            self._drop_from_memory()
