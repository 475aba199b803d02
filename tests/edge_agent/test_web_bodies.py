"""Bodies that stall, or come in drops: others are answered, and what lies in memory of them is bounded."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from edge_agent.config import HttpConfig
from edge_agent.web import WebSources
from web_support import BrightFaces, Running, again_and_again, comes_true, encoded, picture, running

JPEG = {"content-type": "image/jpeg"}
OTHER = "127.0.0.2"  # the loopback network has many addresses
SMALL = HttpConfig(port=0, max_waiting=1, max_image_bytes=400_000, max_batch_bytes=100_000)  # room for 565,536 bytes


def upload(on: Running, body: bytes = b"", path: str = "/predict", address: str = "127.0.0.1") -> socket.socket:
    """A request whose body is announced, begun with `body` and not gone on with."""
    kind = "image/jpeg" if path == "/predict" else "multipart/form-data; boundary=x"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 90000\r\n\r\n"
    out = socket.create_connection(("127.0.0.1", on.server.port), timeout=10, source_address=(address, 0))
    out.sendall(head.replace("90000", str(max(90_000, len(body) + 1))).encode() + body)
    return out


@contextlib.contextmanager
def dripping(ones: list[socket.socket]) -> Iterator[None]:
    """A byte each, again and again."""
    with again_and_again(lambda: [one.sendall(b"x") for one in ones], 0.05):
        yield


def held_bytes(on: Running) -> int:
    return on.web.bodies.held_bytes


def first_line(one: socket.socket, within_s: float = 5) -> bytes:
    """Of the answer; empty where none came."""
    one.settimeout(within_s)
    with contextlib.suppress(TimeoutError):
        return one.recv(4096).split(b"\r\n")[0]
    return b""


@pytest.mark.parametrize("drips", [False, True], ids=["nothing", "a byte now and then"])
def test_many_bodies_that_stall_keep_nobody_from_being_answered(drips):
    with running(sources=WebSources(predictor=BrightFaces)) as on, contextlib.ExitStack() as stack:
        stalled = [stack.enter_context(contextlib.closing(upload(on))) for _ in range(12)]
        if drips:
            stack.enter_context(dripping(stalled))
        time.sleep(0.5)
        answers = [on.client.post("/predict", content=encoded(picture()), headers=JPEG) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200] * 3


def test_a_batch_that_stalls_keeps_no_other_batch_from_being_answered():
    with (
        running(sources=WebSources(predictor=BrightFaces)) as on,
        contextlib.closing(upload(on, b"", "/batch_predict")),
    ):
        time.sleep(0.5)
        answer = on.client.post("/batch_predict", files=[("images", ("0.jpg", encoded(picture()), "image/jpeg"))])
        assert answer.status_code == 200


def test_a_stalled_body_that_goes_on_is_answered_too():
    whole = encoded(picture())
    with (
        running(sources=WebSources(predictor=BrightFaces)) as on,
        contextlib.closing(upload(on, whole)) as one,
    ):
        time.sleep(0.5)
        one.sendall(b"\0" * (90_000 - len(whole)))  # a JPEG may be followed by anything
        assert first_line(one) == b"HTTP/1.1 200 OK"
        assert comes_true(lambda: held_bytes(on) == 0)


def test_where_room_runs_out_the_address_that_holds_most_loses_its_oldest_upload():
    with running(SMALL, WebSources(predictor=BrightFaces)) as on, contextlib.ExitStack() as stack:
        stalled = []
        for number in range(6):
            stalled.append(stack.enter_context(contextlib.closing(upload(on, b"x" * 200_000, address=OTHER))))
            expected = min(number + 1, 2) * 200_000
            assert comes_true(lambda expected=expected: held_bytes(on) == expected)
        assert [first_line(one) for one in stalled[:4]] == [b"HTTP/1.1 429 Too Many Requests"] * 4
        small = stack.enter_context(contextlib.closing(upload(on, b"x" * 100)))
        picture_of_another = encoded(picture()).ljust(300_000, b"\0")
        answer = httpx.post(f"{on.server.url}/predict", content=picture_of_another, headers=JPEG)
        assert answer.status_code == 200
        assert first_line(stalled[4]).startswith(b"HTTP/1.1 429")
        assert first_line(small, 0.3) == first_line(stalled[5], 0.3) == b""
        assert on.client.get("/stats").json()["web"]["predictions_refused"] == 5


def test_an_upload_alone_may_be_as_large_as_it_may():
    for path, most in (("/predict", SMALL.max_image_bytes), ("/batch_predict", SMALL.max_batch_bytes - 500)):
        data = encoded(picture()).ljust(most, b"\0")
        with running(SMALL, WebSources(predictor=BrightFaces)) as on:
            assert on.client.post(path, files={"image": ("a.jpg", data, "image/jpeg")}).status_code == 200
