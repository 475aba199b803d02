"""The end of a run, for a person: a table of visits, frames and times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WORDS = {
    "with_mask": "with mask",
    "without_mask": "without mask",
    "mask_weared_incorrect": "mask worn badly",
    "cannot_tell": "cannot tell",
}


def in_words(label: str) -> str:
    """A label as a person says it; labels of a user's own model as they are."""
    return WORDS.get(label, label.replace("_", " "))


def table(summary: Mapping[str, Any]) -> str:
    """Visits by class, frames, frames per second, latency per stage, as plain text."""
    people = {**summary["people"], "cannot_tell": summary["cannot_tell"]}
    latency = summary["latency_ms"]
    width = max(len(in_words(name)) for name in (*people, *latency))
    lines = [_row(["visits", "", ""], width)]
    lines += [_row([in_words(label), str(count), label], width) for label, count in people.items()]
    lines += ["", _row(["frames", str(summary["frames"]), f"{summary['fps']:.1f} a second"], width)]
    for name, camera in summary["cameras"].items():
        if camera["missing"]:
            lines.append(_row(["missing", str(camera["missing"]), f"of {camera['stated']} that {name} states"], width))
    lines += ["", _row(["stage", "p50 ms", "p95 ms"], width)]
    lines += [
        _row([name, f"{figures['p50']:.2f}", f"{figures['p95']:.2f}"], width) for name, figures in latency.items()
    ]
    return "\n".join(lines)


def _row(cells: list[str], width: int) -> str:
    name, figure, more = cells
    return f"{name:<{width}}  {figure:>8}  {more}".rstrip()
