"""How a picture is got out of each kind of live camera. A grabber may wait, even for ever: it has its own thread.

open_grabber = opener(kind, config, account)
grabber = open_grabber()        # raises CameraError
grabber.grab() -> bool          # take the next picture, do not convert it; False: the stream has broken
grabber.retrieve() -> U8 | None # the picture taken, BGR
grabber.close()
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol

import cv2
import numpy as np

from edge_agent.camera.address import Kind, with_account
from edge_agent.config import CameraConfig
from edge_agent.errors import CameraError
from edge_agent.records import U8
from edge_agent.redact import redact_addresses

OPEN_TIMEOUT_MS = 5000
READ_TIMEOUT_MS = 5000

# FFmpeg and OpenCV print addresses, accounts included, to stderr when a stream fails
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read on first use
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
# TCP: over UDP a lost packet is a smeared picture. The timeout (microseconds) ends a read of a dead connection
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp|timeout;5000000")


class Grabber(Protocol):
    """One connection to a camera."""

    def grab(self) -> bool: ...

    def retrieve(self) -> U8 | None: ...

    def close(self) -> None: ...


Opener = Callable[[], Grabber]


def opener(kind: Kind, config: CameraConfig, account: str | None = None) -> Opener:
    """What opens a connection to this camera."""
    if kind is Kind.V4L2:
        return lambda: _v4l2(config)
    if kind is Kind.CSI:
        return lambda: PicameraGrabber(config)
    url = with_account(config.source, account)
    return lambda: _stream(url)


class OpenCvGrabber:
    """Anything that OpenCV opens."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture

    def grab(self) -> bool:
        return bool(self._capture.grab())

    def retrieve(self) -> U8 | None:
        found, bgr = self._capture.retrieve()
        if not found or bgr is None or bgr.ndim != 3:
            return None
        return np.asarray(bgr, dtype=np.uint8)

    def close(self) -> None:
        self._capture.release()


def _v4l2(config: CameraConfig) -> Grabber:
    device = int(config.source) if config.source.isdecimal() else config.source
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    if not capture.isOpened():
        capture.release()
        name = f"/dev/video{device}" if isinstance(device, int) else device
        state = "is taken or no camera" if os.path.exists(name) else "is not there"
        raise CameraError(f"{name} {state}; plug a camera in, or end what uses it")
    if config.width_px and config.height_px:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, config.width_px)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, config.height_px)
    if config.max_fps:
        capture.set(cv2.CAP_PROP_FPS, config.max_fps)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return OpenCvGrabber(capture)


def _stream(url: str) -> Grabber:
    parameters = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        OPEN_TIMEOUT_MS,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        READ_TIMEOUT_MS,
        cv2.CAP_PROP_N_THREADS,  # each decoder thread delays the picture by a frame
        1,
    ]
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, parameters)
    if not capture.isOpened():
        capture.release()
        raise CameraError(f"{redact_addresses(url)} gives no stream; is the camera on, the path and the account right?")
    return OpenCvGrabber(capture)


class PicameraGrabber:
    """A camera on the Raspberry Pi's ribbon cable, through picamera2 (Debian's python3-picamera2, from the system)."""

    def __init__(self, config: CameraConfig) -> None:
        try:
            from picamera2 import Picamera2
        except ImportError as error:
            raise CameraError("csi needs picamera2; sudo apt install python3-picamera2") from error
        number = int(config.source.partition(":")[2] or 0)
        try:
            self._camera: Any = Picamera2(number)
            size = (config.width_px or 1280, config.height_px or 720)
            # libcamera's RGB888 lies in memory as B, G, R: what OpenCV wants
            self._camera.configure(self._camera.create_video_configuration({"size": size, "format": "RGB888"}))
            self._camera.start()
        except (RuntimeError, IndexError, OSError) as error:
            raise CameraError(f"csi camera {number} cannot be opened: {error}; see `rpicam-hello`") from error
        self._picture: U8 | None = None

    def grab(self) -> bool:
        self._picture = np.asarray(self._camera.capture_array("main"), dtype=np.uint8)
        return True

    def retrieve(self) -> U8 | None:
        return self._picture

    def close(self) -> None:
        self._camera.stop()
        self._camera.close()
