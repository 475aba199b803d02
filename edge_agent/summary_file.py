"""`run --summary`: a file appears whole or not at all; what is no regular file is written to, never replaced."""

from __future__ import annotations

import json
import os
import secrets
import stat
import sys
from pathlib import Path
from typing import Any, TextIO

from edge_agent.errors import NotFoundError, UnavailableError


def check_place(path: Path) -> None:
    """Said before a run of hours, not after it. Raises NotFoundError."""
    place = _real(path)
    if place.is_dir() or not place.parent.is_dir():
        reason = "it is a folder" if place.is_dir() else f"there is no folder {place.parent}"
        raise NotFoundError(f"cannot write --summary {path}: {reason}; give another place")


def write_summary(path: Path, figures: dict[str, Any]) -> None:
    """Atomically, where a file can be replaced: a reader never finds half of one. Raises UnavailableError."""
    text = json.dumps(figures, indent=2) + "\n"
    try:
        found = _found(path)
        stream = None if found is None else _stream_of(found)
        if stream is not None:
            print(text, end="", file=stream, flush=True)
        elif found is None or stat.S_ISREG(found.st_mode):
            _replace(_real(path), text)
        else:
            path.write_text(text)
    except OSError as error:
        raise UnavailableError(f"cannot write --summary {path}: {error.strerror}; give another place") from error


def _real(path: Path) -> Path:
    """Where a link leads: the file there is replaced, and the link stays."""
    return Path(os.path.realpath(path))


def _found(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _stream_of(found: os.stat_result) -> TextIO | None:
    """Our own output, by whatever name (/dev/stdout): replaced, it would take the table that follows with it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            own = os.fstat(stream.fileno())
        except (OSError, ValueError):  # closed, or no file
            continue
        if os.path.samestat(found, own):
            return stream
    return None


def _replace(place: Path, text: str) -> None:
    half = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    try:
        half.write_text(text)
        if place.exists():
            half.chmod(stat.S_IMODE(place.stat().st_mode))  # who may read it is for its owner to say
        half.replace(place)
    except OSError:
        half.unlink(missing_ok=True)
        raise
