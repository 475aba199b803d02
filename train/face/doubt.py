"""Does a face branch tell anything? From what `train-face` measured on val, which `model.json` keeps."""

from __future__ import annotations

from typing import Any

_DEVIATIONS = 2.0  # of a branch that leaves boxes out by chance


def doubt(entry: Any) -> str:
    """Why the branch of this entry tells nothing, with its figures; "" where it does, or nothing was measured.

    At chance boxes without a face are taken for none as often as faces are, which the thresholds allow for a few.
    """
    try:
        figures = {name: int(value) for name, value in dict(entry["metrics"]).items()}
        faces, lost = figures["faces"], figures["faces_none"]
        boxes, none = figures["boxes_without_face_half_score"], figures["of_them_none_half_score"]
    except (LookupError, TypeError, ValueError, OverflowError):
        return ""
    said = f"takes {none} of {boxes} boxes without a face and {lost} of {faces} faces of val for none"
    if 2 * lost > faces:
        return f"{said}: nearly nobody would be counted"
    if boxes == 0:
        return f"{said}: val has no box without a face, so nothing shows what it is worth"
    if none == 0:
        return f"{said}: it leaves nothing out"
    chance = (lost + 1) / (faces + 2)  # not 0 where the few faces there are happen to be kept
    most = chance * boxes + _DEVIATIONS * (chance * (1 - chance) * boxes) ** 0.5
    return f"{said}: no better than chance" if none <= most else ""
