"""Addresses, live cameras that fail, and whose turn it is."""

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_agent.camera import LiveSource, Rota, kind_of
from edge_agent.camera.address import Kind, clip_of, path_of, with_account
from edge_agent.camera.backoff import Backoff
from edge_agent.clock import SystemClock
from edge_agent.config import CameraConfig
from edge_agent.errors import CameraError, ConfigError
from edge_agent.records import U8, Frame
from edge_agent.redact import redact_addresses


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.005)
    return False


# --- files


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("rtsp://user:pa:ss@cam/1", "rtsp://***@cam/1"),
        ("rtsp://user:p@ss@cam/1", "rtsp://***@cam/1"),
        ("http://cam/video?user=a&password=b&x=1", "http://cam/video?user=***&password=***&x=1"),
        ("http://cam/v?token=abc", "http://cam/v?token=***"),
        ("rtsp://user:p?s#s@cam/1", "rtsp://***@cam/1"),
        ("rtsp://cam/1", "rtsp://cam/1"),
        ("0", "0"),
    ],
)
def test_an_address_is_shown_without_its_secrets(source: str, shown: str) -> None:
    assert redact_addresses(source) == shown


def test_an_account_from_a_file_is_put_into_the_address() -> None:
    assert with_account("rtsp://cam:554/1", "me:p@ss/w") == "rtsp://me:p%40ss%2Fw@cam:554/1"


def test_kinds_are_told_by_the_address(tmp_path: Path) -> None:
    kinds = [
        kind_of(s) for s in ("0", "/dev/video2", "csi", "csi:1", "rtsp://a/b", "https://a/b", str(tmp_path), "x.mp4")
    ]
    assert kinds == [Kind.V4L2, Kind.V4L2, Kind.CSI, Kind.CSI, Kind.STREAM, Kind.STREAM, Kind.FOLDER, Kind.FILE]


@pytest.mark.parametrize("scheme", ["file://", "FILE://", "File://localhost"])
def test_a_scheme_may_be_written_in_capitals(tmp_path: Path, scheme: str) -> None:
    (tmp_path / "a b.mp4").touch()
    assert path_of(f"{scheme}{tmp_path}/a%20b.mp4") == clip_of(f"{scheme}{tmp_path}/a%20b.mp4") == tmp_path / "a b.mp4"
    assert kind_of(f"{scheme}{tmp_path}") is Kind.FOLDER


@pytest.mark.parametrize(
    "source",
    [
        "ftp://host/clip.mp4",
        "rtsp:///path",
        "rtsp://",
        "rtsp://[bad",
        pytest.param("x" * 300, id="long"),
        "file://[bad",
        "file://clip.mp4",
    ],
)
def test_an_address_that_makes_no_sense_is_a_config_error(source: str) -> None:
    with pytest.raises(ConfigError, match=r"camera\.source"):
        kind_of(source)


def test_no_secret_reaches_stderr_when_a_stream_cannot_be_opened() -> None:
    code = (
        "import time, sys; from edge_agent.camera import open_source; from edge_agent.config import CameraConfig\n"
        "s = open_source(CameraConfig(source='rtsp://hanna:hunter2@127.0.0.1:9/x?token=topsecret')); s.start()\n"
        "end = time.monotonic() + 30\n"
        "while 'no stream' not in s.problem and time.monotonic() < end: s.read(); time.sleep(0.05)\n"
        "print(s.problem, s.status); s.close()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert "127.0.0.1:9" in done.stdout
    assert "offline" in done.stdout
    assert not any(secret in done.stdout + done.stderr for secret in ("hunter2", "hanna", "topsecret"))


# --- live cameras, made of hand-worked grabbers


class FakeCamera:
    """A camera that a test switches on and off, floods, stalls and hangs."""

    def __init__(self, every_s: float = 0.01) -> None:
        self.on, self.every_s = True, every_s
        self.hangs = threading.Event()
        self.let_go = threading.Event()
        self.opened = self.closed = 0
        self.garbage = False
        self.size = (48, 64)

    def open(self) -> "FakeCamera":
        if not self.on:
            raise CameraError("the camera is off")
        self.opened += 1
        return self

    def grab(self) -> bool:
        if self.hangs.is_set():
            self.hangs.clear()
            self.let_go.wait(60)
        time.sleep(self.every_s)
        return self.on

    def retrieve(self) -> U8 | None:
        return None if self.garbage else np.zeros((*self.size, 3), np.uint8)

    def close(self) -> None:
        self.closed += 1


def live(camera: FakeCamera, **more: object) -> LiveSource:
    def quick() -> Backoff:
        return Backoff(0.02, 0.1, random.Random(1))

    config = CameraConfig.model_validate({"source": "0", **{k: v for k, v in more.items() if k == "max_fps"}})
    rest = {k: v for k, v in more.items() if k != "max_fps"}
    return LiveSource(config, camera.open, SystemClock(), quick, **rest)  # type: ignore[arg-type]


def next_frame(source: LiveSource) -> Frame:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        frame = source.read()
        if frame is not None:
            return frame
        time.sleep(0.005)
    raise AssertionError(f"no frame came: {source.problem}")


def test_the_newest_picture_comes_first_and_old_ones_are_dropped() -> None:
    source = live(FakeCamera())
    first = next_frame(source)
    assert wait_for(lambda: source.figures.frames > first.index + 20)
    frame = next_frame(source)
    assert frame.index - first.index >= 19
    assert source.figures.dropped >= 15
    source.close()


def test_a_camera_that_is_not_there_at_start_is_offline_and_found_later() -> None:
    camera = FakeCamera()
    camera.on = False
    source = live(camera)
    assert source.read() is None
    assert wait_for(lambda: source.problem == "the camera is off")
    assert source.status == "offline"
    camera.on = True
    next_frame(source)
    assert source.status == "online"
    source.close()


def test_a_camera_that_goes_and_comes_back_is_connected_again() -> None:
    camera = FakeCamera()
    source = live(camera)
    next_frame(source)
    camera.on = False
    assert wait_for(lambda: source.status == "offline")
    camera.on = True
    assert wait_for(lambda: source.read() is not None and source.figures.reconnects == 1)
    assert camera.closed == 1
    assert not source.ended
    source.close()


def test_a_driver_that_hangs_is_noticed_from_outside_and_replaced() -> None:
    camera = FakeCamera()
    source = live(camera, stuck_after_s=0.3)
    next_frame(source)
    camera.hangs.set()
    assert wait_for(lambda: source.read() is None and source.figures.abandoned == 1)
    next_frame(source)
    before = source.figures.frames
    camera.let_go.set()
    assert wait_for(lambda: source.figures.frames > before)
    assert source.figures.abandoned == 1
    source.close()


def test_garbage_ends_the_connection_and_never_the_agent() -> None:
    camera = FakeCamera(every_s=0.0005)
    source = live(camera)
    next_frame(source)
    camera.garbage = True
    assert wait_for(lambda: source.read() is None and "could not be decoded" in source.problem)
    camera.garbage = False
    next_frame(source)
    source.close()


def test_a_change_of_resolution_is_followed() -> None:
    camera = FakeCamera()
    source = live(camera)
    next_frame(source)
    camera.size = (96, 128)
    assert wait_for(lambda: (frame := source.read()) is not None and frame.bgr.shape == (96, 128, 3))
    source.close()


def test_no_more_frames_a_second_than_asked_for() -> None:
    source = live(FakeCamera(every_s=0.002), max_fps=10)
    next_frame(source)
    began_s, began = time.monotonic(), source.figures.frames
    time.sleep(1.0)
    assert source.figures.frames - began <= 12 * (time.monotonic() - began_s)
    source.close()


def test_closing_does_not_wait_for_a_driver_that_hangs() -> None:
    camera = FakeCamera()
    source = live(camera)
    next_frame(source)
    camera.hangs.set()
    assert wait_for(lambda: not camera.hangs.is_set())
    began_s = time.monotonic()
    source.close()
    assert time.monotonic() - began_s < 2.0
    camera.let_go.set()


def test_pauses_grow_to_a_limit_and_are_never_in_step() -> None:
    pauses = [backoff.next_s() for backoff in [Backoff(0.5, 30, random.Random(3))] for _ in range(12)]
    assert pauses[0] <= 0.75
    assert 15 <= pauses[-1] <= 45
    assert len(set(pauses)) == 12
    others = Backoff(0.5, 30, random.Random(4))
    assert others.next_s() != pauses[0]


# --- several cameras


def test_a_fast_camera_does_not_starve_a_slow_one() -> None:
    fast, slow = live(FakeCamera(every_s=0.001)), live(FakeCamera(every_s=0.05))
    fast.name, slow.name = "fast", "slow"
    rota = Rota([fast, slow])
    rota.start()
    served: list[str] = []
    until = time.monotonic() + 2.0
    while time.monotonic() < until:
        found = rota.next(0.1)
        if found is not None:
            served.append(found[0].name)
            time.sleep(0.03)
    rota.close()
    assert served.count("slow") >= 0.6 * slow.figures.frames
    assert served.count("fast") >= 0.7 * served.count("slow")
