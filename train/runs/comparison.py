"""Runs side by side: figures with intervals, by class and by set, and the faces on which they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from train.runs import stats
from train.runs.predictions import Predictions, aligned

ALL = "all sets with every class"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of every run, on the same faces. against_first: each later run minus the first, paired."""

    part: str
    figure: str
    values: tuple[stats.Interval, ...]
    against_first: tuple[stats.Difference | None, ...]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A face that runs call differently. called: label and probability, run by run."""

    id: str
    truth: str
    called: tuple[tuple[str, float], ...]

    @property
    def right(self) -> tuple[bool, ...]:
        return tuple(label == self.truth for label, _ in self.called)


def same_faces(runs: Sequence[Predictions]) -> list[Predictions]:
    """All runs on the faces that all of them saw, in one order."""
    first = runs[0]
    for other in runs[1:]:
        first, _ = aligned(first, other)
    return [first, *(aligned(first, other)[1] for other in runs[1:])]


def table(runs: Sequence[Predictions], resamples: int = stats.RESAMPLES) -> list[Row]:
    """Rows for all, for each label, and for each set."""
    runs = same_faces(runs)
    labels, full = runs[0].labels, runs[0].full_sets()
    rows = [_row(ALL, name, runs, full, metric, resamples) for name, metric in stats.METRICS.items()]
    for at, label in enumerate(labels):
        rows.append(_row(ALL, f"recall {label}", runs, full, stats.recall_of(at), resamples))
        rows.append(_row(ALL, f"precision {label}", runs, full, stats.precision_of(at), resamples))
    for name in dict.fromkeys(runs[0].sets):
        rows.append(_row(name, "accuracy", runs, (name,), stats.accuracy, resamples))
        if name in full:
            rows.append(_row(name, "macro_f1", runs, (name,), stats.macro_f1, resamples))
    return rows


def _row(
    part: str, figure: str, runs: Sequence[Predictions], sets: Sequence[str], metric: stats.Metric, resamples: int
) -> Row:
    matrices = [run.matrices(sets) for run in runs]
    against = [stats.paired_difference(m, matrices[0], metric, resamples) if m.size else None for m in matrices[1:]]
    return Row(part, figure, tuple(stats.interval(m, metric, resamples) for m in matrices), (None, *against))


def disagreements(runs: Sequence[Predictions]) -> list[Disagreement]:
    """Faces with more than one opinion; those where the last run is wrong and another right come first."""
    runs = same_faces(runs)
    called = np.stack([run.called for run in runs])
    out = []
    for at in np.flatnonzero((called != called[0]).any(0)):
        said = tuple((run.labels[run.called[at]], float(run.probabilities[at].max())) for run in runs)
        out.append(Disagreement(runs[0].ids[at], runs[0].labels[runs[0].truth[at]], said))
    return sorted(out, key=lambda d: (d.right[-1], -d.called[-1][1], d.id))


def as_markdown(rows: Sequence[Row], titles: Sequence[str]) -> str:
    """One table; a later run's cell ends in its paired difference from the first, * where that is more than noise."""
    head = ["part", "figure", "n", *titles]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        cells = [row.part, row.figure, str(row.values[0].n)]
        for value, difference in zip(row.values, row.against_first, strict=True):
            cells.append(str(value) + (f" {_signed(difference)}" if difference else ""))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _signed(difference: stats.Difference) -> str:
    sure = "*" if difference.low > 0 or difference.high < 0 else ""
    return f"({difference.value:+.3f}{sure})"
