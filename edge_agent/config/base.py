"""What every section of the configuration shares: frozen, unknown keys refused, and where relative paths lead."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from edge_agent.redact import redact_addresses

CSI = re.compile(r"csi(:\d+)?")
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
"""A name that may stand in an MQTT topic, a file name and a label: a-z, 0-9, - and _, 63 characters at most."""


def no_switch(value: Any) -> Any:
    """A number as it was given; Python, and pydantic with it, would take true for 1."""
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "true and false are no numbers")
    return value


class Section(BaseModel):
    """A part of the configuration file."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        kind = cls.model_fields[info.field_name or ""].annotation
        return no_switch(value) if {int, float} & {kind, *get_args(kind)} else value


@dataclass(frozen=True, slots=True)
class Places:
    """Where relative paths are looked up. credentials: systemd's folder of secrets, where it has given us one."""

    folder: Path
    credentials: Path | None = None

    def of_secret(self, name: Path) -> list[Path]:
        """Where a secret may lie, the likeliest first."""
        if self.credentials is not None:
            # a folder given to LoadCredential=maskwatch:... puts that id before each name
            return [self.credentials / name, self.credentials / f"maskwatch_{name}", self.folder / name]
        return [self.folder / name, self.folder / "credentials" / name]  # where systemd takes them from


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    places = info.context
    return places.folder / path if isinstance(places, Places) else path


def _credential(path: Path, info: ValidationInfo) -> Path:
    places = info.context
    if not isinstance(places, Places) or path.is_absolute():
        return path
    return next(filter(_is_there, places.of_secret(path)), places.folder / path)


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except PermissionError:
        return True  # whoever reads it says that it may not


def names_file(source: str) -> bool:
    """Whether a camera's address is the plain name of a clip or folder: no device, no csi, no URL."""
    return not (source.isdecimal() or source.startswith("/dev/") or CSI.fullmatch(source) or "://" in source)


def _source(source: str, info: ValidationInfo) -> str:
    places = info.context
    return str(places.folder / source) if isinstance(places, Places) and names_file(source) else source


def _host(text: str) -> str:
    if not re.fullmatch(r"[\w.-]+", text):
        try:
            ipaddress.ip_address(text)
        except ValueError:
            shown = redact_addresses(repr(text))
            raise ValueError(
                f"{shown} is no host; give a name or an address alone, without scheme, port or path"
            ) from None
    return text


HostName = Annotated[str, AfterValidator(_host)]
"""The name or IP address of a machine, and nothing around it."""

FileName = Annotated[Path, AfterValidator(_beside_the_file)]
"""A file; a relative one is looked up beside the configuration file."""

SourceName = Annotated[str, StringConstraints(min_length=1), AfterValidator(_source)]
"""A camera's address; a relative clip or folder is looked up beside the configuration file."""

SecretFile = Annotated[Path, AfterValidator(_credential)]
"""A file with a secret; a relative one is looked up in $CREDENTIALS_DIRECTORY, then beside the configuration; without
$CREDENTIALS_DIRECTORY in the folder `credentials` beside it as well."""
