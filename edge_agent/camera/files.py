"""Clips and folders of images: each frame, in order, the same each time; or at their own speed, as a camera would."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import cv2
import numpy as np

from edge_agent.camera.address import clip_of, path_of
from edge_agent.camera.base import Figures, Shortfall, Source
from edge_agent.camera.clip import Clip
from edge_agent.clock import Clock
from edge_agent.config import CameraConfig
from edge_agent.errors import CameraError
from edge_agent.records import U8, Frame

log = logging.getLogger(__name__)

FOLDER_FPS = 1.0
ROUNDED_S = 0.0015  # Matroska's times are whole milliseconds
CATCH_UP_S = 0.1  # of a turn of the loop: one that decodes more slowly than it plays would never give the loop back
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


class _Finite:
    """What clips and folders share."""

    live = False
    status = "online"
    problem = ""

    def __init__(self, config: CameraConfig, clock: Clock) -> None:
        self.name = config.name
        self.fps: float | None = None
        self.total_frames: int | None = None
        self.ended = False
        self.shortfall: Shortfall | None = None
        self._clock = clock
        self._index = 0

    @property
    def figures(self) -> Figures:
        return Figures(frames=self._index)

    def start(self) -> None:
        """Nothing to do: frames are read when asked for."""

    def _fell_short(self, shortfall: Shortfall) -> None:
        self.shortfall = shortfall
        log.warning("camera %s: %s", self.name, shortfall.words)

    def _frame(self, at_s: float, bgr: U8, position: int | None = None) -> Frame:
        position = self._index if position is None else position
        frame = Frame(self.name, position, at_s, self._clock.utc(), bgr)
        self._index += 1
        return frame


class ClipSource(_Finite):
    """A video file, each frame; damaged places are passed over. `at_s` is the position in the clip.

    Of frames closer than 1 / `max_fps` in the clip's own time the first alone is given; each keeps its index.
    """

    def __init__(self, config: CameraConfig, clock: Clock) -> None:
        """Raises NotFoundError, CameraError: also for a file without a single picture."""
        super().__init__(config, clock)
        path = clip_of(config.source)
        self._clip = Clip(path)
        self.fps = self._clip.fps
        self._least_gap_s = 1.0 / config.max_fps - ROUNDED_S if config.max_fps else 0.0
        self._looked_at_s = float("-inf")
        self._ahead: tuple[float, U8, int] | None = None
        while self._ahead is None and not self._clip.over:
            self._ahead = self._next()
        if self._ahead is None:
            self._clip.close()
            raise CameraError(f"no picture can be read from {path}; give a video that FFmpeg can decode")

    def read(self) -> Frame | None:
        ahead = self._ahead or self._next()
        self._ahead = None if ahead is None else self._next()
        self.ended = self._clip.over and self._ahead is None
        return None if ahead is None else self._frame(*ahead)

    def close(self) -> None:
        self.ended = True
        self._ahead = None
        self._clip.close()

    def _next(self) -> tuple[float, U8, int] | None:
        turn_s = self._clock.monotonic()
        while (found := self._clip.next()) is not None:
            at_s = found[0]
            if at_s - self._looked_at_s >= self._least_gap_s:
                self._looked_at_s = at_s
                break
            if not self._clip.over and self._clock.monotonic() - turn_s >= CATCH_UP_S:
                return None
        self.total_frames = self._clip.total_frames
        if self._clip.shortfall and self.shortfall is None:
            self._fell_short(self._clip.shortfall)
        return None if found is None else (*found, self._clip.decoded - 1)


class FolderSource(_Finite):
    """The images of a folder by name, one a second; files that are no pictures are passed over and counted."""

    def __init__(self, config: CameraConfig, clock: Clock) -> None:
        """Raises CameraError for a folder without a picture, or that may not be read."""
        super().__init__(config, clock)
        self._folder = folder = path_of(config.source)
        self.fps = config.max_fps or FOLDER_FPS
        try:
            self._paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
        except OSError as error:
            raise CameraError(f"{folder} cannot be read: {error.strerror}; give the agent's account access") from error
        self.total_frames = len(self._paths)
        self._position = 0
        self.unreadable = 0
        self._ahead = self._next()
        if self._ahead is None:
            raise CameraError(f"no picture can be read in {folder}; give a folder with JPEG or PNG files")

    def read(self) -> Frame | None:
        if self._ahead is None:
            self.ended = True
            return None
        frame = self._frame(self._index / (self.fps or FOLDER_FPS), self._ahead)
        self._ahead = self._next()
        self.ended = self._ahead is None
        return frame

    def close(self) -> None:
        self.ended = True
        self._ahead = None

    def _next(self) -> U8 | None:
        while self._position < len(self._paths):
            path = self._paths[self._position]
            self._position += 1
            bgr = _decoded(path)
            if bgr is not None:
                return bgr
            self.unreadable += 1
        total = len(self._paths)
        came = total - self.unreadable
        if came and self.unreadable:
            self._fell_short(Shortfall(came, total, False, f"{came} of {total} files in {self._folder} are pictures"))
        return None


class RealTimeSource:
    """A clip or folder at its own speed: frames that nobody read in time are dropped, `at_s` is monotonic.

    One that decodes more slowly than that lags behind: a late frame is given rather than all its successors decoded.
    """

    live = False

    def __init__(self, source: Source, clock: Clock) -> None:
        self.name, self.fps = source.name, source.fps
        self._source, self._clock = source, clock
        self._began_s: float | None = None
        self._ahead = source.read()
        self._frames, self._dropped = 0, 0

    @property
    def ended(self) -> bool:
        return self._ahead is None and self._source.ended

    @property
    def total_frames(self) -> int | None:
        return self._source.total_frames

    @property
    def shortfall(self) -> Shortfall | None:
        return self._source.shortfall

    @property
    def status(self) -> str:
        return self._source.status

    @property
    def problem(self) -> str:
        return self._source.problem

    @property
    def figures(self) -> Figures:
        return Figures(frames=self._frames, dropped=self._dropped)

    def start(self) -> None:
        self._began_s = self._clock.monotonic()

    def read(self) -> Frame | None:
        if self._began_s is None:
            self.start()
        turn_s = self._clock.monotonic()
        now_s = turn_s - (self._began_s or 0.0)
        due: Frame | None = None
        if self._ahead is None:
            self._ahead = self._source.read()
        while self._ahead is not None and self._ahead.at_s <= now_s:
            self._dropped += due is not None
            due, self._ahead = self._ahead, self._source.read()
            if self._clock.monotonic() - turn_s >= CATCH_UP_S:
                break
        if due is None:
            return None
        self._frames += 1
        return Frame(due.camera, due.index, (self._began_s or 0.0) + due.at_s, self._clock.utc(), due.bgr)

    def close(self) -> None:
        self._ahead = None
        self._source.close()


def _decoded(path: Path) -> U8 | None:
    with contextlib.suppress(OSError, cv2.error):
        data = np.frombuffer(path.read_bytes(), np.uint8)
        if data.size:
            bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
            return None if bgr is None else np.asarray(bgr, dtype=np.uint8)
    return None
