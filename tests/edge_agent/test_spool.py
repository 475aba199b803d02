"""The spool: order, bounds, what survives, what is set aside. Disks that fail are real ones."""

import os
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disks import disk_of
from edge_agent.config import SpoolConfig
from edge_agent.spool import MEMORY_EVENTS, Spool

TOPIC = "maskwatch/door/events/hall"


class HandClock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def opened(folder: Path, clock: Callable[[], float] = time.monotonic, **limits: float) -> Spool:
    config = SpoolConfig.model_validate({"commit_every_s": 60, **limits})
    return Spool(folder / "spool.db", config, clock)


def texts(spool: Spool, limit: int = 100_000) -> list[str]:
    return [row.payload.decode() for row in spool.take(limit)]


def fill(spool: Spool, count: int, first: int = 0) -> list[str]:
    words = [f"event {number}" for number in range(first, first + count)]
    for word in words:
        spool.put(TOPIC, word.encode())
    return words


def until(condition: Callable[[], bool], within_s: float = 15) -> bool:
    ends = time.monotonic() + within_s
    while time.monotonic() < ends:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def test_events_come_out_once_and_in_order(tmp_path):
    spool = opened(tmp_path)
    put = fill(spool, 50)
    assert texts(spool, 20) == put[:20]
    spool.commit()
    put += fill(spool, 10, first=50)
    assert texts(spool) == put[20:]
    assert texts(spool) == []
    spool.close()


def test_what_is_not_acknowledged_comes_again_after_a_rewind(tmp_path):
    spool = opened(tmp_path)
    put = fill(spool, 6)
    spool.commit()
    rows = spool.take(4)
    spool.ack(rows[0].id)
    spool.ack(rows[2].id)
    spool.rewind()
    assert texts(spool) == [put[1], put[3], put[4], put[5]]
    assert spool.state().events == 4
    spool.close()


def test_what_is_left_survives_a_restart_and_acknowledged_events_do_not(tmp_path):
    spool = opened(tmp_path)
    put = fill(spool, 5)
    for row in spool.take(2):
        spool.ack(row.id)
    spool.close()
    again = opened(tmp_path)
    assert texts(again) == put[2:]
    again.close()


def test_an_event_that_is_acknowledged_at_once_is_never_written(tmp_path):
    spool = opened(tmp_path)
    fill(spool, 3)
    for row in spool.take(3):
        spool.ack(row.id)
    spool.commit()
    assert spool.state().commits == 0
    assert spool.state().events == 0
    spool.close()


def test_a_commit_is_due_after_the_stated_time(tmp_path):
    spool = opened(tmp_path, commit_every_s=0.2)
    fill(spool, 3)
    assert until(lambda: spool.state().unwritten == 0)
    with sqlite3.connect(tmp_path / "spool.db") as db:
        assert db.execute("SELECT count(*) FROM event").fetchone() == (3,)
    spool.close()


def test_with_a_commit_of_each_an_event_is_on_disk_before_it_can_be_sent(tmp_path):
    spool = opened(tmp_path, commit_every_s=0)
    put = fill(spool, 3)
    assert until(lambda: spool.state().unwritten == 0)
    taken = texts(spool)
    with sqlite3.connect(tmp_path / "spool.db") as db:
        on_disk = [payload.decode() for (payload,) in db.execute("SELECT payload FROM event ORDER BY id")]
    assert taken == on_disk == put
    spool.close()


def test_the_oldest_are_dropped_above_the_bound_and_counted(tmp_path):
    spool = opened(tmp_path, max_events=10)
    put = fill(spool, 25)
    spool.commit()
    assert texts(spool) == put[15:]
    assert spool.state().dropped == {"full": 15}
    spool.close()


def test_the_bound_in_bytes_holds(tmp_path):
    spool = opened(tmp_path, max_bytes=100_000)
    for _ in range(300):
        spool.put(TOPIC, b"x" * 1000)
    spool.commit()
    assert spool.state().bytes <= 100_000
    assert spool.state().dropped["full"] == 300 - spool.state().events
    spool.close()


def test_events_grow_old_by_running_time_and_not_by_the_wall_clock(tmp_path):
    clock = HandClock()
    spool = opened(tmp_path, clock, max_age_days=1)
    old = fill(spool, 2)
    spool.commit()
    clock.now_s += 86_000
    young = fill(spool, 2, first=2)
    spool.commit()
    assert texts(spool) == old + young
    spool.rewind()
    clock.now_s += 1000
    spool.commit()
    assert texts(spool) == young
    assert spool.state().dropped == {"age": 2}
    spool.close()


def test_the_age_goes_on_where_the_last_start_left_it(tmp_path):
    clock = HandClock()
    spool = opened(tmp_path, clock, max_age_days=1)
    fill(spool, 1)
    spool.commit()
    clock.now_s += 80_000
    fill(spool, 1, first=1)
    spool.close()
    later = HandClock()
    again = opened(tmp_path, later, max_age_days=1)
    later.now_s += 10_000
    again.commit()
    assert texts(again) == ["event 1"]
    again.close()


@pytest.mark.parametrize(
    "damage", ["payload = x'00'", "topic = CAST(x'6d61736bff2f' AS TEXT)"], ids=["wrong checksum", "topic is no text"]
)
def test_a_damaged_row_is_dropped_and_counted(tmp_path, damage):
    spool = opened(tmp_path)
    put = fill(spool, 3)
    spool.close()
    with sqlite3.connect(tmp_path / "spool.db") as db:
        db.execute(f"UPDATE event SET {damage} WHERE id = 2")
    again = opened(tmp_path)
    assert texts(again) == [put[0], put[2]]
    assert again.state().dropped == {"corrupt": 1}
    assert again.state().disk_error is None
    again.close()


@pytest.mark.parametrize("damage", [b"", b"not a database at all" * 500, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_file_that_is_no_database_is_set_aside(tmp_path, damage):
    (tmp_path / "spool.db").write_bytes(damage)
    spool = opened(tmp_path)
    put = fill(spool, 2)
    spool.commit()
    assert texts(spool) == put
    assert spool.state().disk_error is None
    spool.close()
    assert bool(list(tmp_path.glob("spool.db.damaged-*"))) == bool(damage)


def test_the_spool_of_another_version_is_set_aside(tmp_path):
    with sqlite3.connect(tmp_path / "spool.db") as db:
        db.execute("PRAGMA user_version = 99")
    spool = opened(tmp_path)
    assert texts(spool) == []
    spool.close()
    assert list(tmp_path.glob("spool.db.damaged-*"))


def test_a_page_that_is_overwritten_loses_little_and_is_counted(tmp_path):
    spool = opened(tmp_path)
    put = fill(spool, 3000)
    spool.close()
    path = tmp_path / "spool.db"
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = os.urandom(4096)
    path.write_bytes(data)
    again = opened(tmp_path)
    found = texts(again)
    again.rewind()
    found = texts(again)
    assert found == sorted(found, key=lambda text: int(text.split()[1]))
    assert len(found) > 2500
    assert set(found) <= set(put)
    assert again.state().dropped.get("corrupt", 0) >= 1
    again.close()


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_no_damage_to_the_file_stops_new_events(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("spool")
    spool = opened(folder)
    fill(spool, 40)
    spool.close()
    path = folder / "spool.db"
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + 8] = data.draw(st.binary(min_size=8, max_size=8))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    again = opened(folder)
    texts(again)
    fill(again, 5, first=100)
    again.commit()
    again.rewind()
    assert texts(again)[-5:] == [f"event {number}" for number in range(100, 105)]
    again.close()


@pytest.mark.parametrize(
    "order", ["take put ack commit", "put commit take ack commit", "put take commit ack rewind commit"]
)
def test_no_order_of_calls_loses_or_doubles_an_event(tmp_path, order):
    spool = opened(tmp_path)
    sent: list[str] = []
    waiting: list[int] = []
    number = 0
    for step in order.split() * 30:
        if step == "put":
            fill(spool, 3, first=number)
            number += 3
        elif step == "take":
            rows = spool.take(2)
            waiting += [row.id for row in rows]
            sent += [row.payload.decode() for row in rows]
        elif step == "ack":
            for row_id in waiting:
                spool.ack(row_id)
            waiting = []
        elif step == "commit":
            spool.commit()
        else:
            spool.rewind()
    rest = texts(spool)
    assert sent + rest == [f"event {index}" for index in range(number)]
    spool.close()


@pytest.fixture
def tiny_disk(tmp_path):
    with disk_of("1m", tmp_path / "disk") as folder:
        yield folder


def test_a_full_disk_keeps_events_in_memory_and_goes_on_when_there_is_room(tiny_disk, monkeypatch):
    monkeypatch.setattr("edge_agent.spool.REOPEN_EVERY_S", 0.0)
    spool = opened(tiny_disk)
    before = fill(spool, 2)
    spool.commit()
    ballast = tiny_disk / "ballast"
    with pytest.raises(OSError, match="No space left"), ballast.open("wb") as file:
        file.write(b"x" * 2_000_000)
    for _ in range(200):
        spool.put(TOPIC, b"y" * 2000)
    spool.commit()
    assert "full" in (spool.state().disk_error or "")
    ballast.unlink()
    spool.commit()
    assert spool.state().disk_error is None
    found = texts(spool)
    assert found[:2] == before
    assert len(found) == 202
    spool.close()


def test_while_the_disk_takes_nothing_memory_is_bounded_and_drops_are_counted(tiny_disk):
    (tiny_disk / "spool.db").mkdir()  # cannot be opened as a file, and cannot be renamed away for good
    (tiny_disk / "spool.db" / "x").touch()
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    spool = opened(tiny_disk)
    put = fill(spool, MEMORY_EVENTS + 100)
    assert spool.state().dropped == {"disk": 100}
    assert texts(spool) == put[100:]
    assert spool.state().disk_error
    spool.close()


def test_a_read_only_disk_is_no_reason_to_stop(tiny_disk):
    spool = opened(tiny_disk)
    fill(spool, 3)
    spool.close()
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    again = opened(tiny_disk)
    fill(again, 2, first=3)
    again.commit()
    assert "event 4" in texts(again)
    assert again.state().disk_error
    again.close()
