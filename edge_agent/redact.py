"""What is never written: secrets that were read, accounts in addresses, secrets among an address's parameters.

hide(secret)                  whoever reads a secret does so; `config.read_secret` does it for all of ours
redact("rtsp://a:b@cam/1?token=c")        "rtsp://***@cam/1?token=***"
"""

from __future__ import annotations

import re
from urllib.parse import quote

SHORTEST_SECRET = 4
_HIDDEN = "***"
_ACCOUNT = re.compile(r"(?<=://)[^/\s\"'<>]*@")
_PARAMETER = re.compile(
    r"(?i)([?&;](?:[^=&;#\s]*(?:pass|pwd|token|secret|key|auth|user|login|credential)[^=&;#\s]*)=)[^&;#\s\"'<>]*"
)
_secrets: set[str] = set()


def hide(secret: str) -> None:
    """Never write this text. Texts shorter than four characters cannot be told from ordinary words."""
    for part in {secret, secret.partition(":")[2]}:  # user:password, of which the second alone is one too
        if len(part) >= SHORTEST_SECRET:
            _secrets.update({part, quote(part, safe="")})


def redact_addresses(text: str) -> str:
    """A text whose addresses show neither account nor secret parameters."""
    return _PARAMETER.sub(rf"\1{_HIDDEN}", _ACCOUNT.sub(_HIDDEN + "@", text))


def redact(text: str) -> str:
    """A text without secrets, and without those of the addresses in it."""
    text = redact_addresses(text)
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return text
