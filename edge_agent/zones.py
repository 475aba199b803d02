"""Parts of the picture that count by themselves. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.config import ZoneConfig
from edge_agent.records import Box


def zone_of(box: Box, zones: Sequence[ZoneConfig], picture_px: tuple[int, int] | None) -> str | None:
    """The first zone in which the centre of the box lies; None: in none. Zones overlap as they like."""
    if not zones or picture_px is None:
        return None
    x, y = box.centre[0] / picture_px[0], box.centre[1] / picture_px[1]
    return next((zone.name for zone in zones if _inside(x, y, zone.polygon)), None)


def _inside(x: float, y: float, polygon: Sequence[tuple[float, float]]) -> bool:
    """Even-odd rule: a ray to the right crosses the edge an odd number of times."""
    inside = False
    for (x1, y1), (x2, y2) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) / (y2 - y1) * (x2 - x1):
            inside = not inside
    return inside
