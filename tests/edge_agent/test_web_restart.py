"""A web server that dies: it is said, nobody hangs on it, and it comes back."""

from __future__ import annotations

import contextlib
import functools
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import httpx
import pytest

from edge_agent.health import Health
from edge_agent.run_command import SAMPLE
from edge_agent.web import WebSources, WebState
from web_support import LABELS, Running, comes_true, running, visit


def kill(on: Running, deed: Callable[[], object] | None = None) -> None:
    """End the event loop of the server under it: what a mistake in it, or a lack of memory, would do."""
    loop = on.server._server._loop
    loop.call_soon_threadsafe(deed or loop.stop)


def is_refused(on: Running) -> bool:
    try:
        socket.create_connection(("127.0.0.1", on.server.port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def answers(on: Running) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{on.server.url}/health", timeout=2).status_code == 200
    return False


@pytest.mark.parametrize("deed", [None, functools.partial(sys.exit, 3)], ids=["an error", "an exit"])
def test_a_server_that_dies_is_said_once_refuses_meanwhile_and_comes_back(deed, caplog):
    health = Health()
    tell = functools.partial(health.declare, "web")
    with running(sources=WebSources(health=health.report), tell=tell) as on:
        with on.client.stream("GET", "/events/stream") as stream:
            lines = stream.iter_lines()
            next(lines)
            kill(on, deed)
            with pytest.raises(httpx.TransportError):
                list(lines)
        assert comes_true(lambda: is_refused(on))
        report = health.report()
        assert report.state == "degraded"
        assert report.reasons[0].startswith("the page does not answer: ")
        assert comes_true(lambda: answers(on))
        assert health.report().reasons == ()
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(said) == 1
    assert "the camera goes on without it" in said[0]


def test_a_server_whose_port_was_taken_meanwhile_waits_for_it():
    told: list[str | None] = []
    with running(tell=told.append) as on:
        assert answers(on)
        kill(on)
        assert comes_true(lambda: is_refused(on))
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", on.server.port))
            other.listen()
            assert comes_true(lambda: "in use" in (told[-1] or ""))
        assert comes_true(lambda: answers(on))
        assert told[-1] is None


def test_visits_are_remembered_once_over_the_death_of_the_server(tmp_path):
    state = WebState(LABELS, device="door", version="0.1.0")
    for history in (None, tmp_path / "history.db"):
        with running(state=state, history=history) as on:
            state.note_event(visit(1, "with_mask", "2026-01-31T08:00:00Z"))
            before = len(on.client.get("/events").json()["events"])
            kill(on)
            assert comes_true(lambda: is_refused(on))
            state.note_event(visit(2, "with_mask", "2026-01-31T08:00:01Z"))
            assert comes_true(lambda: answers(on))
            events = httpx.get(f"{on.server.url}/events").json()["events"]
            assert (len(events), events[0]["id"]) == (before + 1, "visit-2")


def test_a_server_that_is_away_stops_at_once():
    with running() as on:
        assert answers(on)
        kill(on)
        assert comes_true(lambda: is_refused(on))
        started = time.monotonic()
        on.server.stop()
        assert time.monotonic() - started < 0.5
        assert not on.server._thread.is_alive()


AGENT = """
import ctypes, json, sys, threading, time, urllib.request
from pathlib import Path
from edge_agent.build import running_agent
from edge_agent.config import load
from edge_agent.messages import LoopFigures

config = load(None, {}, {"camera": [{"name": "hall", "source": sys.argv[1]}], "http": {"port": 0}})
with running_agent(config, Path(sys.argv[2])) as (agent, url):
    urllib.request.urlopen(url + "/stats").read()
    time.sleep(0.5)  # until its thread is no longer at the answer: a mistake there would cost that answer alone
    (web,) = [thread for thread in threading.enumerate() if thread.name == "web"]
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(web.ident), ctypes.py_object(SystemExit))
    deadline = time.monotonic() + 20
    while not agent.parts.health.report().reasons and time.monotonic() < deadline:
        time.sleep(0.02)
    stats = agent.parts.reporter.stats(LoopFigures(**agent.figures()), paused=False, threshold=0.5)
    print(json.dumps([stats["health"], stats["reasons"]]))
"""


def test_the_stats_of_an_agent_say_that_its_page_is_away(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", AGENT, str(SAMPLE), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    health, reasons = json.loads(done.stdout)
    assert health == "degraded"
    assert reasons[0].startswith("the page does not answer: ")
