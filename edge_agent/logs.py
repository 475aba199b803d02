"""Logging to stderr: journal levels under systemd, `--log-json`, repeats held back, secrets never.

    logs.setup(config.log, json_lines=args.log_json)

A warning that repeats within `repeat_every_s` is held back and counted. What `redact` hides, tracebacks hide too.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import TextIO

from edge_agent.config import LogConfig
from edge_agent.redact import redact

_FIGURES = re.compile(r"\d+")
_JOURNAL_LEVEL = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
MOST_REPEATS_KEPT = 500


def setup(
    config: LogConfig,
    *,
    json_lines: bool = False,
    stream: TextIO | None = None,
    env: Mapping[str, str] | None = None,
) -> logging.Handler:
    """Make the root logger write to `stream` (stderr), and nothing else; the handler, for tests."""
    env = os.environ if env is None else env
    handler = logging.StreamHandler(stream or sys.stderr)
    if json_lines or config.json_lines:
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(Lines(journal=_is_journal(handler.stream, env)))
    handler.addFilter(HoldBackRepeats(config.repeat_every_s))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(config.level.upper())
    for noisy in ("asyncio", "multipart", "python_multipart", "PIL"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return handler


def _is_journal(stream: TextIO, env: Mapping[str, str]) -> bool:
    """As systemd.exec(5) has it: a terminal started by a service inherits $JOURNAL_STREAM and is no journal."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return env.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class Lines(logging.Formatter):
    """One line for a record; under the journal with its level prefix and without a time of our own."""

    def __init__(self, journal: bool) -> None:
        super().__init__("%(name)s: %(message)s" if journal else "%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        text = redact(super().format(record))
        text = "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)
        if not self._journal:
            return text.replace("\n", "\n    ")
        level = _JOURNAL_LEVEL.get(record.levelno, 6)
        return "\n".join(f"<{level}>{line}" for line in text.split("\n"))


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{record.msecs:03.0f}Z"
        line = {"at": moment, "level": record.levelname.lower(), "from": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps({key: redact(value) for key, value in line.items()}, ensure_ascii=False)


class HoldBackRepeats(logging.Filter):
    """Lets the same words through once in `every_s`; the next time says how many were held back."""

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._every_s, self._clock = every_s, clock
        self._seen: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Figures are no part of the key: a changing count does not make a new line of an old one."""
        if self._every_s <= 0 or record.levelno < logging.WARNING:
            return True
        key, now = (record.name, record.levelno, _FIGURES.sub("#", record.getMessage())), self._clock()
        at, held = self._seen.get(key, (float("-inf"), 0))
        if now - at < self._every_s:
            self._seen[key] = (at, held + 1)
            return False
        if len(self._seen) >= MOST_REPEATS_KEPT:
            self._seen.pop(next(iter(self._seen)))
        self._seen[key] = (now, 0)
        if held:
            record.msg, record.args = f"{record.getMessage()} (and {held} more like it since)", ()
        return True
