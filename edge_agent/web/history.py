"""Past events in SQLite: pages of them, and visits by class over time. Bounded in rows and days, written in batches.

Called from one thread at a time (the web worker). A database that is broken, at its opening or later, is set aside and
made anew of what can be read; one whose file is deleted meanwhile begins anew; one that cannot be opened now is left
alone: the page then remembers what happened since the start, and the agent goes on.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from edge_agent.web import history_file

log = logging.getLogger(__name__)
Json = dict[str, Any]

KEEP_ROWS = 50_000
KEEP_DAYS = 31
COMMIT_EVERY_S = (
    10.0  # an SD card is a consumable; a power cut loses this much of the page's history, not of the spool's
)


@dataclass(frozen=True, slots=True)
class Query:
    """Which events: `before` is the cursor of the page before (exclusive), times are seconds since 1970."""

    limit: int = 50
    before: int | None = None
    camera: str | None = None
    type: str | None = None
    label: str | None = None
    visit: str | None = None
    since_s: float | None = None
    until_s: float | None = None


class History:
    """The events that the page remembers."""

    def __init__(self, path: Path | None, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self.newest_seen = 0
        self._committed_s = now()
        self._path = path
        self._use(history_file.open_file(path))

    def add(self, events: Iterable[tuple[int, Json]]) -> None:
        """Take numbered events of this run, oldest first."""
        self.keep_file()
        for number, event in events:
            self.newest_seen = number
            self._write(
                "INSERT INTO events (at_s, camera, visit, type, label, json) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    at_seconds(event, self._now()),
                    str(event.get("camera", "")),
                    str(event.get("id", "")),
                    str(event.get("type", "")),
                    label_of(event),
                    json.dumps(event, separators=(",", ":")),
                ),
            )
            self._rows += 1
        if abs(self._now() - self._committed_s) >= COMMIT_EVERY_S:  # also where the clock was put back
            self._prune()
            self._commit()

    def keep_file(self) -> None:
        """Begin the file anew where it was deleted or replaced since it was opened."""
        if self._path is None or self._identity is None or not history_file.is_gone(self._path, self._identity):
            return
        self._commit()
        self._use(history_file.begun_anew(self._path, self._db))

    def page(self, query: Query) -> tuple[list[Json], int | None]:
        """Events, newest first, and the cursor of the next page (None: this is the last). Raises sqlite3.Error."""
        where, values = ["1"], []
        filters = {
            "n < ?": query.before,
            "camera = ?": query.camera,
            "type = ?": query.type,
            "label = ?": query.label,
            "visit = ?": query.visit,
            "at_s >= ?": query.since_s,
            "at_s < ?": query.until_s,
        }
        for condition, value in filters.items():
            if value is not None:
                where.append(condition)
                values.append(value)
        rows = self._execute(
            f"SELECT n, json FROM events WHERE {' AND '.join(where)} ORDER BY n DESC LIMIT ?",
            (*values, query.limit + 1),
        )
        page = [event for _, text in rows[: query.limit] if (event := history_file.event_of(text)) is not None]
        return page, rows[query.limit - 1][0] if len(rows) > query.limit else None

    def visits(self, since_s: float, until_s: float, camera: str | None = None) -> dict[str, int]:
        """Ended visits by verdict in a span of time."""
        return _summed(self.bins(since_s, until_s, 1, camera))

    def bins(self, since_s: float, until_s: float, count: int, camera: str | None = None) -> list[dict[str, int]]:
        """Ended visits by verdict in `count` equal parts of a span, oldest first. Raises sqlite3.Error."""
        width_s = (until_s - since_s) / count
        condition, values = ("AND camera = ?", [camera]) if camera else ("", [])
        rows = self._execute(
            f"SELECT CAST((at_s - ?) / ? AS INTEGER), label, count(*) FROM events "
            f"WHERE type = 'end' AND label != '' AND at_s >= ? AND at_s < ? {condition} GROUP BY 1, 2",
            (since_s, width_s, since_s, until_s, *values),
        )
        out: list[dict[str, int]] = [{} for _ in range(count)]
        for index, label, visits in rows:
            out[min(index, count - 1)][label] = visits
        return out

    def close(self) -> None:
        self._commit()
        with suppress(sqlite3.Error):
            self._db.close()

    def _use(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._rows = history_file.count(db)
        self._identity = history_file.identity_of(db)

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        try:
            self._execute(statement, values)
        except sqlite3.Error as error:
            log.warning("the page's history cannot be written: %s; free some space", error)

    def _execute(self, statement: str, values: tuple[object, ...]) -> list[Any]:
        """The rows of a statement, which is tried once more where the file turns out to be damaged."""
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            if self._path is None or not history_file.is_damage(error):
                raise
            self._commit()
            with suppress(sqlite3.Error):
                self._db.close()
            self._use(history_file.made_anew(self._path, error))
        return self._db.execute(statement, values).fetchall()

    def _prune(self) -> None:
        self._write("DELETE FROM events WHERE at_s < ?", (self._now() - KEEP_DAYS * 86_400,))
        if self._rows > KEEP_ROWS:
            self._write("DELETE FROM events WHERE n <= (SELECT max(n) FROM events) - ?", (KEEP_ROWS * 9 // 10,))
            self._rows = KEEP_ROWS * 9 // 10

    def _commit(self) -> None:
        self._committed_s = self._now()
        with suppress(sqlite3.Error):
            self._db.commit()


def label_of(event: Json) -> str:
    """What an event says: at the end what the visit counts for, before what is thought now; empty: not counted."""
    if event.get("static"):
        return ""
    return str((event.get("counted_as") if event.get("type") == "end" else event.get("after")) or "")


def at_seconds(event: Json, otherwise: float) -> float:
    """When an event happened, seconds since 1970."""
    at = event.get("at")
    if isinstance(at, int | float):
        return float(at)
    with suppress(TypeError, ValueError):
        return datetime.fromisoformat(str(at)).timestamp()
    return otherwise


def _summed(bins: list[dict[str, int]]) -> dict[str, int]:
    out: dict[str, int] = {}
    for part in bins:
        for label, visits in part.items():
            out[label] = out.get(label, 0) + visits
    return out
