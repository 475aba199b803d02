"""The camera's picture for any number of viewers: each picture is encoded once, and only while somebody looks.

Each viewer takes the newest picture when it is ready for one: a slow line gets fewer pictures, never older ones.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edge_agent.config import HttpConfig
from edge_agent.records import U8
from edge_agent.web.drawing import draw
from edge_agent.web.priority import Worker
from edge_agent.web.problems import Problem
from edge_agent.web.state import CameraView, WebSources, WebState

BOUNDARY = "picture"
WAIT_FOR_NEW_S = 0.02
LONGEST_WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Picture:
    """One encoded picture and what was seen in it."""

    index: int
    utc_s: float
    jpeg: bytes
    meta: bytes

    def part(self) -> bytes:
        """A part of multipart/x-mixed-replace with the boundary that follows: browsers show a part when they see it."""
        head = (
            f"Content-Type: image/jpeg\r\nContent-Length: {len(self.jpeg)}\r\n"
            f"X-Frame: {self.meta.decode('ascii')}\r\n\r\n"
        )
        return head.encode() + self.jpeg + f"\r\n--{BOUNDARY}\r\n".encode()


Key = tuple[str, bool]


class LiveHub:
    """Encodes for all viewers. Lives on the event loop; the encoding itself runs in the worker."""

    def __init__(self, state: WebState, sources: WebSources, config: HttpConfig, worker: Worker) -> None:
        self._state = state
        self._sources = sources
        self._config = config
        self._worker = worker
        self._newest: dict[Key, Picture] = {}
        self._locks: dict[Key, asyncio.Lock] = {}
        self._closing = False
        self.viewers = 0
        self.encoded = 0

    async def pictures(self, camera: str | None, drawn: bool, most_fps: float) -> AsyncGenerator[Picture, None]:
        """Pictures as they come, for one viewer; ends when the server stops. Raises Problem before the first."""
        fps = min(most_fps, self._config.live_max_fps)
        last: Picture | None = None
        self.viewers += 1
        try:
            while not self._closing:
                started = asyncio.get_running_loop().time()
                picture = await self._next(camera, drawn, last)
                if picture is not last:
                    last = picture
                    yield picture
                left = 1 / fps - (asyncio.get_running_loop().time() - started)
                await asyncio.sleep(max(left, 0.001))
        finally:
            self.viewers -= 1
            if self.viewers == 0:
                self._newest.clear()

    async def still(self, camera: str | None, drawn: bool) -> Picture:
        """The newest picture alone."""
        return await self._encode(camera, drawn)

    def close(self) -> None:
        self._closing = True

    async def _next(self, camera: str | None, drawn: bool, last: Picture | None) -> Picture:
        """The newest picture; waits for one that is newer than `last`, a while."""
        waited_s = 0.0
        view = self._view(camera)
        while last is not None and view.index == last.index and waited_s < LONGEST_WAIT_S and not self._closing:
            await asyncio.sleep(WAIT_FOR_NEW_S)
            waited_s += WAIT_FOR_NEW_S
            view = self._state.camera(camera) or view
        if last is not None and (view.index == last.index or view.bgr is None):
            return last
        return await self._encode(camera, drawn)

    def _view(self, camera: str | None) -> CameraView:
        view = self._state.camera(camera)
        if view is None and camera is not None:
            known = ", ".join(one.name for one in self._state.cameras) or "none yet"
            raise Problem(404, "there is no camera of that name", f"cameras: {known}")
        if view is None or view.bgr is None:
            raise Problem(503, "there is no picture yet", "try again when the camera is online", {"retry-after": "2"})
        return view

    async def _encode(self, camera: str | None, drawn: bool) -> Picture:
        key = (self._view(camera).name, drawn)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            view = self._view(camera)  # what is newest after the wait: an older one would be encoded a second time
            newest = self._newest.get(key)
            if newest is not None and newest.index == view.index and newest.utc_s == view.utc_s:
                return newest
            picture = await self._worker.run(lambda: self._make(view, drawn))
            self._newest[key] = picture
            self.encoded += 1
            return picture

    def _make(self, view: CameraView, drawn: bool) -> Picture:
        assert view.bgr is not None
        shown = self._sources.redact(view.bgr, [*(track.box for track in view.tracks), *view.faces])
        if shown is None:
            raise Problem(403, "pictures do not leave this device", "see privacy.pictures in its configuration")
        scale = min(1.0, self._config.live_max_width_px / shown.shape[1])
        if scale < 1:
            size = (round(shown.shape[1] * scale), round(shown.shape[0] * scale))
            shown = np.asarray(cv2.resize(shown, size, interpolation=cv2.INTER_AREA), np.uint8)
        if drawn:
            shown = draw(shown, view.tracks, scale, self._state.labels)
        jpeg = encode_jpeg(shown, self._config.live_quality)
        return Picture(view.index, view.utc_s, jpeg, _meta(view, self._state.labels))


def encode_jpeg(bgr: U8, quality: int) -> bytes:
    ok, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok, "OpenCV encodes any uint8 picture"
    return data.tobytes()


def _meta(view: CameraView, labels: Sequence[str]) -> bytes:
    return json.dumps(view.to_json(labels), separators=(",", ":")).encode("ascii")
