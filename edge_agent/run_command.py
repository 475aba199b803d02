"""`edge-agent run`: watch cameras, a video file or a folder of images."""

from __future__ import annotations

import argparse
import functools
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from edge_agent import summary
from edge_agent.config import Config, load, names_file
from edge_agent.errors import ConfigError, UnavailableError
from edge_agent.summary_file import check_place, write_summary

if TYPE_CHECKING:
    from edge_agent.agent import Agent

log = logging.getLogger(__name__)

SAMPLE = Path(__file__).parent / "samples" / "sample.mp4"
PROGRESS_EVERY_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration (TOML)")
    parser.add_argument(
        "--source", help="a device number, rtsp:// or http:// address, video file or folder; default: the sample clip"
    )
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="default: $STATE_DIRECTORY, else ./state")
    parser.add_argument("--events", type=Path, metavar="FILE", help="append events, one JSON object a line")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write the summary of the run as JSON")
    parser.add_argument("--log-json", action="store_true", help="log one JSON object a line")
    parser.add_argument("--quiet", action="store_true", help="no progress and no table")


def run(args: argparse.Namespace) -> int:
    """Watch until the source ends or a signal comes; 0 then."""
    config = configuration(args)
    if args.summary:
        check_place(args.summary)
    state_dir = args.state_dir or Path(os.environ.get("STATE_DIRECTORY", "").split(":")[0] or "state")
    # OpenCV and the runtime are imported only now: a bad configuration is said at once
    from edge_agent.build import running_agent

    again = functools.partial(configuration, args)
    with (
        StopSignals() as signals,
        running_agent(config, state_dir, args.events, read_config=again, log_json=args.log_json) as (agent, url),
    ):
        signals.stop = agent.stop
        if not args.quiet:
            print(_greeting(config, url), file=sys.stderr)
            agent.on_progress = Progress()
        figures = agent.run()
        problem = agent.parts.recorder.problem
    if signals.stop is None:  # stopped before it watched anything
        return 0
    faults = _what_is_missing(agent)
    try:
        if args.summary:
            write_summary(args.summary, figures)
    finally:
        if not args.quiet:
            print(summary.table(figures))
            print(f"\nsaved {figures['saved']} pictures in {state_dir / 'snapshots'}{problem and f'; {problem}'}")
    if faults:  # the counts stand, and a script must not take them for those of the whole clip
        raise UnavailableError(" | ".join(faults))
    return 0


def _what_is_missing(agent: Agent) -> list[str]:
    """What the run was asked to read or write and could not, in part."""
    short = [lane.source.shortfall for lane in agent.parts.lanes.values()]
    faults = [f"{one.words}; counted is what came" for one in short if one and one.certain]
    lost = agent.parts.reporter.events_lost
    return [*faults, f"{lost}; give --events another place"] if lost else faults


def configuration(args: argparse.Namespace) -> Config:
    """The configuration of the file, with `--source` as the only camera; the sample clip where nothing is given."""
    config = load(args.config)
    if args.source is not None:
        first = config.camera[0].model_dump(exclude={"source", "credentials_file"}) if config.camera else {}
        return load(args.config, overrides={"camera": [{**first, "source": _beside_the_caller(args.source)}]})
    if args.config is not None:
        need_a_camera(config, args.config)
    if config.camera:
        return config
    return load(None, overrides={"camera": [{"name": "sample", "source": str(SAMPLE), "realtime": True}]})


def _beside_the_caller(source: str) -> str:
    return str(Path(source).absolute()) if names_file(source) else source


def need_a_camera(config: Config, path: Path) -> None:
    """Raises ConfigError for a configuration file that names no camera: the sample clip is not what its owner meant."""
    if not config.camera:
        raise ConfigError(f"{path} names no camera; add [[camera]] with a source, or give --source")


class StopSignals:
    """Ctrl-C and SIGTERM, until this is left. While the agent is being opened they end the block: what was opened is
    closed again. Once `stop` is set they call it and nothing more; a second Ctrl-C ends at once.
    """

    def __init__(self) -> None:
        self.stop: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> bool:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        return kind is KeyboardInterrupt and self.stop is None

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.stop is None:
            raise KeyboardInterrupt
        self.stop()
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)


class Progress:
    """One line on a terminal that is written over; a line now and then where stderr is a file."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._every_s = PROGRESS_EVERY_S if self._terminal else 5.0
        self._due_s = 0.0

    def __call__(self, lane: Any) -> None:
        now_s = time.monotonic()
        done = lane.progress is not None and lane.progress >= 1.0
        if now_s < self._due_s and not (done and self._terminal):
            return
        self._due_s = now_s + self._every_s
        share = "" if lane.progress is None else f"{lane.progress:4.0%}  "
        counts = "  ".join(f"{summary.in_words(label)} {n}" for label, n in lane.decider.totals().items())
        line = f"{share}{lane.name}: frame {lane.frames}, {lane.fps:.0f} a second   {counts}"
        print(f"\r\x1b[K{line}" if self._terminal else line, end="" if self._terminal else "\n", file=sys.stderr)
        if done and self._terminal:
            print(file=sys.stderr)
        sys.stderr.flush()


def _greeting(config: Config, url: str | None) -> str:
    cameras = ", ".join(camera.name for camera in config.camera)
    page = f"; the page is at {url}" if url else ""
    broker = f"; MQTT at {config.mqtt.host}:{config.mqtt.port}" if config.mqtt.enabled else "; no broker configured"
    return f"watching {cameras}{page}{broker}; Ctrl-C ends"
