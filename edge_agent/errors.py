"""Everything that can go wrong, said so that a person can act. Only `main` turns one into an exit status."""

from __future__ import annotations


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
