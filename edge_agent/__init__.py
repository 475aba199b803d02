"""Maskwatch's edge agent: counts who wears a face mask, who wears it badly and who wears none.

`edge_agent.FaceMaskPredictor` looks at a picture, a batch or a video: see its docstring.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

# Read once, when OpenCV's library loads: a picture that claims more is refused before memory is taken for it.
MAX_IMAGE_PIXELS = 64_000_000
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_IMAGE_PIXELS))

if TYPE_CHECKING:
    from edge_agent.predictor import FaceMaskPredictor as FaceMaskPredictor

__version__ = "0.1.0"
__all__ = ["FaceMaskPredictor", "__version__"]


def __getattr__(name: str) -> object:
    """Import the predictor, and with it OpenCV and a runtime, only when it is asked for."""
    if name == "FaceMaskPredictor":
        from edge_agent.predictor import FaceMaskPredictor

        return FaceMaskPredictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
