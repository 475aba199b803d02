"""A configuration for a person to read: without secrets, as TOML that `load` takes again."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from edge_agent.config.root import Config
from edge_agent.redact import redact_addresses

_BARE_KEY = re.compile(r"^[A-Za-z0-9_-]+$")


def effective(config: Config) -> dict[str, Any]:
    """Every value in use, unset ones left out. Secrets lie in files; those of addresses are hidden."""
    data: dict[str, Any] = _without_unset(config.model_dump(mode="json"))
    return data


def fingerprint(config: Config) -> str:
    """SHA-256 of the effective configuration, for telling whether two devices run the same."""
    return hashlib.sha256(json.dumps(effective(config), sort_keys=True).encode()).hexdigest()


def to_toml(data: dict[str, Any], prefix: str = "") -> str:
    """Tables last, as TOML wants it; tables of tables as [[name]]."""
    plain = {key: value for key, value in data.items() if not _is_table(value) and not _is_tables(value)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    for key, value in data.items():
        name = f"{prefix}{_key(key)}"
        if _is_table(value):
            body = to_toml(value, name + ".")
            lines += ["", f"[{name}]", body] if body else ["", f"[{name}]"]
        elif _is_tables(value):
            for member in value:
                lines += ["", f"[[{name}]]", to_toml(member, name + ".")]
    return "\n".join(lines)


def _without_unset(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_unset(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_unset(inner) for inner in value]
    return redact_addresses(value) if isinstance(value, str) else value


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(member, dict) for member in value)


def _key(key: str) -> str:
    return key if _BARE_KEY.match(key) else json.dumps(key)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(inner) for inner in value) + "]"
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL, which TOML wants escaped as well
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
