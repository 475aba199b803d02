"""From a configuration to a running agent, and back to nothing: every part is opened here and closed here."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from edge_agent import __version__, logs
from edge_agent.about import info_of
from edge_agent.agent import Agent, Parts
from edge_agent.config import Config, read_secret, read_token
from edge_agent.errors import UnavailableError
from edge_agent.health import Health
from edge_agent.lane import Lane
from edge_agent.metrics import Metrics
from edge_agent.orders import Orders
from edge_agent.predictor import FaceMaskPredictor
from edge_agent.record import SnapshotStore
from edge_agent.report import Reporter
from edge_agent.systemd import Systemd
from edge_agent.twin import Twin
from edge_agent.web import WebServer, WebSources, WebState
from edge_agent.web.redact import live_redactor

log = logging.getLogger(__name__)


@contextlib.contextmanager
def running_agent(
    config: Config,
    state_dir: Path,
    events_file: Path | None = None,
    *,
    read_config: Callable[[], Config] | None = None,
    log_json: bool = False,
) -> Iterator[tuple[Agent, str | None]]:
    """An agent that is ready to `run`, and the address of its page (None: it serves none).

    read_config: reads the configuration again for a reload; None: a reload uses `config` again.
    Raises MaskwatchError for what cannot be opened; whatever was opened before is closed again.
    """
    logs.setup(config.log, json_lines=log_json)
    _read_secrets(config)
    with contextlib.ExitStack() as opened:
        _make_folder(state_dir)
        parts = _open_parts(config, state_dir, events_file, opened)
        agent = Agent(parts)
        orders = Orders(agent, read_config or (lambda: config))
        agent.obey = orders.obey
        orders.listen_to_hangup()
        server = _open_server(parts, opened)
        parts.reporter.start()
        if server is not None:
            server.start()
        log.info("watching %s", ", ".join(f"{lane.name} ({lane.address})" for lane in parts.lanes.values()))
        yield agent, server.url if server else None
        parts.systemd.stopping()


def _open_parts(config: Config, state_dir: Path, events_file: Path | None, opened: contextlib.ExitStack) -> Parts:
    predictor = FaceMaskPredictor(config)
    run_id = secrets.token_hex(3)
    lanes: dict[str, Lane] = {}
    for camera in config.camera:
        lanes[camera.name] = lane = Lane(camera, config, predictor, run_id)
        opened.callback(lane.source.close)
    health, metrics = Health(), Metrics()
    recorder = SnapshotStore(state_dir / "snapshots", config.record, config.privacy, predictor.labels)
    opened.callback(recorder.close)
    info = info_of(config, predictor)
    metrics.build.info({"version": __version__, "model": info.model.name if info.model else ""})
    reporter = Reporter(config, state_dir, info, health=health, metrics=metrics, events_file=events_file)
    opened.callback(reporter.close)
    web = WebState(predictor.labels, device=config.device.name, version=__version__)
    return Parts(config, state_dir, run_id, predictor, lanes, recorder, reporter, web, health, metrics, Systemd(health))


def _open_server(parts: Parts, opened: contextlib.ExitStack) -> WebServer | None:
    if not parts.config.http.enabled:
        return None
    sources = WebSources(
        health=parts.health.report,
        metrics=parts.metrics.text,
        model_info=lambda: parts.predictor.model_info(),
        snapshot=lambda visit: parts.recorder.picture_of(visit),
        redact=live_redactor(parts.config.http, parts.config.privacy),
        predictor=lambda: Twin(lambda: parts.predictor),
    )
    tell = functools.partial(parts.health.declare, "web")
    server = WebServer(parts.config.http, parts.web, sources, history=parts.state_dir / "history.db", tell=tell)
    server.bind()
    opened.callback(server.stop)
    return server


def _make_folder(state_dir: Path) -> None:
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(
            f"cannot make the state directory {state_dir}: {error.strerror}; give another --state-dir"
        ) from error
    if not os.access(state_dir, os.W_OK):
        log.error("the state directory %s cannot be written: nothing will be saved", state_dir)


def _read_secrets(config: Config) -> None:
    """One that cannot be read is said now, with the status of a bad configuration, not when it is first needed."""
    if config.http.token_file is not None:
        read_token(config.http.token_file)
    files = [(config.mqtt.password_file, "mqtt.password_file")]
    files += [(camera.credentials_file, "camera.credentials_file") for camera in config.camera]
    for path, key in files:
        if path is not None:
            read_secret(path, key)
