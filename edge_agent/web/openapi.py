"""The API in OpenAPI's words."""

from __future__ import annotations

from typing import Any

from edge_agent.config import HttpConfig


def document(config: HttpConfig, version: str) -> dict[str, Any]:
    """The OpenAPI document of this server."""
    return {"openapi": "3.1.0", "info": {"title": "Maskwatch", "version": version}, "paths": {}}
