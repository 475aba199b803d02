"""Files that are whole or not there: written beside their place and moved into it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import replace
from pathlib import Path
from typing import IO, Any

from edge_agent.errors import MaskwatchError


class DiskError(MaskwatchError):
    """A file cannot be written."""

    exit_status = 74  # EX_IOERR


def require_room(path: Path, size: int) -> None:
    """For writers that do not survive a full disk, as HDF5. Raises DiskError where fewer than `size` bytes are free."""
    with suppress(OSError):  # whoever writes there says it
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
        if free < size:
            raise DiskError(
                f"cannot write {path}: it takes up to {size / 1e6:.1f} MB, {free / 1e6:.1f} are free; "
                "free some space or choose another folder"
            )


def require_writable(path: Path) -> None:
    """Before hours of work: can a file appear there? Raises DiskError."""
    with write_atomically(path.with_name(f".try-{path.name}")) as out:
        out.write(b"0" * 4096)
    path.with_name(f".try-{path.name}").unlink(missing_ok=True)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path beside `path`, of the same suffix, that replaces it on success and vanishes on failure."""
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        replace(partial, path)
    except OSError as error:
        raise DiskError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another folder"
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def write_atomically(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that appears at `path` only when everything was written and is on the disk."""
    with atomic_path(path) as partial, partial.open("wb") as out:
        yield out
        out.flush()
        os.fsync(out.fileno())


def write_json(path: Path, value: Any) -> None:
    """JSON, indented, keys in their order."""
    with write_atomically(path) as out:
        out.write((json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())
