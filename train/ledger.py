"""Every evaluation, a line of JSON each, as they were made: how often `test` was looked at, and by what code."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from train.files import DiskError
from train.tracking import code_version

NAME = "evaluations.jsonl"


def check(path: Path) -> None:
    """Before test is looked at: can the line be written afterwards? Raises DiskError where not."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        raise DiskError(f"evaluations cannot be noted in {path}: {error.strerror}; give another file") from error


def enter(path: Path, model: Path, split: str, figures: dict[str, Any]) -> None:
    """Append a line: time, model with its SHA-256, split, commit (`-dirty` where files differ from it), figures."""
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": str(model),
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "split": split,
        "code_version": code_version(),
        **figures,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as out:
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise DiskError(f"cannot note the evaluation in {path}: {error.strerror}; it has to be noted") from error
