"""Is one model really better? Bootstrap over photographs, paired where two models saw the same faces.

The unit that is drawn is the group (a photograph and its near-duplicates), since faces of one photograph are not
independent. Percentile intervals: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 16.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
F64 = NDArray[np.float64]
# Confusion matrices, float64 (r, labels, labels), truth by row, to one figure each, float64 (r,); NaN where undefined.
Metric = Callable[[F64], F64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % bootstrap interval and the number of faces it rests on."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]" if self.n else "-"


@dataclass(frozen=True, slots=True)
class Difference:
    """Candidate minus champion on the same faces. share_better: of the resamples in which the candidate won."""

    candidate: float
    champion: float
    value: float
    low: float
    high: float
    share_better: float
    faces: int
    groups: int

    def short_of(self, margin: float) -> float:
        """How far the lower end of the interval lies below `margin`; 0 where the candidate wins by more than noise."""
        return max(0.0, margin - self.low)


def accuracy(matrices: F64) -> F64:
    """Share of faces called right."""
    return _ratio(np.trace(matrices, axis1=1, axis2=2), matrices.sum((1, 2)))


def f1_each(matrices: F64) -> F64:
    """F1 of each label, float64 (r, labels); NaN where a label was neither there nor called."""
    hits = np.diagonal(matrices, axis1=1, axis2=2)
    return _ratio(2 * hits, matrices.sum(1) + matrices.sum(2))


def macro_f1(matrices: F64) -> F64:
    """Mean of the labels' F1, over the labels that are there or were called."""
    each = f1_each(matrices)
    there = ~np.isnan(each)
    return _ratio(np.where(there, each, 0).sum(1), there.sum(1).astype(float))


def recall_of(label: int) -> Metric:
    """Recall of one label."""
    return lambda matrices: _ratio(matrices[:, label, label], matrices[:, label].sum(1))


def precision_of(label: int) -> Metric:
    """Precision of one label."""
    return lambda matrices: _ratio(matrices[:, label, label], matrices[:, :, label].sum(1))


METRICS: dict[str, Metric] = {"macro_f1": macro_f1, "accuracy": accuracy}


def by_group(truth: Sequence[int], called: Sequence[int], groups: Sequence[str], labels: int) -> F64:
    """One confusion matrix for each group, in order of the groups' names: float64 (groups, labels, labels)."""
    _, numbers = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    out = np.zeros((int(numbers.max()) + 1 if len(numbers) else 0, labels, labels))
    np.add.at(out, (numbers, np.asarray(truth, int), np.asarray(called, int)), 1)
    return out


def interval(matrices: F64, metric: Metric, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """A metric over groups, with its interval; `matrices` is float64 (groups, labels, labels)."""
    n = int(matrices.sum())
    if n == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    drawn = metric(_draw(matrices, resamples, seed))
    low, high = np.nanpercentile(drawn, (2.5, 97.5)) if not np.isnan(drawn).all() else (np.nan, np.nan)
    return Interval(float(metric(matrices.sum(0)[None])[0]), float(low), float(high), n)


def paired_difference(
    candidate: F64, champion: F64, metric: Metric = macro_f1, resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """Candidate minus champion; both float64 (groups, labels, labels), the same faces in the same groups."""
    if candidate.shape != champion.shape or not np.array_equal(candidate.sum(2), champion.sum(2)):
        raise ValueError("a paired comparison needs the same faces in the same groups on both sides")
    # One seed for both: the same groups are drawn, so what both find hard cancels out.
    gained = metric(_draw(candidate, resamples, seed)) - metric(_draw(champion, resamples, seed))
    gained = gained[~np.isnan(gained)]
    ours, theirs = float(metric(candidate.sum(0)[None])[0]), float(metric(champion.sum(0)[None])[0])
    if gained.size == 0:  # the metric is undefined in every draw: precision of a label that is never called
        low, high, better = np.nan, np.nan, 0.5
    else:
        low, high = np.percentile(gained, (2.5, 97.5))
        better = float((gained > 0).mean() + (gained == 0).mean() / 2)
    return Difference(
        ours, theirs, ours - theirs, float(low), float(high), better, int(candidate.sum()), len(candidate)
    )


def _draw(matrices: F64, resamples: int, seed: int) -> F64:
    """Sums of groups drawn with replacement: float64 (resamples, labels, labels)."""
    groups = len(matrices)
    times = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=resamples)
    return (times.astype(float) @ matrices.reshape(groups, -1)).reshape(resamples, *matrices.shape[1:])


def _ratio(over: F64, under: F64) -> F64:
    return np.divide(over, under, out=np.full(np.broadcast(over, under).shape, np.nan), where=under > 0)
