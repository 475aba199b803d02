"""A face passes a running agent; then every file, message and answer is searched for it and for the account."""

import contextlib
import json
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from broker_support import Broker, Subscriber, until
from edge_agent.records import U8
from page_support import Camera, agent

FACES_AT = ((30, (538, 148, 106, 136)), (90, (308, 127, 108, 143)), (150, (541, 146, 104, 136)))  # left, top, w, h
BASE = "maskwatch/front-door"
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG"


@dataclass
class Traces:
    """What a run left: bytes by where they were found."""

    everything: dict[str, bytes]

    def pictures(self) -> list[U8]:
        found = []
        for data in self.everything.values():
            for part in data.split(JPEG)[1:]:
                bgr = cv2.imdecode(np.frombuffer(JPEG + part, np.uint8), cv2.IMREAD_COLOR)
                if bgr is not None:
                    found.append(np.asarray(bgr, dtype=np.uint8))
        return found

    def holding(self, secret: bytes) -> list[str]:
        return [where for where, data in self.everything.items() if secret in data]


@pytest.fixture(scope="module")
def planted(frames: tuple[bytes, ...]) -> list[U8]:
    """The three faces that pass, as the camera shows them."""
    pictures = [(cv2.imdecode(np.frombuffer(frames[at], np.uint8), cv2.IMREAD_COLOR), box) for at, box in FACES_AT]
    return [np.asarray(bgr[y : y + h, x : x + w]) for bgr, (x, y, w, h) in pictures]


def likeness(picture: U8, faces: list[U8]) -> float:
    """How well a planted face matches anywhere in the picture: -1 to 1."""
    fitting = [face for face in faces if face.shape[0] <= picture.shape[0] and face.shape[1] <= picture.shape[1]]
    return max((float(cv2.matchTemplate(picture, face, cv2.TM_CCOEFF_NORMED).max()) for face in fitting), default=-1.0)


def live_view(url: str, seconds: float) -> bytes:
    """What the live view sends in so many seconds."""
    data, ends = b"", time.monotonic() + seconds
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/live.mjpg", timeout=seconds) as stream:
        while time.monotonic() < ends:
            data += stream.read1(1 << 20)
    return data


def answers(url: str) -> dict[str, bytes]:
    """Every page of figures."""
    found = {}
    for path in ("/", "/health", "/metrics", "/model_info", "/stats", "/events", "/openapi.json"):
        with urllib.request.urlopen(url + path, timeout=30) as answer:
            found[path] = answer.read(2_000_000) if path != "/events" else answer.read1(65_536)
    return found


def watched(folder: Path, camera: Camera, broker: Broker, privacy: str) -> Traces:
    """Run the agent until a visit has ended and a snapshot was asked for while somebody was in view."""
    source = camera.url.replace("http://", "http://hanna:hunter2@") + "?token=topsecret"
    more = f"[mqtt]\nhost = '127.0.0.1'\nport = {broker.port}\nsnapshots = true\n[privacy]\npictures = '{privacy}'\n"
    subscriber = Subscriber(broker.port).start()
    with agent(folder, source, http=more) as running:
        url = running.url
        assert until(lambda: someone_in_view(subscriber), 120), (folder / "agent.log").read_text()
        subscriber.send(f"{BASE}/cmd", '{"id": "1", "action": "snapshot"}')
        assert until(lambda: subscriber.payloads(f"{BASE}/cmd/result"), 60)
        live = live_view(url, 8)
        events = f"{BASE}/events/door"
        assert until(lambda: any(json.loads(one)["type"] == "end" for one in subscriber.payloads(events)), 120)
        told = answers(url)
    subscriber.stop()
    files = {str(path): path.read_bytes() for path in (folder / "state").rglob("*") if path.is_file()}
    messages = {f"{heard.topic} {n}": heard.payload for n, heard in enumerate(subscriber.heard)}
    log = {"agent.log": (folder / "agent.log").read_bytes()}
    return Traces({**files, **messages, **told, **log, "live.mjpg": live})


def someone_in_view(subscriber: Subscriber) -> bool:
    last = subscriber.last(f"{BASE}/camera/door/people")
    return last is not None and json.loads(last)["total"] > 0


def test_with_whole_pictures_the_search_finds_the_face_and_never_the_account(
    tmp_path: Path, camera: Camera, broker: Broker, planted: list[U8]
) -> None:
    traces = watched(tmp_path, camera, broker, "full")
    assert max(likeness(picture, planted) for picture in traces.pictures()) > 0.9, "else the search proves nothing"
    assert any(".jpg" in where for where in traces.holding(JPEG)), "a picture was saved"
    assert f"{BASE}/camera/door/snapshot" in {where.split()[0] for where in traces.holding(JPEG)}
    for secret in (b"hunter2", b"hanna", b"topsecret"):
        assert traces.holding(secret) == []


def test_with_blurred_faces_pictures_go_out_and_no_face_does(
    tmp_path: Path, camera: Camera, broker: Broker, planted: list[U8]
) -> None:
    pictures = watched(tmp_path, camera, broker, "blurred").pictures()
    assert len(pictures) > 5
    assert max(likeness(picture, planted) for picture in pictures) < 0.8


def test_without_pictures_no_picture_is_anywhere(tmp_path: Path, camera: Camera, broker: Broker) -> None:
    traces = watched(tmp_path, camera, broker, "none")
    for head in (JPEG, PNG, b"/9j/", b"iVBORw0KGgo"):  # the last two: the same in base64
        assert traces.holding(head) == []
