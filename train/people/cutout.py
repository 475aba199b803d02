"""A drawn person, cut out."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.records import F32, U8


@dataclass(frozen=True, slots=True)
class Cutout:
    """A person from the chest up. pixels: uint8 BGRA (px, px, 4); box: of the face, px.

    front: cosine of the angle between where the face looks and the camera. visible: how much of the box shows the face.
    """

    pixels: U8
    box: F32
    front: float
    visible: float

    @property
    def is_face(self) -> bool:
        """Somebody who labels photographs would draw a box: from the front to the full profile."""
        return self.visible > 0.2 and self.front > -0.25

    @property
    def is_back(self) -> bool:
        """Nobody would: hair, an ear, a cheek from behind. What is neither is in between."""
        return self.visible < 0.03 or (self.visible < 0.1 and self.front < -0.3)
