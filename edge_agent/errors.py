"""Everything that can go wrong, said so that a person can act. Only `main` turns one into an exit status."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Callable

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


class MaskwatchError(Exception):
    """The root. The message says what, where, and what would do; `exit_status` follows sysexits.h where it fits."""

    exit_status = 1


class UsageError(MaskwatchError):
    """The command line makes no sense."""

    exit_status = 2


class ModelError(MaskwatchError):
    """A model file is broken, of the wrong shape, or does not do what its own golden inputs say."""

    exit_status = 65


class ImageError(MaskwatchError):
    """An image cannot be decoded or is out of bounds."""

    exit_status = 65


class NotFoundError(MaskwatchError):
    """A file or folder that was named is not there."""

    exit_status = 66


class UnavailableError(MaskwatchError):
    """A port is in use, a device is taken, a camera gives no picture."""

    exit_status = 69


class CameraError(UnavailableError):
    """A source cannot be opened, or stopped giving pictures."""


class ConfigError(MaskwatchError):
    """The configuration is wrong. systemd does not restart on this status (RestartPreventExitStatus=78)."""

    exit_status = 78


def exit_status(program: str, run: Callable[[], int], stopped: str = "") -> int:
    """The exit status of a command; an error of ours, or an output that is full, becomes one line on stderr.

    stopped: said there after Ctrl-C.
    """
    _print_every_name()
    try:
        status = run()
        print(end="", flush=True)
    except MaskwatchError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        if stopped:
            print(f"{program}: {stopped}", file=sys.stderr)
        return 130  # 128 + SIGINT, as a shell has it
    except BrokenPipeError:  # the reader went away (`| head`)
        _drop_output()
        return 0
    except OSError as error:
        if error.filename is not None or error.errno not in _FULL:
            raise
        _drop_output()
        print(f"{program}: cannot write the output: {error.strerror}", file=sys.stderr)
        return 74  # EX_IOERR
    return status


def _print_every_name() -> None:
    """A file name may hold what a stream cannot encode: bytes that are no UTF-8, or letters that ASCII lacks."""
    codecs.register_error("maskwatch.escape", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="maskwatch.escape")


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    """Escapes of JSON and TOML, unlike `backslashreplace`: a line of JSON stays one and gives the same name."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in zip(units[::2], units[1::2], strict=True)), error.end


def _drop_output() -> None:
    """What is still buffered has nowhere to go, and Python would say so at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
