"""Connections that bring no request, and addresses that take many: others are answered all the same."""

from __future__ import annotations

import contextlib
import socket
import time
from http.client import HTTPConnection

import httpx
import pytest

from edge_agent.config import HttpConfig
from edge_agent.web.limits import Limits
from web_support import Running, running

SOON = Limits(head_within_s=0.5)
HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
OTHER = "127.0.0.2"  # the loopback network has many addresses


def connection(on: Running, sent: bytes = b"", address: str = "127.0.0.1") -> socket.socket:
    out = socket.create_connection(("127.0.0.1", on.server.port), timeout=10, source_address=(address, 0))
    out.sendall(sent)
    return out


def held_s(one: socket.socket, drip: bytes = b"", most_s: float = 10) -> float:
    """How long the server leaves a connection open over which a byte is sent now and then."""
    started = time.monotonic()
    one.settimeout(0.1)
    with contextlib.suppress(ConnectionError):
        while time.monotonic() - started < most_s:
            with contextlib.suppress(TimeoutError):
                if one.recv(4096) == b"":
                    break
            one.sendall(drip)
    return time.monotonic() - started


def answered(one: socket.socket) -> bytes:
    """The first line of an answer; empty where the connection was cut off."""
    try:
        return one.recv(4096).split(b"\r\n")[0]
    except ConnectionError:
        return b""


@pytest.mark.parametrize(
    ("sent", "drip"),
    [
        pytest.param(b"", b"", id="silent"),
        pytest.param(HEAD, b"", id="half a head"),
        pytest.param(HEAD + b"X-Slow: ", b"x", id="a head in bits"),
        pytest.param(HEAD + b"\r\n", b"G", id="a second head in bits"),
        pytest.param(HEAD + b"Content-Length: 1000\r\n\r\n", b"x", id="a body that nobody asked for, in bits"),
    ],
)
def test_a_connection_without_a_whole_request_is_closed_in_time(sent, drip):
    with running(limits=SOON) as on, connection(on, sent) as one:
        assert 0.4 < held_s(one, drip) < 5


def test_a_connection_that_waits_for_its_next_request_is_kept_for_a_while():
    with running(limits=Limits(head_within_s=0.5, keep_alive_s=5)) as on:
        client = HTTPConnection("127.0.0.1", on.server.port, timeout=10)
        with contextlib.closing(client):
            for pause_s in (0, 1.5):
                time.sleep(pause_s)
                client.request("GET", "/health")
                answer = client.getresponse()
                assert (answer.status, answer.read()[:1]) == (200, b"{")


def test_an_answer_that_takes_long_is_not_cut_off():
    with running(limits=SOON) as on, connection(on, b"GET /events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n") as one:
        time.sleep(2)
        assert answered(one) == b"HTTP/1.1 200 OK"
        assert held_s(one, most_s=2) >= 2


def test_hundreds_of_silent_connections_keep_nobody_else_from_being_answered():
    with running() as on, contextlib.ExitStack() as stack:
        for _ in range(250):
            stack.enter_context(connection(on))
        for path in ("/health", "/metrics", "/"):
            assert httpx.get(f"{on.server.url}{path}").status_code == 200


def test_an_address_that_takes_every_place_with_answers_under_way_loses_one_to_another_address():
    stream = b"GET /events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with running(HttpConfig(port=0, max_streams=40), limits=Limits(most=20)) as on, contextlib.ExitStack() as stack:
        streams = [stack.enter_context(connection(on, stream, OTHER)) for _ in range(20)]
        assert [answered(one) for one in streams] == [b"HTTP/1.1 200 OK"] * 20
        assert answered(stack.enter_context(connection(on, stream, OTHER))) == b""
        assert on.client.get("/health").status_code == 200
        assert held_s(streams[0]) < 5
        assert answered(streams[-1]) != b""


def test_silent_connections_of_one_address_make_room_and_not_the_first_of_another():
    with running(limits=Limits(most=20)) as on, contextlib.ExitStack() as stack:
        early = stack.enter_context(connection(on))
        for _ in range(60):
            stack.enter_context(connection(on, address=OTHER))
        early.sendall(HEAD + b"\r\n")
        assert answered(early) == b"HTTP/1.1 200 OK"
