"""What an address means, and how to name it without its secrets. Pure."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from edge_agent.config.base import CSI
from edge_agent.errors import ConfigError, NotFoundError
from edge_agent.redact import redact_addresses


class Kind(Enum):
    V4L2 = "v4l2"
    STREAM = "stream"
    CSI = "csi"
    FILE = "file"
    FOLDER = "folder"


def kind_of(source: str) -> Kind:
    """What an address is. Raises ConfigError for one that is not supported or cannot be looked at."""
    if source.isdecimal() or source.startswith("/dev/"):
        return Kind.V4L2
    if CSI.fullmatch(source):
        return Kind.CSI
    scheme = source.split("://", 1)[0].lower() if "://" in source else ""
    if scheme in {"rtsp", "rtsps", "http", "https"}:
        if not _names_host(source):
            raise ConfigError(f"camera.source {redact_addresses(source)!r} names no host; give rtsp://host/path")
        return Kind.STREAM
    if scheme and scheme != "file":
        raise ConfigError(
            f"camera.source {redact_addresses(source)!r}: {scheme} is unknown; give rtsp://, http:// or a file"
        )
    try:
        if scheme and urlsplit(source).netloc not in {"", "localhost"}:
            raise ConfigError(f"camera.source {redact_addresses(source)!r} names a host; give file:///path")
        return Kind.FOLDER if path_of(source).is_dir() else Kind.FILE
    except (OSError, ValueError) as error:  # a folder that may not be entered, a name too long
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"camera.source {redact_addresses(source)!r} cannot be looked at: {reason}") from error


def path_of(source: str) -> Path:
    """The file or folder that an address names."""
    return Path(unquote(urlsplit(source).path)) if source[:7].lower() == "file://" else Path(source)


def clip_of(source: str) -> Path:
    """The video file that an address names. Raises NotFoundError where there is none."""
    path = path_of(source)
    if not path.is_file():
        raise NotFoundError(f"there is no clip {path}; give a video file, a folder of images or a camera")
    return path


def _names_host(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:  # a bracket that is not closed
        return False


def with_account(url: str, account: str | None) -> str:
    """The address with `user:password` put in, quoted as a URL asks."""
    if account is None:
        return url
    parts = urlsplit(url)
    user, _, password = account.partition(":")
    host = parts.netloc.rsplit("@", 1)[-1]
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{host}"))
