"""A history file that is deleted, or replaced by another, while the server runs."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge_agent.web import WebState
from edge_agent.web import app as web_app
from edge_agent.web.history import History
from web_support import LABELS, Running, comes_true, running, visit

AT = "2026-01-31T08:00:00Z"


@pytest.fixture
def state() -> WebState:
    return WebState(LABELS, device="door", version="0.1.0")


def happen(state: WebState, *numbers: int) -> None:
    for number in numbers:
        state.note_event(visit(number, "with_mask", AT))


def remembered(path: Path, *numbers: int) -> None:
    """A history file of such visits."""
    history = History(path)
    history.add((n, visit(n, "with_mask", AT)) for n in numbers)
    history.close()


def shown(on: Running) -> list[str]:
    return [event["id"].removeprefix("visit-") for event in on.client.get("/events").json()["events"]]


def stored(path: Path) -> list[str]:
    """Visits that lie in the file itself, newest first."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        rows = db.execute("SELECT visit FROM events ORDER BY n DESC").fetchall()
    return [name.removeprefix("visit-") for (name,) in rows]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"history.db-wal", "history.db-shm"}


@pytest.mark.parametrize(
    "deleted",
    [["history.db"], ["history.db", "history.db-wal", "history.db-shm"], None],
    ids=["the file", "its log too", "the folder"],
)
def test_a_history_deleted_while_it_is_in_use_begins_anew_and_that_is_said_once(tmp_path, state, caplog, deleted):
    caplog.set_level(logging.WARNING)
    path = tmp_path / "state" / "history.db"
    with running(state=state, history=path) as on:
        happen(state, 1, 2)
        assert shown(on) == ["2", "1"]
        if deleted is None:
            shutil.rmtree(path.parent)
        for name in deleted or []:
            path.with_name(name).unlink()
        happen(state, 3)
        assert shown(on) == ["3"]
        happen(state, 4)
        assert shown(on) == ["4", "3"]
    assert stored(path) == ["4", "3"]
    assert names(path.parent) == {"history.db"}
    assert len(said(caplog)) == 1
    assert f"{path} was deleted or replaced; it goes on with 0 events" in said(caplog)[0]
    with running(history=path) as on:
        assert shown(on) == ["4", "3"]


def test_a_deletion_is_noticed_while_nothing_happens_and_nobody_looks(tmp_path, state, monkeypatch):
    monkeypatch.setattr(web_app, "DRAIN_EVERY_S", 0.1)
    path = tmp_path / "history.db"
    with running(state=state, history=path) as on:
        happen(state, 1)
        assert shown(on) == ["1"]
        path.unlink()
        assert comes_true(lambda: path.exists() and names(tmp_path) == {"history.db"})
        assert stored(path) == []


def test_another_file_put_in_its_place_keeps_what_it_holds(tmp_path, state, caplog):
    caplog.set_level(logging.WARNING)
    path, other = tmp_path / "history.db", tmp_path / "other.db"
    remembered(other, 11, 12)
    with running(state=state, history=path) as on:
        happen(state, 1, 2, 3)
        assert shown(on) == ["3", "2", "1"]
        other.replace(path)
        happen(state, 4)
        assert shown(on) == ["4", "12", "11"]
    assert stored(path) == ["4", "12", "11"]
    assert "goes on with 2 events" in said(caplog)[0]
    assert names(tmp_path) == {"history.db"}
