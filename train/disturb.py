"""Blur, darkness, low resolution, JPEG and colour cast at three strengths each: what the robustness table applies."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from edge_agent.records import U8
from train.augment import blur, darken, jpeg


def disturbances() -> list[tuple[str, str, Callable[[U8], U8]]]:
    """Name, strength and function on one uint8 RGB crop; random ones start from the same seed each time."""

    def smaller(px: int) -> Callable[[U8], U8]:
        def shrink(x: U8) -> U8:
            down = cv2.resize(x, (px, px), interpolation=cv2.INTER_AREA)
            return np.asarray(cv2.resize(down, (x.shape[1], x.shape[0]), interpolation=cv2.INTER_LINEAR), np.uint8)

        return shrink

    def cast(gain: float) -> Callable[[U8], U8]:
        return lambda x: np.clip(x * np.array([gain, 1.0, 1 / gain]), 0, 255).astype(np.uint8)

    out: list[tuple[str, str, Callable[[U8], U8]]] = []
    out += [("blur", f"sigma {v} % of the crop", lambda x, v=v: blur(x, v / 100 * x.shape[0])) for v in (1.0, 2.0, 3.0)]
    out += [
        ("darkness", f"light x {v}", lambda x, v=v: darken(x, v, np.random.default_rng(0))) for v in (0.5, 0.25, 0.12)
    ]
    out += [("low resolution", f"{v} px crop", smaller(v)) for v in (32, 24, 16)]
    out += [("JPEG", f"quality {v}", lambda x, v=v: jpeg(x, v)) for v in (50, 25, 10)]
    out += [("colour cast", f"red x {v}", cast(v)) for v in (1.2, 1.5, 2.0)]
    return out
