"""What goes wrong around a running agent: cameras that fail in every way, disks that fill up or are read-only."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from disks import disk_of
from page_support import Agent, Camera, agent

SOON = """
[liveness]
stalled_after_s = 1
offline_after_s = 4
frozen_after_s = 2
[record]
threshold = 0.5
min_free_bytes = 0
max_per_minute = 1000
jpeg_quality = 100
best_within_s = 0
[privacy]
pictures = "full"
"""


@pytest.fixture
def camera(frames: tuple[bytes, ...]) -> Iterator[Camera]:
    camera = Camera(frames)
    yield camera
    camera.unplug()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A few pictures fill it."""
    with disk_of("700k", tmp_path / "state") as folder:
        yield folder


def ask(running: Agent, path: str) -> bytes:
    try:
        with urllib.request.urlopen(running.url + path, timeout=5) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:  # /health answers 503 where nobody is counted
        return error.read()


def wait_for(running: Agent, wanted: Callable[[dict[str, Any]], bool], within_s: float = 90) -> dict[str, Any]:
    """The first answer of /health that is as wanted."""
    until, health = time.monotonic() + within_s, {}
    while time.monotonic() < until:
        assert running.process.poll() is None, "the agent ended"
        health = json.loads(ask(running, "/health"))
        if wanted(health):
            return health
        time.sleep(0.1)
    raise AssertionError(f"not within {within_s} s: {health}")


def is_now(*statuses: str) -> Callable[[dict[str, Any]], bool]:
    return lambda health: health["cameras"].get("door") in statuses


def visits(running: Agent) -> int:
    return sum(int(float(n)) for n in re.findall(rb"maskwatch_visits_total\{.*\} (.*)", ask(running, "/metrics")))


def wait_for_a_visit(running: Agent) -> None:
    before, until = visits(running), time.monotonic() + 90
    while visits(running) == before:
        assert time.monotonic() < until, "nobody was counted any more"
        time.sleep(0.2)


def ended_well(running: Agent, folder: Path) -> bool:
    running.process.send_signal(signal.SIGTERM)
    running.process.wait(20)
    return running.process.returncode == 0 and "Traceback" not in (folder / "agent.log").read_text()


def smaller(jpeg: bytes) -> bytes:
    half = cv2.resize(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), None, fx=0.75, fy=0.75)
    return cv2.imencode(".jpg", half)[1].tobytes()


def test_a_camera_that_fails_in_every_way_is_named_and_people_are_counted_again(
    camera: Camera, frames: tuple[bytes, ...], tmp_path: Path
) -> None:
    noise = np.random.default_rng(1)
    with agent(tmp_path, camera.url, http=SOON) as running:
        gone = wait_for(running, is_now("offline"))
        assert (gone["status"], len(gone["reasons"])) == ("failing", 1)
        camera.plug()
        wait_for(running, is_now("online"))
        camera.frames = frames[90:91]
        wait_for(running, is_now("frozen"))
        camera.frames = frames
        wait_for(running, is_now("online"))
        camera.frames = [noise.bytes(700) for _ in range(50)]
        wait_for(running, is_now("stalled", "offline"))
        camera.frames = [smaller(frame) for frame in frames]
        wait_for(running, is_now("online"))
        camera.unplug()
        wait_for(running, is_now("offline"))
        camera.frames = frames
        camera.plug()
        wait_for(running, lambda health: health["status"] == "ok")
        wait_for_a_visit(running)
        assert ended_well(running, tmp_path)


def test_a_disk_that_fills_up_stops_saving_and_not_counting(camera: Camera, small_disk: Path, tmp_path: Path) -> None:
    camera.plug()
    with agent(tmp_path, camera.url, http=SOON) as running:
        full = wait_for(running, lambda health: any("disk is full" in reason for reason in health["reasons"]))
        assert full["status"] == "degraded"
        saved = len(list(small_disk.rglob("*.jpg")))
        assert saved > 0
        wait_for_a_visit(running)
        subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
        wait_for(running, lambda health: health["status"] == "ok")
        assert ended_well(running, tmp_path)
    pictures = list(small_disk.rglob("*.jpg"))
    assert len(pictures) > saved
    assert {path.stem for path in pictures} == {path.stem for path in (small_disk / "snapshots").rglob("*.json")}
    assert list(small_disk.rglob("*.part")) == []
    assert all(cv2.imread(str(path)) is not None for path in pictures)


def test_on_a_disk_that_is_read_only_from_the_start_people_are_counted_or_it_says_why_not(
    camera: Camera, small_disk: Path, tmp_path: Path
) -> None:
    camera.plug()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with agent(tmp_path, camera.url, http=SOON) as running:
        wait_for(running, lambda health: any("read-only" in reason.lower() for reason in health["reasons"]))
        wait_for_a_visit(running)
        assert ended_well(running, tmp_path)
