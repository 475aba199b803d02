"""An agent with real stages, whose networks are fakes with known answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
