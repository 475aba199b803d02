"""An agent with real stages, whose networks are fakes with known answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from edge_agent.about import info_of
from edge_agent.agent import Agent, Parts
from edge_agent.config import load
from edge_agent.health import Health
from edge_agent.lane import Lane
from edge_agent.metrics import Metrics
from edge_agent.predictor import FaceMaskPredictor
from edge_agent.record import SnapshotStore
from edge_agent.report import Reporter
from edge_agent.systemd import Systemd
from edge_agent.web import WebState
from fakes import BrightSquares, ByColour


def walking_clip(path: Path, frames: int) -> None:
    """A red square, a masked face for the fakes, walks to the right and is gone after 62 frames, 10 a second."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 120))
    for index in range(frames):
        bgr = np.zeros((120, 320, 3), np.uint8)
        bgr[30:80, 10 + 5 * index : 60 + 5 * index] = (0, 0, 255)
        writer.write(bgr)
    writer.release()


@contextmanager
def faked_agent(folder: Path, text: str) -> Iterator[Agent]:
    """text: its configuration, which `agent.toml` in the folder will hold."""
    path = folder / "agent.toml"
    path.write_text(text)
    config = load(path, env={})
    predictor = FaceMaskPredictor(config, detector=BrightSquares(), classifier=ByColour())
    lanes = {camera.name: Lane(camera, config, predictor, "run") for camera in config.camera}
    health, metrics = Health(), Metrics()
    reporter = Reporter(config, folder, info_of(config, predictor), health=health, metrics=metrics)
    recorder = SnapshotStore(folder / "snapshots", config.record, config.privacy, predictor.labels)
    web = WebState(predictor.labels)
    systemd = Systemd(health, env={})
    yield Agent(Parts(config, folder, "run", predictor, lanes, recorder, reporter, web, health, metrics, systemd))
    for lane in lanes.values():
        lane.source.close()
    recorder.close()
    reporter.close()
