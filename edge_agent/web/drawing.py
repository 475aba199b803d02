"""Boxes on pictures, for viewers that cannot draw themselves (a wall display, Home Assistant's MJPEG camera)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2

from edge_agent.records import U8
from edge_agent.web.state import TrackView

# Okabe and Ito's palette, told apart by people who do not see red and green: bluish green, vermilion, orange; grey.
COLOURS_BGR = ((115, 158, 0), (0, 94, 213), (0, 159, 230), (167, 121, 204), (178, 114, 0))
UNSURE_BGR = (150, 150, 150)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(bgr: U8, tracks: Sequence[TrackView], scale: float, labels: Sequence[str]) -> U8:
    """A copy of a uint8 BGR picture with each person's box times `scale`, number, class and probability."""
    out = bgr.copy()
    for track in tracks:
        if not track.seen:
            continue
        known = track.certain and track.visitor and track.label in labels
        colour = COLOURS_BGR[labels.index(track.label) % len(COLOURS_BGR)] if known else UNSURE_BGR
        x, y, w, h = (round(value * scale) for value in (track.box.x, track.box.y, track.box.w, track.box.h))
        cv2.rectangle(out, (x, y), (x + w, y + h), colour, 2)
        words = track.label.replace("_", " ") if known else "a picture" if track.certain else "cannot tell"
        sure = f" {max(track.probabilities):.0%}" if known and track.probabilities else ""
        text = f"#{track.id} {words}{sure}"
        (wide, high), _ = cv2.getTextSize(text, FONT, 0.45, 1)
        top = max(0, y - high - 8)
        cv2.rectangle(out, (x, top), (x + wide + 8, top + high + 8), colour, -1)
        cv2.putText(out, text, (x + 4, top + high + 3), FONT, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return out
