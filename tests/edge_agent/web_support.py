"""A running web server for tests, fed by hand: real sockets, real threads, a predictor that needs no model."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np

from edge_agent.config import HttpConfig
from edge_agent.records import Box
from edge_agent.web import CameraView, TrackView, WebServer, WebSources, WebState

LABELS = ("with_mask", "without_mask", "mask_weared_incorrect")


@dataclass
class BrightFaces:
    """Finds the bounding box of what is bright, calls it masked; remembers who called it and how."""

    seconds: float = 0.0
    threads: set[int] = field(default_factory=set)
    at_once: int = 0
    most_at_once: int = 0

    def predict(self, bgr: np.ndarray, name: str) -> BrightFaces.Result:
        self.threads.add(threading.get_ident())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(self.seconds)
        points = cv2.findNonZero((bgr.max(axis=2) > 127).astype(np.uint8))
        self.at_once -= 1
        boxes = [] if points is None else [[int(v) for v in cv2.boundingRect(points)]]
        return BrightFaces.Result(name, boxes)

    @dataclass
    class Result:
        name: str
        boxes: list[list[int]]

        def to_json(self) -> dict[str, object]:
            shares = dict(zip(LABELS, (0.9, 0.06, 0.04), strict=True))
            faces = [
                {"box": box, "score": 0.9, "label": LABELS[0], "certain": True, "probabilities": shares}
                for box in self.boxes
            ]
            return {"image": self.name, "faces": faces}


@dataclass
class Running:
    """A server that runs, its state, and a client with its address."""

    server: WebServer
    state: WebState
    client: httpx.Client

    @property
    def web(self):
        return self.server._web


@contextlib.contextmanager
def running(
    config: HttpConfig | None = None,
    sources: WebSources | None = None,
    state: WebState | None = None,
    history: Path | None = None,
    token: str | None = None,
    **more: Any,
) -> Iterator[Running]:
    """Serve on a free port until the block ends. more: what else a WebServer takes."""
    state = state or WebState(LABELS, device="door", version="0.1.0")
    server = WebServer(config or HttpConfig(port=0), state, sources, history=history, **more)
    server.bind()
    server.start()
    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
            yield Running(server, state, client)
    finally:
        server.stop()


def picture(
    width: int = 320, height: int = 240, face: tuple[int, int, int, int] | None = (100, 60, 80, 90)
) -> np.ndarray:
    """Dark, with a bright rectangle where a face is meant."""
    out = np.full((height, width, 3), 30, np.uint8)
    if face:
        x, y, w, h = face
        out[y : y + h, x : x + w] = (180, 200, 230)
    return out


def encoded(bgr: np.ndarray, suffix: str = ".jpg") -> bytes:
    ok, data = cv2.imencode(suffix, bgr)
    assert ok
    return data.tobytes()


def person(number: int = 1, label: str = "with_mask", certain: bool = True) -> TrackView:
    shares = tuple(0.9 if one == label else 0.05 for one in LABELS)
    return TrackView(number, Box(100, 60, 80, 90), 0.9, shares, label, certain)


def view(index: int = 0, name: str = "door", **more) -> CameraView:
    given = {"bgr": picture(), "utc_s": time.time(), "fps": 12.5, "tracks": (person(),), **more}
    return CameraView(name, given.pop("status", "online"), index=index, **given)


def visit(number: int, label: str, at: str, type_: str = "end", camera: str = "door", **more) -> dict[str, object]:
    """An event in the shape that leaves the device."""
    return {
        "schema": 1, "at": at, "seq": number, "message_id": f"ab-{number}", "start": "ab", "type": type_,
        "id": f"visit-{number}", "device": "door", "camera": camera, "zone": None, "track": number, "before": None,
        "after": label, "counted_as": label if type_ == "end" else None, "probabilities": dict.fromkeys(LABELS, 0.3),
        "box": [1, 2, 30, 40], "static": False, "frames": 9, "first_seen": at, "last_seen": at, "duration_s": 2.5,
        "boot": "b", "monotonic_s": 1.0, "clock_synchronised": True, **more,
    }  # fmt: skip


def comes_true(what: Callable[[], bool], within_s: float = 15) -> bool:
    deadline = time.monotonic() + within_s
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextlib.contextmanager
def again_and_again(deed: Callable[[], object], every_s: float) -> Iterator[None]:
    """Something done beside the block, in a thread of its own."""
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(every_s):
            deed()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def playing(state: WebState, fps: float = 50, **more) -> Iterator[None]:
    """A loop that shows a new picture again and again."""
    numbers = itertools.count()
    state.show(view(0, **more))
    with again_and_again(lambda: state.show(view(next(numbers), **more)), 1 / fps):
        yield
