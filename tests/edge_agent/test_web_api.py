"""What integrators read."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_agent.health import HealthReport
from edge_agent.web import WebSources, WebState
from edge_agent.web.history import History
from web_support import LABELS, person, running, view, visit


def at(seconds_ago: float) -> str:
    return datetime.fromtimestamp(time.time() - seconds_ago, UTC).isoformat()


def filled() -> WebState:
    state = WebState(LABELS, device="door", version="0.1.0")
    state.show(view())
    state.note_event(visit(1, "with_mask", at(7000)))
    state.note_event(visit(2, "with_mask", at(300)))
    state.note_event(visit(3, "without_mask", at(200), camera="yard"))
    state.note_event(visit(4, "cannot_tell", at(100)))
    state.note_event(visit(5, "with_mask", at(50), type_="new"))
    state.note_event(visit(6, "with_mask", at(40), counted_as=None, static=True))
    return state


def test_health_answers_503_with_its_reasons_while_people_are_not_counted():
    report = HealthReport("failing", True, ("camera door is frozen",), {"door": "frozen"}, {"door": 12.0}, 60.0)
    with running(sources=WebSources(health=lambda: report)) as on:
        answer = on.client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["status"] == "failing"
    assert answer.json()["reasons"] == ["camera door is frozen"]


def test_a_degraded_agent_is_healthy_and_says_why_it_is_not_well():
    report = HealthReport("degraded", True, ("the broker is away",), {"door": "online"}, {}, 60.0)
    with running(sources=WebSources(health=lambda: report)) as on:
        answer = on.client.get("/health")
    assert (answer.status_code, answer.json()["reasons"]) == (200, ["the broker is away"])


def test_ready_waits_for_the_first_frame():
    report = HealthReport("ok", False, (), {}, {}, 1.0)
    with running(sources=WebSources(health=lambda: report)) as on:
        answer = on.client.get("/ready")
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["no frame was processed yet"])


def test_metrics_model_and_stats_pass_through():
    sources = WebSources(
        metrics=lambda: b"maskwatch_frames_total 3\n", model_info=lambda: {"classifier": {"name": "m"}}
    )
    with running(sources=sources) as on:
        on.state.note_stats({"frames": 3})
        assert on.client.get("/metrics").text == "maskwatch_frames_total 3\n"
        assert on.client.get("/model_info").json() == {"classifier": {"name": "m"}}
        assert on.client.get("/stats").json()["frames"] == 3


def test_now_counts_people_by_class_over_all_cameras():
    state = WebState(LABELS, device="door", version="0.1.0")
    state.show(view())
    state.show(view(name="yard", status="frozen", reason="the picture has not changed for 12 s"))
    with running(state=state) as on:
        now = on.client.get("/now").json()
    assert now["people"] == {"with_mask": 2, "without_mask": 0, "mask_weared_incorrect": 0, "cannot_tell": 0}
    assert [(one["name"], one["status"]) for one in now["cameras"]] == [("door", "online"), ("yard", "frozen")]


def test_who_left_a_moment_ago_and_posters_are_not_in_view():
    state = WebState(LABELS, device="door", version="0.1.0")
    gone, poster = replace(person(2), seen=False), replace(person(3), visitor=False)
    state.show(view(tracks=(person(1), gone, poster)))
    with running(state=state) as on:
        now = on.client.get("/now").json()
    assert now["people"] == {"with_mask": 1, "without_mask": 0, "mask_weared_incorrect": 0, "cannot_tell": 0}
    assert [(one["seen"], one["visitor"]) for one in now["cameras"][0]["tracks"]] == [
        (True, True),
        (False, True),
        (True, False),
    ]


def test_history_counts_ended_visits_and_leaves_out_posters():
    with running(state=filled()) as on:
        history = on.client.get("/history", params={"span_s": 3600, "bins": 4}).json()
    assert history["hour"]["visits"] == {"with_mask": 1, "without_mask": 1, "mask_weared_incorrect": 0}
    assert history["hour"]["cannot_tell"] == 1
    assert (history["hour"]["judged"], history["hour"]["compliance"]) == (2, 0.5)
    assert history["hour"]["interval_95"] == pytest.approx([0.0945, 0.9055], abs=1e-4)
    assert history["day"]["visits"]["with_mask"] == 2
    assert [sum(column) for column in zip(*history["bins"], strict=True)] == [1, 1, 0, 1]


def test_events_are_filtered_and_come_newest_first():
    with running(state=filled()) as on:

        def ids(**filters: str | int) -> list[str]:
            return [event["id"] for event in on.client.get("/events", params=filters).json()["events"]]

        assert ids() == [f"visit-{n}" for n in (6, 5, 4, 3, 2, 1)]
        assert ids(type="new") == ["visit-5"]
        assert ids(label="cannot_tell") == ["visit-4"]
        assert ids(camera="yard") == ["visit-3"]
        assert ids(id="visit-2") == ["visit-2"]
        assert ids(until=at(250)) == ["visit-2", "visit-1"]
        assert ids(since=at(60), type="new") == ["visit-5"]


def test_pages_of_events_join_without_gap_or_double():
    with running(state=filled()) as on:
        seen, cursor = [], None
        while True:
            page = on.client.get("/events", params={"limit": 4, **({"before": cursor} if cursor else {})}).json()
            seen += [event["id"] for event in page["events"]]
            cursor = page["next"]
            if cursor is None:
                break
    assert seen == [f"visit-{n}" for n in (6, 5, 4, 3, 2, 1)]


def test_two_who_ask_at_once_do_not_count_a_visit_twice():
    with running(state=filled()) as on:
        for _ in range(5):
            on.client.get("/history")
            on.client.get("/events")
        assert len(on.client.get("/events").json()["events"]) == 6


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "type=old", "since=yesterday", "since=2026-01-01T00:00:00", "until=2026", "x=1"]
)
def test_a_wrong_parameter_is_named(query):
    with running() as on:
        answer = on.client.get(f"/events?{query}")
    assert answer.status_code == 422
    assert query.split("=")[0] in answer.json()["detail"]


def test_the_history_is_there_after_a_restart(tmp_path):
    with running(state=filled(), history=tmp_path / "history.db") as on:
        before = on.client.get("/events").json()["events"]
    with running(history=tmp_path / "history.db") as on:
        assert on.client.get("/events").json()["events"] == before


def test_a_broken_history_is_set_aside_and_the_page_goes_on(tmp_path):
    path = tmp_path / "history.db"
    path.write_bytes(b"this is no database" * 100)
    with running(state=filled(), history=path) as on:
        assert len(on.client.get("/events").json()["events"]) == 6
    assert path.with_suffix(".broken").exists()


def damage(path: Path, pages: Callable[[list[int], bytes], list[int]]) -> None:
    """Overwrite pages of a closed database: chosen of the numbers (from 0) of all, and the whole file."""
    with closing(sqlite3.connect(path)) as db:
        (size,) = db.execute("PRAGMA page_size").fetchone()
    data = bytearray(path.read_bytes())
    for page in pages(list(range(len(data) // size)), bytes(data)):
        data[page * size : (page + 1) * size] = b"\xa7" * size
    path.write_bytes(data)


def page_in_the_middle_of_the_rows(numbers: list[int], data: bytes) -> list[int]:
    """SQLite's file format: a page that begins with 13 holds rows of a table."""
    size = len(data) // len(numbers)
    rows = [page for page in numbers if data[page * size] == 13]
    return [rows[len(rows) // 2]]


def remembered(path: Path, visits: int = 400) -> None:
    """A history file of so many visits."""
    history = History(path)
    history.add((n, visit(n, "with_mask", at(3000))) for n in range(1, visits + 1))
    history.close()


def broken(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.broken*"))


def said_of_damage(caplog) -> list[str]:
    lines = [record.getMessage() for record in caplog.records]
    return [line for line in lines if "damaged" in line or "Traceback" in line]


def test_a_history_with_a_damaged_index_is_set_aside_and_its_visits_are_kept(tmp_path):
    path = tmp_path / "history.db"
    remembered(path, 6)
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'by_time'").fetchone()
    damage(path, lambda _numbers, _data: [page - 1])
    with running(history=path) as on:
        assert len(on.client.get("/events").json()["events"]) == 6
        assert on.client.get("/history").json()["hour"]["visits"]["with_mask"] == 6
    assert broken(tmp_path) == ["history.broken"]


def test_a_damaged_page_of_visits_costs_these_visits_alone_and_is_said_once(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    path = tmp_path / "history.db"
    remembered(path)
    damage(path, page_in_the_middle_of_the_rows)
    with running(history=path) as on:
        answers = [on.client.get(f"/{what}") for what in ("history", "events", "history", "events")]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert 380 <= answers[0].json()["hour"]["visits"]["with_mask"] < 400
    newest = answers[1].json()["events"][0]["id"]
    assert newest == "visit-400"
    assert len(said_of_damage(caplog)) == 1
    assert broken(tmp_path) == ["history.broken"]
    with running(history=path) as on:
        assert on.client.get("/history").json() | {"at": 0} == answers[2].json() | {"at": 0}


def test_visits_are_written_on_into_a_history_that_was_found_damaged(tmp_path):
    path = tmp_path / "history.db"
    remembered(path)
    damage(path, lambda numbers, data: [n for n in numbers if n > 0])
    state = filled()
    with running(state=state, history=path) as on:
        assert on.client.get("/events").status_code == 200
        state.note_event(visit(7, "with_mask", at(1)))
        assert on.client.get("/events").json()["events"][0]["id"] == "visit-7"
    with running(history=path) as on:
        assert len(on.client.get("/events").json()["events"]) == 7


def test_of_files_that_were_set_aside_the_last_three_are_kept(tmp_path):
    path = tmp_path / "history.db"
    for damaged in range(5):
        path.write_bytes(b"this is no database %d" % damaged * 100)
        History(path).close()
    assert broken(tmp_path) == ["history.broken", "history.broken.1", "history.broken.2"]
    assert b"database 4" in (tmp_path / "history.broken").read_bytes()
    assert b"database 2" in (tmp_path / "history.broken.2").read_bytes()


def test_a_history_that_cannot_be_read_now_is_a_problem_in_words():
    with running(state=filled()) as on:
        assert on.client.get("/events").status_code == 200
        on.web.history._db.close()
        answers = [on.client.get(f"/{what}") for what in ("history", "events")]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert "the history cannot be read" in answers[0].json()["detail"]


def test_a_history_that_is_locked_for_now_is_left_alone(tmp_path):
    path = tmp_path / "history.db"
    with running(state=filled(), history=path) as on:
        before = on.client.get("/events").json()["events"]
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with running(history=path) as on:
        assert on.client.get("/events").json()["events"] == []
    other.close()
    assert not path.with_suffix(".broken").exists()
    with running(history=path) as on:
        assert on.client.get("/events").json()["events"] == before


def test_a_clock_that_is_put_back_does_not_stop_the_history_from_being_kept(tmp_path):
    now = [1_800_000_000.0]
    history = History(tmp_path / "history.db", now=lambda: now[0])
    now[0] -= 3600
    history.add([(1, {"type": "end", "id": "a", "camera": "door", "counted_as": "with_mask"})])
    with sqlite3.connect(tmp_path / "history.db") as db:
        assert db.execute("SELECT count(*) FROM events").fetchone() == (1,)
    history.close()


def test_a_visits_picture_is_served_by_its_id_and_named_in_its_events():
    pictures = {"visit-2": b"\xff\xd8picture"}
    with running(state=filled(), sources=WebSources(snapshot=pictures.get)) as on:
        events = on.client.get("/events").json()["events"]
        named = {event["id"]: event["snapshot"] for event in events}
        assert named["visit-2"] == "/snapshots/visit-2"
        assert named["visit-3"] is None
        assert on.client.get("/snapshots/visit-2").content == b"\xff\xd8picture"
        assert on.client.get("/snapshots/visit-3").status_code == 404


@pytest.mark.parametrize("name", ["..%2f..%2fetc%2fpasswd", "%2e%2e", "a%00b", "%0a", "x" * 200])
def test_an_id_that_is_a_trick_never_reaches_the_store(name):
    asked = []

    def store(visit_id: str) -> bytes | None:
        asked.append(visit_id)
        return None

    with running(sources=WebSources(snapshot=store)) as on:
        assert on.client.get(f"/snapshots/{name}").status_code == 404
    assert asked == []


def test_an_address_that_is_not_there_says_where_to_look():
    with running() as on:
        answer = on.client.get("/nothing")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "/openapi.json" in answer.json()["remedy"]


def events_of(answer, wanted: int) -> list[tuple[str, dict]]:
    """The first server-sent events of a stream."""
    out, kind = [], ""
    for line in answer.iter_lines():
        if line.startswith("event: "):
            kind = line[7:]
        elif line.startswith("data: "):
            out.append((kind, json.loads(line[6:])))
            if len(out) == wanted:
                break
    return out


def test_changes_are_told_at_once():
    state = WebState(LABELS, device="door", version="0.1.0")
    state.show(view())
    with running(state=state) as on, on.client.stream("GET", "/events/stream") as answer:
        state.note_event(visit(1, "without_mask", at(1)))
        state.finish({"frames": 9})
        got = events_of(answer, 3)
    assert [kind for kind, _ in got] == ["now", "visit", "summary"]
    assert got[1][1]["id"] == "visit-1"


def test_a_stream_that_was_cut_goes_on_where_it_was():
    state = WebState(LABELS)
    for number in (1, 2, 3):
        state.note_event(visit(number, "with_mask", at(1)))
    with (
        running(state=state) as on,
        on.client.stream("GET", "/events/stream", headers={"last-event-id": "1"}) as answer,
    ):
        got = events_of(answer, 3)
    assert [body["id"] for kind, body in got if kind == "visit"] == ["visit-2", "visit-3"]
