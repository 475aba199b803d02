"""`edge-agent version`: the agent, and what it runs on."""

from __future__ import annotations

import argparse
import json
import platform
from importlib import metadata

from edge_agent import __version__

PARTS = (
    "numpy",
    "opencv-python-headless",
    "ai-edge-litert",
    "tflite-runtime",
    "paho-mqtt",
    "pydantic",
    "starlette",
    "uvicorn",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object")


def versions() -> dict[str, str]:
    """Versions of the agent, Python, the machine and each part that is installed."""
    found = {"maskwatch": __version__, "python": platform.python_version(), "machine": platform.machine()}
    for part in PARTS:
        try:
            found[part] = metadata.version(part)
        except metadata.PackageNotFoundError:
            continue
    return found


def run(args: argparse.Namespace) -> int:
    found = versions()
    if args.json:
        print(json.dumps(found))
    else:
        for name, version in found.items():
            print(f"{name} {version}")
    return 0
