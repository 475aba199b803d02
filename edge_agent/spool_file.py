"""The spool's SQLite file: every statement of it, and nothing about why."""

from __future__ import annotations

import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

SCHEMA_VERSION = 1
KEEP_ASIDE = 2
BUSY_S = 2.0
_DAMAGED = ("malformed", "not a database", "corrupt", "no such table", "no such column", "datatype mismatch")

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL, ran_s REAL NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS total (
    one INTEGER PRIMARY KEY CHECK (one = 1), events INTEGER NOT NULL, bytes INTEGER NOT NULL, ran_s REAL NOT NULL,
    last_id INTEGER NOT NULL);
INSERT OR IGNORE INTO total VALUES (1, 0, 0, 0, 0);
PRAGMA user_version = {SCHEMA_VERSION};
"""


@dataclass(frozen=True, slots=True)
class SpoolRow:
    """One event on its way. ran_s: the age clock (seconds of running) when it was put."""

    id: int
    topic: str
    payload: bytes
    ran_s: float

    @property
    def size(self) -> int:
        return len(self.topic) + len(self.payload)

    @property
    def crc(self) -> int:
        return zlib.crc32(self.payload, zlib.crc32(self.topic.encode()))


class SpoolFileError(Exception):
    """`damaged`: the content is broken, a new file would work. Otherwise the disk itself does not."""

    def __init__(self, message: str, damaged: bool) -> None:
        super().__init__(message)
        self.damaged = damaged


class SpoolFile:
    """One connection; the caller sees to it that one thread uses it at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events = self.bytes = self.last_id = 0
        self.ran_s = 0.0
        self._db: sqlite3.Connection | None = None

    def open(self) -> None:
        """Make or open the file; its totals are known afterwards."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            self._db.text_factory = _text
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, SCHEMA_VERSION):
                raise SpoolFileError(f"{self.path} was written by another version ({version})", damaged=True)
            if version == 0:
                self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA journal_size_limit = 4000000")
            self._db.execute("PRAGMA cache_size = -512")
            if version == 0:
                self._db.executescript(_SCHEMA)
            self._read_totals()
        except (sqlite3.Error, OSError, ValueError, TypeError) as error:
            self._close_quietly()
            raise self._translated(error) from error
        except SpoolFileError:
            self._close_quietly()
            raise

    def read(self, after_id: int, limit: int) -> tuple[list[SpoolRow], list[int], int | None]:
        """Rows after an id in order, the ids of those whose checksum is wrong, and the last id looked at."""
        rows: list[SpoolRow] = []
        corrupt: list[int] = []
        last: int | None = None
        try:
            found = self._connection().execute(
                "SELECT id, topic, payload, ran_s, crc FROM event WHERE id > ? ORDER BY id LIMIT ?", (after_id, limit)
            )
            for values in found:
                last = int(values[0])
                row = _row(values)
                if row is None:
                    corrupt.append(last)
                else:
                    rows.append(row)
        except sqlite3.Error as error:
            raise self._translated(error) from error
        return rows, corrupt, last

    def write(self, rows: Sequence[SpoolRow], gone: Iterable[int], ran_s: float) -> None:
        """Add rows and remove others in one transaction that is on the disk when this returns."""
        gone = list(gone)
        if not rows and not gone:
            return
        db = self._connection()
        try:
            db.execute("BEGIN IMMEDIATE")
            removed = [size for (size,) in self._sizes(gone)]
            db.executemany("DELETE FROM event WHERE id = ?", ((row_id,) for row_id in gone))
            db.executemany(
                "INSERT OR REPLACE INTO event VALUES (?, ?, ?, ?, ?)",
                ((row.id, row.topic, row.payload, row.ran_s, row.crc) for row in rows),
            )
            self._finish(
                self.events - len(removed) + len(rows),
                self.bytes - sum(removed) + sum(row.size for row in rows),
                ran_s,
                max([self.last_id, *(row.id for row in rows)]),
            )
        except (sqlite3.Error, OSError) as error:
            self._roll_back()
            raise self._translated(error) from error

    def drop_older(self, ran_s: float) -> list[int]:
        """Remove what was put before that moment of the age clock; the ids."""
        if not self.events:
            return []
        return self._drop("SELECT id, length(topic) + length(payload) FROM event WHERE ran_s < ? ORDER BY id", ran_s)

    def drop_oldest(self, max_events: int, max_bytes: int) -> list[int]:
        """Remove the oldest until the rest fits; the ids."""
        ids: list[int] = []
        while self.events > max_events or self.bytes > max_bytes:
            average = max(1, self.bytes // max(1, self.events))
            excess = max(1, self.events - max_events, (self.bytes - max_bytes) // average)
            gone = self._drop("SELECT id, length(topic) + length(payload) FROM event ORDER BY id LIMIT ?", excess)
            if not gone:
                break
            ids += gone
        return ids

    def set_aside(self) -> tuple[Path, int, int]:
        """Rename the damaged file, start anew with what could be read of it: the new name, rows kept, rows lost."""
        expected = self.events
        rows = self._salvage()
        self._close_quietly()
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns() // 1_000_000}")
        try:
            for suffix in ("", "-wal", "-shm"):
                source = self.path.with_name(self.path.name + suffix)
                if source.exists():
                    os.replace(source, aside.with_name(aside.name + suffix))
            for old in sorted(self.path.parent.glob(f"{self.path.name}.damaged-*[0-9]"))[:-KEEP_ASIDE]:
                for suffix in ("", "-wal", "-shm"):
                    old.with_name(old.name + suffix).unlink(missing_ok=True)
        except OSError as error:
            raise self._translated(error) from error
        ran_s, last_id = self.ran_s, self.last_id
        self.events = self.bytes = 0
        self.open()
        self.last_id = max(last_id, self.last_id)
        self.write(rows, (), ran_s)
        return aside, len(rows), max(0, expected - len(rows))

    def close(self) -> None:
        self._close_quietly()

    # --- within

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise SpoolFileError(f"{self.path} is not open", damaged=False)
        return self._db

    def _sizes(self, ids: list[int]) -> Iterable[tuple[int]]:
        for row_id in ids:
            yield from self._connection().execute(
                "SELECT length(topic) + length(payload) FROM event WHERE id = ?", (row_id,)
            )

    def _drop(self, select: str, value: float) -> list[int]:
        db = self._connection()
        try:
            db.execute("BEGIN IMMEDIATE")
            found = db.execute(select, (value,)).fetchall()
            db.executemany("DELETE FROM event WHERE id = ?", ((row_id,) for row_id, _ in found))
            self._finish(
                self.events - len(found), self.bytes - sum(size for _, size in found), self.ran_s, self.last_id
            )
        except (sqlite3.Error, OSError) as error:
            self._roll_back()
            raise self._translated(error) from error
        return [row_id for row_id, _ in found]

    def _finish(self, events: int, size: int, ran_s: float, last_id: int) -> None:
        """Write the totals, commit, and only then believe them; give pages back when much was removed."""
        db = self._connection()
        values = (max(0, events), max(0, size), ran_s, last_id)
        db.execute("UPDATE total SET events = ?, bytes = ?, ran_s = ?, last_id = ?", values)
        db.execute("COMMIT")
        self.events, self.bytes, self.ran_s, self.last_id = values
        if db.execute("PRAGMA freelist_count").fetchone()[0] > 1000:
            db.execute("PRAGMA incremental_vacuum(1000)").fetchall()

    def _read_totals(self) -> None:
        row = self._connection().execute("SELECT events, bytes, ran_s, last_id FROM total").fetchone()
        if row is None:
            raise SpoolFileError(f"{self.path} lost its totals", damaged=True)
        newest = self._connection().execute("SELECT max(id) FROM event").fetchone()[0] or 0
        self.events, self.bytes, self.ran_s, self.last_id = int(row[0]), int(row[1]), float(row[2]), max(row[3], newest)

    def _salvage(self) -> list[SpoolRow]:
        """Whatever rows can still be read, from the front and, where that stops, from the back."""
        rows: dict[int, SpoolRow] = {}
        try:
            db = self._db or sqlite3.connect(self.path, timeout=BUSY_S, check_same_thread=False)
            db.text_factory = _text
        except sqlite3.Error:
            return []
        for order in ("ASC", "DESC"):
            try:
                for values in db.execute(f"SELECT id, topic, payload, ran_s, crc FROM event ORDER BY id {order}"):
                    row = _row(values)
                    if row is not None:
                        rows[row.id] = row
                break
            except sqlite3.Error:
                continue
        self._db = db
        return [rows[row_id] for row_id in sorted(rows)]

    def _roll_back(self) -> None:
        try:
            if self._db is not None and self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            self._close_quietly()

    def _close_quietly(self) -> None:
        try:
            if self._db is not None:
                self._db.close()
        except sqlite3.Error:
            pass  # it is being given up anyway
        self._db = None

    def _translated(self, error: Exception) -> SpoolFileError:
        text = str(error)
        damaged = isinstance(error, sqlite3.Error | ValueError | TypeError) and (
            not isinstance(error, sqlite3.Error) or any(word in text for word in _DAMAGED)
        )
        return SpoolFileError(f"{self.path}: {text}", damaged)


def _text(stored: bytes) -> str:
    """A damaged letter does not end the reading of all rows; the checksum tells of it."""
    return stored.decode("utf-8", "replace")


def _row(values: tuple[object, ...]) -> SpoolRow | None:
    """A row whose types and checksum are right."""
    row_id, topic, payload, ran_s, crc = values
    if not (isinstance(row_id, int) and isinstance(topic, str) and isinstance(payload, bytes)):
        return None
    if not isinstance(ran_s, int | float):
        return None
    row = SpoolRow(row_id, topic, payload, float(ran_s))
    return row if row.crc == crc else None
