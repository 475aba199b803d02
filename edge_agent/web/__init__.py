"""The device's own page and its API. Importing it is cheap: the web framework loads when a server starts."""

from __future__ import annotations

from edge_agent.web.server import WebServer
from edge_agent.web.state import CameraView, TrackView, WebSources, WebState

__all__ = ["CameraView", "TrackView", "WebServer", "WebSources", "WebState"]
