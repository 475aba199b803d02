"""The live picture: one encoding for all, the newest for each, nothing that privacy forbids, an end within a second."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.config import HttpConfig, PrivacyConfig
from edge_agent.web import WebSources, WebState
from edge_agent.web.redact import live_redactor
from web_support import LABELS, Running, person, picture, playing, running, view


@pytest.fixture
def state():
    return WebState(LABELS, device="door", version="0.1.0")


class Viewer:
    """Reads the parts of a multipart stream: what was seen in a picture, and its JPEG."""

    def __init__(self, answer) -> None:
        self.chunks = answer.iter_bytes()
        self.held = b""

    def take(self, wanted: int) -> list[tuple[dict, bytes]]:
        return [self.one() for _ in range(wanted)]

    def one(self) -> tuple[dict, bytes]:
        while True:
            head, found, rest = self.held.partition(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line)
            length = int(fields.get("Content-Length", 0))
            if found and len(rest) >= length:
                self.held = rest[length:]
                return json.loads(fields["X-Frame"]), rest[:length]
            self.held += next(self.chunks)


def parts(answer, wanted: int) -> list[tuple[dict, bytes]]:
    """The first parts of a stream, after which it is closed."""
    return Viewer(answer).take(wanted)


def decoded(jpeg: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def test_each_picture_carries_the_people_that_were_seen_in_it(state):
    with playing(state), running(state=state) as on, on.client.stream("GET", "/live.mjpg") as answer:
        got = parts(answer, 3)
    assert answer.headers["content-type"].startswith("multipart/x-mixed-replace")
    indices = [frame["frame"] for frame, _ in got]
    assert indices == sorted(set(indices))
    assert got[0][0]["tracks"][0]["box"] == [100, 60, 80, 90]
    assert decoded(got[0][1]).shape == (240, 320, 3)


def test_eight_viewers_cost_one_encoding_a_picture(state):
    config = HttpConfig(port=0, live_max_fps=20)
    with playing(state, fps=10), running(config, state=state) as on, contextlib.ExitStack() as stack:
        viewers = [Viewer(stack.enter_context(on.client.stream("GET", "/live.mjpg"))) for _ in range(8)]
        seen = [{frame["frame"] for frame, _ in viewer.take(5)} for viewer in viewers]
        pictures = len(set.union(*seen))
        assert on.web.live.viewers == 8
        encoded = on.web.live.encoded  # first: the clip plays on
        newest = state.camera().index
    assert sum(len(one) for one in seen) == 40
    assert pictures <= encoded <= newest + 1


def test_nothing_is_encoded_while_nobody_looks(state):
    with playing(state), running(state=state) as on:
        on.client.get("/health")
        time.sleep(0.3)
        assert on.web.live.encoded == 0


def test_a_slow_viewer_gets_fewer_pictures_and_never_old_ones(state):
    noise = np.random.default_rng(1).integers(0, 255, (720, 1280, 3), np.uint8)
    config = HttpConfig(port=0, live_max_fps=30, live_max_width_px=1280, live_quality=95)
    with (
        playing(state, fps=30, bgr=noise),
        running(config, state=state) as on,
        on.client.stream("GET", "/live.mjpg") as answer,
    ):
        viewer = Viewer(answer)
        seen, jpeg = viewer.one()
        time.sleep(3)  # takes nothing for 90 pictures
        newest = state.camera().index
        stale = 0
        while viewer.one()[0]["frame"] < newest - 15:
            stale += 1
    assert newest - seen["frame"] > 60
    assert stale <= 3 + kernel_buffers_bytes() / len(jpeg), "what lay in the kernel's buffers, and no more"


def kernel_buffers_bytes() -> int:
    """What the two ends of a connection may hold between them."""
    ends = (Path(f"/proc/sys/net/ipv4/tcp_{end}mem").read_text() for end in "rw")
    return sum(int(end.split()[2]) for end in ends)


def test_a_viewer_that_asks_for_fewer_pictures_gets_fewer(state):
    with playing(state, fps=50), running(state=state) as on, on.client.stream("GET", "/live.mjpg?fps=4") as answer:
        started = time.monotonic()
        got = Viewer(answer).take(4)
    assert time.monotonic() - started > 0.6
    assert got[-1][0]["frame"] - got[0][0]["frame"] > 10


def test_a_picture_that_stands_still_is_sent_once(state):
    state.show(view(7))
    with running(state=state) as on, on.client.stream("GET", "/live.mjpg") as answer:
        viewer = Viewer(answer)
        assert viewer.one()[0]["frame"] == 7
        time.sleep(0.5)
        assert on.web.live.encoded == 1


def test_boxes_are_drawn_for_viewers_that_cannot(state):
    state.show(view(0, tracks=(person(), person(2, certain=False))))
    with running(state=state) as on:
        plain = decoded(on.client.get("/live.jpg").content)
        drawn = decoded(on.client.get("/live.jpg?boxes=true").content)
    assert np.abs(plain.astype(int) - drawn).max() > 60


def test_a_wide_picture_is_shown_smaller_and_its_boxes_stay_in_its_own_pixels(state):
    state.show(view(0, bgr=picture(1920, 1080)))
    with running(HttpConfig(port=0, live_max_width_px=640), state=state) as on:
        answer = on.client.get("/live.jpg")
    assert decoded(answer.content).shape == (360, 640, 3)
    assert json.loads(answer.headers["x-frame"])["size"] == [1920, 1080]


@pytest.mark.parametrize(
    ("http", "pictures", "status"),
    [({}, "full", 200), ({}, "crop", 200), ({}, "none", 403), ({"live": False}, "full", 403)],
)
def test_pictures_leave_as_the_configuration_says(state, http, pictures, status):
    config = HttpConfig(port=0, **http)
    state.show(view())
    sources = WebSources(redact=live_redactor(config, PrivacyConfig(pictures=pictures)))
    with running(config, sources, state) as on:
        assert on.client.get("/live.jpg").status_code == status
        if status != 200:
            assert on.client.get("/live.mjpg").status_code == status


def test_every_known_face_is_blurred_where_privacy_says_so(state):
    rng = np.random.default_rng(2)
    bgr = picture(face=None)
    texture = rng.integers(0, 255, (90, 80, 3), np.uint8)
    bgr[60:150, 100:180] = bgr[20:110, 220:300] = texture
    other = person().box.__class__(220, 20, 80, 90)
    state.show(view(0, bgr=bgr, faces=(other,)))
    config = HttpConfig(port=0, live_quality=95)
    sources = WebSources(redact=live_redactor(config, PrivacyConfig(pictures="blurred")))
    with running(config, sources, state) as on:
        shown = decoded(on.client.get("/live.jpg").content)
    for x, y in ((100, 60), (220, 20)):
        assert np.corrcoef(shown[y : y + 90, x : x + 80].ravel(), texture.ravel())[0, 1] < 0.35


def test_a_camera_without_a_picture_and_one_that_is_not_there_are_told_apart(state):
    state.show(view(0, bgr=None, status="offline", reason="connection refused"))
    with running(state=state) as on:
        assert on.client.get("/live.mjpg").status_code == 503
        unknown = on.client.get("/live.mjpg?camera=attic")
    assert unknown.status_code == 404
    assert "door" in unknown.json()["remedy"]


@pytest.mark.parametrize("path", ["/live.mjpg", "/events/stream"])
def test_to_ask_for_the_head_of_a_stream_opens_none(state, path):
    state.show(view())
    with running(state=state) as on:
        answer = on.client.head(path)
        assert answer.status_code == 200
        assert on.web.streams == 0


def test_too_many_viewers_are_asked_to_come_back(state):
    with playing(state), running(HttpConfig(port=0, max_streams=2), state=state) as on, contextlib.ExitStack() as stack:
        viewers = [Viewer(stack.enter_context(on.client.stream("GET", "/live.mjpg"))) for _ in range(2)]
        for viewer in viewers:
            viewer.one()
        assert on.client.get("/live.mjpg").status_code == 429


def asking(port: int, path: str) -> socket.socket:
    """A connection over which a path was asked for; its answer was not read."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection


@pytest.mark.parametrize("path", ["/live.mjpg", "/events/stream"])
def test_of_many_who_ask_at_the_same_moment_no_more_look_than_there_are_places(state, path):
    state.show(view(0, bgr=picture(1920, 1080)))
    with running(HttpConfig(port=0, max_streams=2), state=state) as on, contextlib.ExitStack() as stack:
        asked = [stack.enter_context(asking(on.server.port, path)) for _ in range(12)]
        answers = [connection.recv(12) for connection in asked]
    assert sorted(answers) == [b"HTTP/1.1 200"] * 2 + [b"HTTP/1.1 429"] * 10


@pytest.mark.parametrize("path", ["/live.mjpg", "/events/stream"])
def test_who_leaves_before_the_first_byte_takes_no_place_along(state, path):
    state.show(view(0, bgr=picture(1920, 1080)))
    with running(HttpConfig(port=0, max_streams=4), state=state) as on:
        for _ in range(20):
            asking(on.server.port, path).close()
        assert on.client.get("/health").status_code == 200
        assert nobody_looks_within(5, on)


def nobody_looks_within(seconds: float, on: Running) -> bool:
    deadline = time.monotonic() + seconds
    while on.web.live.viewers or on.web.streams:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_who_left_is_no_viewer_any_more(state):
    with playing(state), running(state=state) as on:
        with on.client.stream("GET", "/live.mjpg") as answer:
            parts(answer, 1)
        assert nobody_looks_within(5, on)


def test_the_server_stops_within_a_second_while_viewers_look_and_one_takes_nothing(state):
    noise = np.random.default_rng(1).integers(0, 255, (720, 1280, 3), np.uint8)
    with playing(state, bgr=noise), running(state=state) as on, contextlib.ExitStack() as stack:
        paths = ("/live.mjpg", "/live.mjpg?boxes=1", "/events/stream")
        chunks = [stack.enter_context(on.client.stream("GET", path)).iter_bytes() for path in paths]
        for one in chunks:
            next(one)
        assert on.web.streams == 3
        stuck = stack.enter_context(socket.create_connection(("127.0.0.1", on.server.port)))
        stuck.sendall(b"GET /live.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(1)
        started = time.monotonic()
        on.server.stop()
        assert time.monotonic() - started < 1.2
