"""The history's SQLite file: opened, or set aside where it is damaged and made anew of the rows that can still be read.

One that was deleted, or replaced by another, while it was open is begun anew: SQLite would write on into a file that
nobody can open again. What somebody deleted does not come back.

What was set aside last is `history.broken`, before it `history.broken.1` and `history.broken.2`; what is older is
deleted. Numbers, not times: a device without a clock of its own may wake in any year.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

log = logging.getLogger(__name__)

KEEP_ASIDE = 3
BUSY_S = 1.0
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_LARGEST_N = 2**53  # what a page's cursor may be

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    n INTEGER PRIMARY KEY, at_s REAL NOT NULL, camera TEXT NOT NULL, visit TEXT NOT NULL,
    type TEXT NOT NULL, label TEXT NOT NULL, json TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_time ON events (type, at_s);
"""


def open_file(path: Path | None) -> sqlite3.Connection:
    """A connection to the file; to memory where there is none, or it cannot be used now."""
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return _connect(str(path))
        except (OSError, sqlite3.Error) as error:
            if isinstance(error, sqlite3.Error) and is_damage(error):
                return made_anew(path, error)
            log.warning("the page's history %s cannot be used now: %s; it stays as it is", path, error)
    return _connect(":memory:")


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the content of the file is broken; a full disk, a lock or a failing disk may pass."""
    code = getattr(error, "sqlite_errorcode", None)  # of some that Python raises by itself there is none
    return (code is not None and (code & 0xFF) in _DAMAGE) or "no such " in str(error)  # table, column


def made_anew(path: Path, why: sqlite3.Error) -> sqlite3.Connection:
    """Set the closed file aside, begin a new one with the rows that can be read; in memory where that fails too."""
    try:
        broken = _set_aside(path)
        db = _connect(str(path))
    except (OSError, sqlite3.Error) as error:
        log.warning("the page's history %s is damaged: %s; it cannot be set aside: %s", path, why, error)
        return _connect(":memory:")
    rescued = _rescue(broken, db)
    log.warning("the page's history %s is damaged: %s; it is now %s, %d events were kept", path, why, broken, rescued)
    return db


def identity_of(db: sqlite3.Connection) -> tuple[int, int] | None:
    """Device and inode of the file that was just opened; None: it is in memory, or cannot be looked at."""
    name = db.execute("PRAGMA database_list").fetchone()[2]
    with suppress(OSError):
        found = Path(name).stat() if name else None
        return (found.st_dev, found.st_ino) if found else None
    return None


def is_gone(path: Path, identity: tuple[int, int]) -> bool:
    """Whether the file at the path is no longer that one."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return True
    except OSError:  # a disk that fails now may answer again
        return False
    return (found.st_dev, found.st_ino) != identity


def begun_anew(path: Path, db: sqlite3.Connection) -> sqlite3.Connection:
    """Close what is open on a file that is gone, and go on with what lies at its path now, or an empty one."""
    with suppress(sqlite3.Error):  # its log may still lie there, and would be taken for that of the new file
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with suppress(sqlite3.Error):
        db.close()
    new = open_file(path)
    log.warning("the page's history %s was deleted or replaced; it goes on with %d events", path, count(new))
    return new


def count(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM events").fetchone()[0])


def _connect(name: str) -> sqlite3.Connection:
    db = sqlite3.connect(name, check_same_thread=False, timeout=BUSY_S)
    try:
        db.text_factory = _text
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.executescript(_SCHEMA)
        count(db)  # a damaged index shows here, where the file can be set aside
    except sqlite3.Error:
        db.close()
        raise
    return db


def _text(stored: bytes) -> str:
    """A damaged letter does not end the reading of all rows."""
    return stored.decode("utf-8", "replace")


def _set_aside(path: Path) -> Path:
    """Rename the file, and what it had not yet taken over from its log; the new name."""
    names = [path.with_suffix(".broken"), *(path.with_suffix(f".broken.{n}") for n in range(1, KEEP_ASIDE))]
    for older, newer in zip(reversed(names), [*reversed(names[:-1]), path], strict=True):
        for suffix in ("", "-wal"):
            older.with_name(older.name + suffix).unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                newer.with_name(newer.name + suffix).replace(older.with_name(older.name + suffix))
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    return names[0]


def _rescue(broken: Path, db: sqlite3.Connection) -> int:
    """Copy the rows that can be read, from the front and, where that stops, from the back; how many."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(broken, timeout=BUSY_S)) as old:
        old.text_factory = _text
        for order in ("ASC", "DESC"):
            try:
                for row in old.execute(
                    f"SELECT n, at_s, camera, visit, type, label, json FROM events ORDER BY n {order}"
                ):
                    if _is_sound(row):
                        db.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", row)
                break
            except sqlite3.Error:
                continue
    with suppress(sqlite3.Error):
        db.commit()
    return count(db)


def _is_sound(row: tuple[object, ...]) -> bool:
    n, at_s, *words, text = row
    if not (isinstance(n, int) and 0 < n < _LARGEST_N and isinstance(at_s, float)):
        return False
    return all(isinstance(word, str) for word in words) and event_of(text) is not None


def event_of(text: object) -> dict[str, object] | None:
    """An event as it was stored; None where it was damaged since."""
    with suppress(ValueError, TypeError, RecursionError):
        event = json.loads(text)  # type: ignore[arg-type]
        return event if isinstance(event, dict) else None
    return None
