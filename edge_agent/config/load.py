"""From a file, the environment and the command line to one frozen `Config`, or to one line that says what is wrong."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edge_agent.config.base import Places
from edge_agent.config.explain import explain
from edge_agent.config.root import Config
from edge_agent.errors import ConfigError
from edge_agent.redact import hide

PREFIX = "MASKWATCH_"
LARGEST_FILE_BYTES = 1_000_000
LARGEST_SECRET_BYTES = 65_536
SHORTEST_TOKEN = 16


def load(
    path: Path | None = None, env: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Config:
    """The configuration of `path` (None: the defaults), with environment variables over it and `overrides` over both.

    env: a stand-in for os.environ. overrides: nested as the file is, `{"http": {"port": 0}}`; a list replaces a list.
    Raises ConfigError that names each wrong key, its value and what would be accepted.
    """
    env = os.environ if env is None else env
    data: dict[str, Any] = {} if path is None else _read(path)
    data = _merge(_merge(data, _sections_of_environment(env)), _from_environment(env))
    data = _merge(data, overrides or {})
    credentials = env.get("CREDENTIALS_DIRECTORY")
    folder = Path.cwd() if path is None else path.absolute().parent
    places = Places(folder, Path(credentials) if credentials else None)
    try:
        return Config.model_validate(data, context=places)
    except ValidationError as error:
        where = f"{path}: " if path else ""
        raise ConfigError(where + explain(error, Config, data)) from None


def read_secret(path: Path, what: str) -> str:
    """The secret in a file, without the line end; no log will show it. `what` is the config key, for the error."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_SECRET_BYTES + 1)
        if len(raw) > LARGEST_SECRET_BYTES:
            raise ConfigError(f"{what}: {path} is over {LARGEST_SECRET_BYTES} bytes; give a file with the secret alone")
        secret = raw.decode("utf-8-sig").strip("\r\n")
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        remedy = "write the secret into it" if missing else "make it readable for this account"
        raise ConfigError(f"{what}: cannot read {path}: {error.strerror}; {remedy}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{what}: {path} is not UTF-8 text; give a file with the secret alone") from None
    if not secret:
        raise ConfigError(f"{what}: {path} is empty; write the secret into it")
    hide(secret)
    return secret


def read_token(path: Path) -> str:
    """The token of `http.token_file`, without white space around it. Raises ConfigError for one that is short, or that
    a visitor cannot send: a header carries a token as one word of ASCII (RFC 6750).
    """
    token = read_secret(path, "http.token_file").strip()
    if len(token) < SHORTEST_TOKEN:
        raise ConfigError(
            f"http.token_file: {path} holds a short token; give {SHORTEST_TOKEN} characters or more, in one word"
        )
    if not re.fullmatch(r"[!-~]+", token):
        raise ConfigError(
            f"http.token_file: {path} holds a space or a letter that is not ASCII; "
            "give one word, say from `openssl rand -hex 16`"
        )
    hide(token)
    return token


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.is_file() and path.stat().st_size > LARGEST_FILE_BYTES:
            raise ConfigError(f"{path} is over {LARGEST_FILE_BYTES} bytes; this is no configuration")
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}; give another --config") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text; save it as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error or 'nested too deeply'}") from None


def _sections_of_environment(env: Mapping[str, str]) -> dict[str, Any]:
    """`MASKWATCH_MQTT={host = "x"}` becomes `{"mqtt": {"host": "x"}}`."""
    data: dict[str, Any] = {}
    for name in sorted(env):
        word = name.removeprefix(PREFIX).lower()
        if not name.startswith(PREFIX) or "__" in word:
            continue
        if word not in Config.model_fields:
            _refuse_single_underscore(name, word)
            continue
        value = _value(env[name], name)
        if isinstance(value, str):
            written = "[{key = value}]" if word == "camera" else "{key = value}"
            raise ConfigError(f"{name} is a whole section; write it as {written}, or set one key by {name}__...")
        data = _merge(data, {word: value})
    return data


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    """`MASKWATCH_CAMERA__0__SOURCE=x` becomes `{"camera": {"0": {"source": "x"}}}`; lists are put right in `_merge`."""
    data: dict[str, Any] = {}
    for name in sorted(env):
        if not name.startswith(PREFIX):
            continue
        *parents, last = name.removeprefix(PREFIX).lower().split("__")
        if not parents:
            continue
        node = data
        for part in parents:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise ConfigError(f"{name} and a shorter variable both set {part}; keep one")
        node[last] = _value(env[name], name)
    return data


def _refuse_single_underscore(name: str, word: str) -> None:
    """MASKWATCH_MQTT_HOST is meant for us and would do nothing."""
    section, _, key = word.partition("_")
    if section in Config.model_fields and key:
        meant = f"{PREFIX}{section}__{key}".upper()
        raise ConfigError(f"{name} sets nothing; part section and key by two underscores: {meant}")


def _value(text: str, name: str) -> Any:
    if not text.startswith(("[", "{")):
        return text
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except (tomllib.TOMLDecodeError, RecursionError):
        raise ConfigError(
            f"{name} looks like a list or a table but is not TOML; write it like ['a', 'b'] or {{key = 'a'}}"
        ) from None


def _merge(below: Any, above: Any) -> Any:
    """`above` over `below`; tables are merged, a table with numbers for keys changes members of a list."""
    if isinstance(above, Mapping) and above and all(str(key).isdecimal() for key in above):
        members = list(below) if isinstance(below, list | tuple) else []
        for key in sorted(above, key=int):
            if int(key) < len(members):
                members[int(key)] = _merge(members[int(key)], above[key])
            else:
                members.append(_merge(None, above[key]))
        return members
    if isinstance(above, Mapping):
        merged = dict(below) if isinstance(below, Mapping) else {}
        return merged | {key: _merge(merged.get(key), value) for key, value in above.items()}
    return above
