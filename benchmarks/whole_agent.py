"""A whole agent to measure: `edge-agent run` in a process of its own, before a camera that shows what is asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "e2e"))

from page_support import Camera, sample_frames

ROOT = Path(__file__).resolve().parents[1]
TRUTH = json.loads((ROOT / "edge_agent" / "samples" / "sample.json").read_text())
PERIOD_S = TRUTH["frames"] / TRUTH["fps"]
CONFIG = """
[device]
name = "door"
[[camera]]
name = "hall"
source = "{source}"
[mqtt]
host = "127.0.0.1"
port = {port}
[http]
port = 0
"""


def still_frames() -> list[bytes]:
    """An empty room as a sensor sees it: the sample's first picture with fresh noise each time, as JPEG."""
    room, rng = cv2.imdecode(np.frombuffer(sample_frames()[0], np.uint8), cv2.IMREAD_COLOR), np.random.default_rng(0)
    noisy = (np.clip(room + rng.normal(0, 2, room.shape), 0, 255).astype(np.uint8) for _ in range(40))
    return [cv2.imencode(".jpg", picture)[1].tobytes() for picture in noisy]


@contextmanager
def watching(frames: list[bytes], mqtt_port: int, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Camera]]:
    """An agent that watches these pictures at 12.5 a second, again and again."""
    camera = Camera(frames, fps=TRUTH["fps"])
    camera.plug()
    (folder / "agent.toml").write_text(CONFIG.format(source=camera.url, port=mqtt_port))
    command = [sys.executable, "-m", "edge_agent", "run", "--quiet", "--config", "agent.toml"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    agent = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL, env=env)
    try:
        yield agent, camera
    finally:
        agent.terminate()
        agent.wait(30)
        camera.unplug()


def appearances_s(camera: Camera, until_s: float) -> list[float]:
    """When, by the monotonic clock, somebody came into the camera's picture."""
    moments, start_s = [], camera._started_s
    while start_s < until_s:
        moments += [start_s + visit["from_s"] for visit in TRUTH["visits"]]
        start_s += PERIOD_S
    return [moment for moment in moments if moment < until_s]
