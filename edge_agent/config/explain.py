"""What is wrong with a configuration, in one line: the key, its value, what would be accepted."""

from __future__ import annotations

import difflib
import re
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edge_agent.redact import redact_addresses

LONGEST_VALUE = 80
MOST_ERRORS = 5


def explain(error: ValidationError, model: type[BaseModel], data: Any) -> str:
    """All that is wrong, the first few in words, separated by semicolons and spaces."""
    schema = _schema(model)
    lines = [_line(detail, schema, data) for detail in error.errors(include_url=False)]
    lines = list(dict.fromkeys(lines))
    more = len(lines) - MOST_ERRORS
    return " | ".join(lines[:MOST_ERRORS]) + (f" | and {more} more" if more > 0 else "")


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _line(detail: ErrorDetails, schema: dict[str, Any], data: Any) -> str:
    steps = list(detail["loc"])
    if detail["type"] == "extra_forbidden":
        return _unknown(steps, schema)
    key = dotted(steps)
    node = _node(schema, steps)
    if detail["type"] == "missing":
        return f"{key} is missing; give {_accepted(node)}"
    if detail["type"] == "value_error":
        message = detail["msg"].removeprefix("Value error, ")
        return f"{key}: {message}" if key else message
    wanted = _accepted(node) or detail["msg"]
    return f"{key or 'the configuration'} is {_shown(detail['input'])}; give {wanted}"


def _unknown(steps: list[int | str], schema: dict[str, Any]) -> str:
    parent = _node(schema, steps[:-1])
    known = sorted(parent.get("properties", {}))
    near = difflib.get_close_matches(str(steps[-1]), known, n=1, cutoff=0.6)
    hint = f"did you mean {dotted([*steps[:-1], near[0]])}?" if near else f"known here: {', '.join(known)}"
    return f"unknown key {dotted(steps)}; {hint}"


def dotted(steps: list[int | str]) -> str:
    """mqtt.port, camera[0].source"""
    out = ""
    for step in steps:
        if isinstance(step, int):
            out += f"[{step}]"
        else:
            word = step if re.fullmatch(r"[\w-]{1,60}", step) else repr(step[:60])
            out += f".{word}" if out else word
    return out


def _shown(value: Any) -> str:
    """The value, short, without the secrets of an address."""
    text = redact_addresses(repr(value)) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "..."


def _resolve(node: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node or "allOf" in node:
        node = root["$defs"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node["allOf"][0]
    for choice in node.get("anyOf", []):
        if choice.get("type") != "null":
            return _resolve({**{k: v for k, v in node.items() if k != "anyOf"}, **choice}, root)
    return node


def _node(schema: dict[str, Any], steps: list[int | str]) -> dict[str, Any]:
    """The part of the JSON schema that a key stands for; empty where there is none."""
    node = _resolve(schema, schema)
    for step in steps:
        if isinstance(step, int):
            members = node.get("prefixItems", [])
            found = members[step] if step < len(members) else node.get("items", {})
        else:
            found = node.get("properties", {}).get(step, {})
        node = _resolve(found, schema) if isinstance(found, dict) else {}
    return node


def _accepted(node: dict[str, Any]) -> str:
    """What the schema takes, in words."""
    if "enum" in node:
        return "one of " + ", ".join(str(value) for value in node["enum"])
    if "const" in node:
        return str(node["const"])
    kind = node.get("type")
    if kind in {"integer", "number"}:
        noun = "a whole number" if kind == "integer" else "a number"
        return " ".join(filter(None, [noun, _range(node)]))
    if kind == "string":
        return _string(node)
    if kind == "array":
        low, high = node.get("minItems"), node.get("maxItems")
        return f"a list of {low}" if low and low == high else f"a list of at least {low}" if low else "a list"
    return {"boolean": "true or false", "object": "a table"}.get(kind or "", "")


def _range(node: dict[str, Any]) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f"from {low:g} to {high:g}" if max(abs(low), abs(high)) < 1e5 else f"from {low} to {high}"
    words = [
        f"above {above}" if above is not None else "",
        f"of at least {low}" if low is not None else "",
        f"below {below}" if below is not None else "",
        f"of at most {high}" if high is not None else "",
    ]
    return " and ".join(filter(None, words))


def _string(node: dict[str, Any]) -> str:
    if node.get("format") == "path":
        return "a path"
    if "pattern" in node:
        return "a name of a-z, 0-9, - and _, at most 63 characters" if "_-" in node["pattern"] else node["pattern"]
    if node.get("minLength"):
        return "a text that is not empty"
    return "a text"
