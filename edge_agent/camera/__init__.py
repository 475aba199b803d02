"""Frames, newest first. Live sources never fail once started: they go offline and are tried again.

source = open_source(config.camera[0], clock)     # files: NotFoundError, CameraError; live ones: only ConfigError
source.start()                                    # live: begins capturing; nothing for files
frame = source.read()                             # Frame, or None: nothing new yet. Never waits
source.ended                                      # a file or folder has no more frames; live: always False
source.live, source.status, source.problem        # status: online | stalled | offline; problem: why, or ""
source.figures                                    # frames, dropped, reconnects, abandoned
source.close()

rota = Rota(sources); source, frame = rota.next(wait_s=0.2)      # several cameras, each its turn
"""

from __future__ import annotations

from edge_agent.camera.address import Kind, kind_of
from edge_agent.camera.base import Figures, Source
from edge_agent.camera.files import ClipSource, FolderSource, RealTimeSource
from edge_agent.camera.grabbers import opener
from edge_agent.camera.live import LiveSource
from edge_agent.camera.rota import Rota
from edge_agent.clock import Clock, SystemClock
from edge_agent.config import CameraConfig, read_secret

__all__ = ["Figures", "Kind", "LiveSource", "Rota", "Source", "kind_of", "open_source"]


def open_source(config: CameraConfig, clock: Clock | None = None) -> Source:
    """The source that a `[[camera]]` section describes.

    Raises NotFoundError for a file or folder that is not there, CameraError for one that holds no picture, ConfigError
    for an address that makes no sense.
    """
    clock = clock or SystemClock()
    kind = kind_of(config.source)
    if kind in {Kind.FILE, Kind.FOLDER}:
        source: Source = ClipSource(config, clock) if kind is Kind.FILE else FolderSource(config, clock)
        return RealTimeSource(source, clock) if config.realtime else source
    account = read_secret(config.credentials_file, "camera.credentials_file") if config.credentials_file else None
    return LiveSource(config, opener(kind, config, account), clock)
