"""A TOML file of settings as a checked record; what is wrong with it is one line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from edge_agent.errors import ConfigError, NotFoundError

Settings = TypeVar("Settings", bound=BaseModel)


def read_settings(path: Path, kind: type[Settings], absent: str, **changes: Any) -> Settings:
    """The file's values over the defaults of `kind`; `changes` replace top-level keys (None leaves a key alone).

    absent: what is said where there is no such file. Raises NotFoundError or ConfigError that names the key.
    """
    if not path.is_file():
        raise NotFoundError(absent)
    try:
        content = tomllib.loads(path.read_text())
        return kind.model_validate(content | {key: value for key, value in changes.items() if value is not None})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        where, got = (f"{key}: ", f" (got {first['input']!r})") if key else ("", "")
        raise ConfigError(f"{path}: {where}{first['msg'].removeprefix('Value error, ')}{got}") from error
