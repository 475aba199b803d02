"""A video file, picture by picture: the one reading of clips, for the agent and for `FaceMaskPredictor`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_agent.camera.base import Shortfall
from edge_agent.camera.container import Container, container_of, is_whole
from edge_agent.records import U8

DEFAULT_FPS = 25.0
FAILED_READS_A_TURN = 25
FAILED_READS_MOST = 3000  # in a row: two minutes of a clip; FFmpeg does not tell a damaged place from the end
JUMP_S = 10.0  # a time so far ahead is a gap in the recording, or wrong
# A clip cut without encoding it again states up to one group of pictures more than it plays
EARLY_SHARE, EARLY_S = 0.1, 10.0
PTS = getattr(cv2, "CAP_PROP_PTS", None)  # an older OpenCV has none


@dataclass(frozen=True, slots=True)
class _Read:
    """A picture, the time that the container gives it, and how many reads failed before it."""

    bgr: U8
    at_s: float
    failed: int


class Clip:
    """The pictures of a video file, in order; damaged places are passed over.

    **Times** are the container's. One more than 10 s ahead is a gap in the recording where the next picture is later
    still and the stated length has room for it, or where it is the last picture and lies at the stated end. Otherwise,
    and where times are missing or go back, the frame rate gives the time.

    **Shortfall**, once it is `over`: MP4 and AVI count their frames, and fewer came; other containers state a length,
    and fewer came than fit into it, less its gaps and the time that it begins at. A Matroska file whose elements follow
    each other up to its stated end lacks nothing. Certain is what could not be decoded, a Matroska file whose elements
    do not follow each other, and a clip that breaks off: the last picture comes a tenth of the length or 10 s before
    the stated end, or in MP4 so many frames are missing.

    **Cannot be told**: several wrong times in a row from a gap; frames that an AVI counts though they were left out;
    but in MP4 and Matroska a longer sound from a clip that breaks off, and a gap under 10 s from damage (the shortfall
    is not certain then); that a fragmented MP4, an MPEG-TS or a Matroska file that was never closed was cut.

    fps: frames a second, on average. total_frames: what the file states, else an estimate from its length, and once it
    is over what came; None where it states nothing. A file that cannot be read is over, with nothing decoded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._container = container_of(path)
        # Absolute: FFmpeg takes what is before the colon of `07:00.mp4` for a protocol
        self._capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= 1000 else DEFAULT_FPS
        frames = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.total_frames = frames if frames > 0 else None
        self.shortfall: Shortfall | None = None
        self.over = not self._capture.isOpened()
        self.decoded = 0
        self._step_s = 1.0 / self.fps
        self._length_s = frames * self._step_s if frames > 0 else None
        self._at_s = -self._step_s
        self._gaps_s = 0.0
        self._failed = self._passed_over = 0  # _failed: reads in a row
        self._doubtful: _Read | None = None  # until the picture after it has come, which waits in _read
        self._read: _Read | None = None

    def next(self) -> tuple[float, U8] | None:
        """Position in seconds and uint8 BGR picture of the next frame.

        None at the end, and where a damaged place takes longer than a turn of the agent's loop may: ask again.
        """
        for _ in range(0 if self.over else FAILED_READS_A_TURN):
            read, self._read = self._read or self._picture(), None
            if read is not None and self._doubtful is not None:
                doubtful, self._doubtful, self._read = self._doubtful, None, read
                return self._give(doubtful, read.at_s > doubtful.at_s and self._has_room(doubtful.at_s))
            if read is not None and read.at_s >= self._expected_s(read) + JUMP_S:
                self._doubtful = read
                continue
            if read is not None:
                return self._give(read, True)
            self._failed += 1
            missing = FAILED_READS_MOST if self.total_frames is None else self.total_frames - self.decoded
            if self._failed > min(missing - self._passed_over, FAILED_READS_MOST):
                last, self._doubtful = self._doubtful, None
                found = None if last is None else self._give(last, self._is_at_end(last.at_s))
                self._end()
                return found
        return None

    def close(self) -> None:
        """Give the file back; one that was not read to its end falls short of nothing."""
        self.over = True
        self._capture.release()

    def _picture(self) -> _Read | None:
        try:
            found, bgr = self._capture.read()
        except cv2.error:  # a picture that breaks off in the middle
            return None
        if not found or bgr is None:
            return None
        at_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if not self.decoded and self._doubtful is None:
            self._take_start_off(at_s)
        read = _Read(np.asarray(bgr, dtype=np.uint8), at_s, self._failed)
        self._failed = 0
        return read

    def _take_start_off(self, at_s: float) -> None:
        """The length that Matroska states counts from 0, OpenCV's times from the first picture."""
        if self._container is Container.MATROSKA and self._length_s is not None and PTS is not None:
            self._length_s = max(0.0, self._length_s - max(0.0, self._capture.get(PTS) * self._step_s - at_s))
            self.total_frames = round(self._length_s * self.fps) or None

    def _give(self, read: _Read, is_believed: bool) -> tuple[float, U8]:
        expected_s = self._expected_s(read)
        self._at_s = read.at_s if is_believed and read.at_s > self._at_s else expected_s
        if self._at_s >= expected_s + JUMP_S:
            self._gaps_s += self._at_s - expected_s
        self._passed_over += read.failed
        self.decoded += 1
        return self._at_s, read.bgr

    def _expected_s(self, read: _Read) -> float:
        return self._at_s + self._step_s * (1 + read.failed)

    def _has_room(self, at_s: float) -> bool:
        return self._length_s is None or at_s <= self._length_s + JUMP_S

    def _is_at_end(self, at_s: float) -> bool:
        return self._length_s is not None and abs(self._length_s - self._step_s - at_s) <= JUMP_S

    def _end(self) -> None:
        """Nothing more comes; say so where the file states more."""
        self.over = True
        if self.decoded:
            self.shortfall = self._missing_frames() if self._container.counts_frames else self._missing_time()
        if self.shortfall is None:
            self.total_frames = self.decoded or self.total_frames

    def _missing_frames(self) -> Shortfall | None:
        came = self.decoded
        stated = self.total_frames or came + self._passed_over
        if came >= stated:
            return None
        not_reached_s = (stated - came - self._passed_over) * self._step_s
        # An AVI counts a frame for each that was left out when it was made
        missing_s = self._early_s if self._container is Container.AVI else max(self._early_s, not_reached_s)
        words = f"{came} frames came of {stated} that {self.path} states"
        return self._fell_short(stated, words, missing_s > self._limit_s)

    def _missing_time(self) -> Shortfall | None:
        came, known = self.decoded, self.decoded + self._passed_over
        stated = max(known, round(((self._length_s or 0.0) - self._gaps_s) * self.fps))
        looks_short = self._container is Container.MATROSKA and came < (self.total_frames or 0)
        whole = is_whole(self.path) if looks_short else None
        if whole:
            stated = known
        if whole is False:
            words = f"{came} frames came of {self.path}, which is damaged or cut off"
            return self._fell_short(stated, words, self._early_s > self._step_s, damaged=True)
        if came >= stated:
            return None
        words = f"{came} frames came of about {stated} that {self.path} states"
        return self._fell_short(stated, words, not whole and self._early_s > self._limit_s)

    def _fell_short(self, stated: int, words: str, breaks_off: bool, damaged: bool = False) -> Shortfall:
        if self._passed_over:
            words += f"; {self._passed_over} could not be decoded"
        if breaks_off:
            words += f"; it ends {max(0.0, self._early_s):.1f} s early"
        return Shortfall(self.decoded, stated, damaged or breaks_off or self._passed_over > 0, words)

    @property
    def _early_s(self) -> float:
        return 0.0 if self._length_s is None else self._length_s - self._at_s - self._step_s

    @property
    def _limit_s(self) -> float:
        return min(EARLY_SHARE * (self._length_s or 0.0), EARLY_S)
