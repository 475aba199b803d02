"""What makes this installation one of its kind: an id kept in the state directory, and a lock on it.

The client id for the broker is made of the device's name and a digest of that id and of the hardware, so that neither
two devices of one name nor two copies of one SD card kick each other off the broker.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import secrets
import uuid
from pathlib import Path
from typing import IO

from edge_agent.errors import UnavailableError

log = logging.getLogger(__name__)


def client_id(device: str, state_dir: Path, hardware: str | None = None) -> str:
    """Stable over restarts, different for every installation; at most 23 + 16 characters after the prefix."""
    digest = hashlib.sha256(f"{installation_id(state_dir)}/{hardware or _hardware()}".encode()).hexdigest()
    return f"maskwatch-{device[:24]}-{digest[:12]}"


def installation_id(state_dir: Path) -> str:
    """The id in the state directory; made on first use; one of this start alone where nothing can be written."""
    path = state_dir / "installation-id"
    try:
        found = path.read_text("ascii").strip()
        if 8 <= len(found) <= 64 and found.isalnum():
            return found
    except (OSError, UnicodeDecodeError):
        pass  # made anew below
    made = secrets.token_hex(16)
    write_atomically(path, made.encode())
    return made


def write_atomically(path: Path, data: bytes) -> bool:
    """Whole or not at all, also after a power cut; False where the disk does not take it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        log.warning("%s cannot be written: %s", path, error.strerror)
        return False
    return True


def lock(state_dir: Path) -> IO[bytes] | None:
    """Hold the state directory for this process; None where nothing can be written there.

    Raises UnavailableError where another agent holds it. The kernel lets go when the process ends, however it ends.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        file = (state_dir / "lock").open("ab")
    except OSError as error:
        log.warning("%s cannot be written: %s; events are kept in memory only", state_dir, error.strerror)
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise UnavailableError(f"{state_dir} is in use by another agent; give this one its own --state-dir") from None
    except OSError:
        pass  # a file system without locks
    return file


def _hardware() -> str:
    """The board's serial number where there is one, else the network card's address."""
    try:
        serial = Path("/proc/device-tree/serial-number").read_bytes().strip(b"\0\n ")
        if serial:
            return serial.decode("ascii", "replace")
    except OSError:
        pass  # not such a board
    return f"{uuid.getnode():012x}"
