"""One labelled face: what every reader produces and every later step consumes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_agent.records import Box

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Sample:
    """A face in a picture.

    set: name of the data set it comes from.
    box: pixels of the picture; None where the whole picture is the face.
    label: a label of the dataset's class list.
    group: a photograph and its near-duplicates; never on two sides of a split.
    split: train, val or test.
    id: unique and stable: set/picture#position among the boxes of the picture.
    weight: how often its set is drawn, relative to the others.
    alias: the class name in the source file (two sets may map different things onto one label).
    """

    set: str
    image_path: Path
    box: Box | None
    label: str
    group: str
    split: str
    id: str
    weight: float = 1.0
    alias: str = ""

    @property
    def side_px(self) -> float:
        """The shorter side of the face; infinite where the whole picture is the face."""
        return self.box.shorter_side if self.box else float("inf")
