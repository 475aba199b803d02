"""Scores of predictions, in numpy: small, tested, the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32]


def confusion(truth: Labels, found: Labels, classes: int) -> NDArray[np.int64]:
    """Counts (classes, classes): rows truth, columns prediction."""
    return np.bincount(truth * classes + found, minlength=classes * classes).reshape(classes, classes)


def per_class(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """Precision, recall, F1 of each class: (classes, 3). Never predicted: precision 0; no face: recall, F1 NaN."""
    hits = np.diag(table).astype(float)
    found, true = table.sum(0), table.sum(1)
    precision = np.divide(hits, found, out=np.zeros_like(hits), where=found > 0)
    recall = np.divide(hits, true, out=np.full_like(hits, np.nan), where=true > 0)
    f1 = np.divide(2 * hits, found + true, out=np.full_like(hits, np.nan), where=true > 0)
    return np.stack([precision, recall, f1], 1)


def macro_f1(truth: Labels, found: Labels, classes: int) -> float:
    """Mean F1 over the classes that occur in the truth."""
    return float(np.nanmean(per_class(confusion(truth, found, classes))[:, 2]))


def softened(log_probabilities: NDArray[np.float64], temperature: float) -> Probabilities:
    """Probabilities after dividing the log-probabilities by a temperature and normalising again."""
    z = log_probabilities / temperature
    z = z - z.max(1, keepdims=True)
    e = np.exp(z)
    return np.asarray(e / e.sum(1, keepdims=True), np.float32)


def fit_temperature(probabilities: Probabilities, truth: Labels) -> float:
    """The temperature with the least negative log-likelihood (Guo et al. 2017), by a search from 0.2 to 5."""
    logs = np.log(np.clip(probabilities.astype(np.float64), 1e-7, 1))

    def loss(temperature: float) -> float:
        picked = softened(logs, temperature)[np.arange(len(truth)), truth]
        return float(-np.log(np.clip(picked, 1e-9, 1)).mean())

    candidates = np.exp(np.linspace(np.log(0.2), np.log(5), 241))
    return float(candidates[int(np.argmin([loss(t) for t in candidates]))])


def ece(probabilities: Probabilities, truth: Labels, bins: int = 15) -> float:
    """Expected calibration error of the top class over equal bins (Guo et al. 2017)."""
    if not len(truth):
        return float("nan")
    sure, right = probabilities.max(1), probabilities.argmax(1) == truth
    place = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [
        abs(right[place == b].mean() - sure[place == b].mean()) * (place == b).mean()
        for b in range(bins)
        if (place == b).any()
    ]
    return float(sum(gaps))


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """At `threshold`, `coverage` of the readings are certain and `risk` of those are wrong."""

    threshold: float
    coverage: float
    risk: float


def threshold_at_risk(probabilities: Probabilities, truth: Labels, risk: float) -> RiskCoverage:
    """The lowest threshold on the top probability whose certain readings are wrong in at most `risk` of cases."""
    sure = probabilities.max(1)
    order = np.argsort(-sure, kind="stable")
    wrong = np.cumsum(probabilities.argmax(1)[order] != truth[order]) / np.arange(1, len(truth) + 1)
    allowed = np.flatnonzero(wrong <= risk)
    if not len(allowed):
        return RiskCoverage(1.0, 0.0, 0.0)
    last = int(allowed[-1])
    return RiskCoverage(float(sure[order[last]]), (last + 1) / len(truth), float(wrong[last]))


def bootstrap(values: NDArray[np.int64], statistic, rounds: int = 1000, seed: int = 0) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """The 95 % percentile interval of `statistic(rows)` over resampled rows of a (n, k) table."""
    rng = np.random.default_rng(seed)
    found = [statistic(values[rng.integers(0, len(values), len(values))]) for _ in range(rounds)]
    return float(np.nanpercentile(found, 2.5)), float(np.nanpercentile(found, 97.5))
