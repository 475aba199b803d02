"""What of the camera's picture the live view may show.

The live view is never stored and is seen only on the device itself or by who has the token, so `crop`, which bounds
what is written and published, leaves it whole: a technician has to see where the camera looks. `blurred` and `none`
bind it too, and `http.live = false` turns it off altogether.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge_agent.config import HttpConfig, PrivacyConfig
from edge_agent.privacy import blurred
from edge_agent.records import U8, Box

Redact = Callable[[U8, Sequence[Box]], U8 | None]


def live_redactor(http: HttpConfig, privacy: PrivacyConfig) -> Redact:
    """For `WebSources.redact`."""
    if not http.live or privacy.pictures == "none":
        return lambda _bgr, _faces: None
    if privacy.pictures == "blurred":
        return blurred
    return lambda bgr, _faces: bgr
