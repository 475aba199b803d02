"""A video file, picture by picture: the one reading of clips, for the agent and for `FaceMaskPredictor`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge_agent.camera.base import Shortfall
from edge_agent.records import U8

DEFAULT_FPS = 25.0
FAILED_READS_A_TURN = 25
FAILED_READS_MOST = 3000  # in a row: two minutes of a clip; FFmpeg does not tell a damaged place from the end
# A clip cut without encoding it again states up to one group of pictures more than it plays
EARLY_SHARE, EARLY_S = 0.1, 10.0


class Clip:
    """The pictures of a video file, in order; damaged places are passed over.

    fps: frames a second. total_frames: what the file states; None where it states nothing. shortfall: once it is
    `over`, where fewer came than that. A file that cannot be read is over, with nothing decoded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0.1 <= fps <= 1000 else DEFAULT_FPS
        frames = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.total_frames = frames if frames > 0 else None
        self.shortfall: Shortfall | None = None
        self.over = not self._capture.isOpened()
        self.decoded = 0
        self._step_s = 1.0 / self.fps
        self._at_s = -self._step_s
        self._failed = self._passed_over = 0  # _failed: reads in a row

    def next(self) -> tuple[float, U8] | None:
        """Position in seconds and uint8 BGR picture of the next frame.

        None at the end, and where a damaged place takes longer than a turn of the agent's loop may: ask again.
        """
        for _ in range(0 if self.over else FAILED_READS_A_TURN):
            bgr = self._picture()
            if bgr is not None:
                self.decoded += 1
                self._passed_over += self._failed
                self._at_s, self._failed = self._time(), 0
                return self._at_s, bgr
            self._failed += 1
            missing = FAILED_READS_MOST if self.total_frames is None else self.total_frames - self.decoded
            if self._failed > min(missing - self._passed_over, FAILED_READS_MOST):
                self._end()
                break
        return None

    def close(self) -> None:
        """Give the file back; one that was not read to its end falls short of nothing."""
        self.over = True
        self._capture.release()

    def _picture(self) -> U8 | None:
        try:
            found, bgr = self._capture.read()
        except cv2.error:  # a picture that breaks off in the middle
            return None
        return np.asarray(bgr, dtype=np.uint8) if found and bgr is not None else None

    def _time(self) -> float:
        at_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        expected_s = self._at_s + self._step_s * (1 + self._failed)
        # Some containers give no times or times that go back; the frame rate does
        return at_s if self._at_s < at_s < expected_s + 10 else expected_s

    def _end(self) -> None:
        """Nothing more comes; say so where the file states more."""
        self.over = True
        stated = self.total_frames or self.decoded + self._passed_over
        if not self.decoded or self.decoded >= stated:
            return
        length_s = stated * self._step_s
        early_s = length_s - self._at_s - self._step_s
        breaks_off = early_s > min(EARLY_SHARE * length_s, EARLY_S)
        words = f"{self.decoded} frames came of {stated} that {self.path} states"
        if self._passed_over:
            words += f"; {self._passed_over} could not be decoded"
        if breaks_off:
            words += f"; it ends {early_s:.1f} s early"
        self.shortfall = Shortfall(self.decoded, stated, bool(self._passed_over) or breaks_off, words)
