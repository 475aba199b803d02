"""What connections to the web server may take; apart from what keeps to it, which needs uvicorn."""

from __future__ import annotations

from dataclasses import dataclass

BESIDE_STREAMS = 176


@dataclass(frozen=True, slots=True)
class Limits:
    """head_within_s: a whole request's head must be there so soon after the connection was made, or after the first
    byte of a later request. keep_alive_s: how long a connection may wait for a later request. most: how many at once.
    """

    head_within_s: float = 10.0
    keep_alive_s: int = 15
    most: int = BESIDE_STREAMS + 24
