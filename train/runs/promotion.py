"""May the candidate take the title? Only where it is better by more than noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from train.runs import stats
from train.runs.predictions import Predictions, aligned


@dataclass(frozen=True, slots=True)
class Rule:
    """margin: the lower end of the 95 % interval of the difference has to lie above it."""

    metric: str = "macro_f1"
    margin: float = 0.0
    resamples: int = stats.RESAMPLES


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was decided, and what it rests on. difference: None where there was no champion to beat."""

    granted: bool
    reason: str
    difference: stats.Difference | None

    def evidence(self, rule: Rule) -> dict[str, Any]:
        """What the registry keeps."""
        if self.difference is None:
            return {"reason": self.reason}
        d = self.difference
        return {
            "reason": self.reason,
            "metric": rule.metric,
            "candidate": d.candidate,
            "champion": d.champion,
            "difference": d.value,
            "low": d.low,
            "high": d.high,
            "share_better": d.share_better,
            "faces": d.faces,
            "photographs": d.groups,
        }


def judge(candidate: Predictions, champion: Predictions | None, rule: Rule) -> Judgement:
    """Paired bootstrap over the photographs both saw, on validation."""
    if champion is None:
        return Judgement(True, "there is no champion yet", None)
    ours, theirs = aligned(candidate, champion)
    metric = stats.METRICS[rule.metric]
    full = ours.full_sets()
    d = stats.paired_difference(ours.matrices(full), theirs.matrices(full), metric, rule.resamples)
    facts = (
        f"{rule.metric} {d.candidate:.4f} against {d.champion:.4f} on {d.faces} faces in {d.groups} photographs: "
        f"{d.value:+.4f}, 95 % interval {d.low:+.4f} to {d.high:+.4f}"
    )
    if d.low > rule.margin:
        return Judgement(True, facts, d)
    short = f"the lower end has to lie above {rule.margin:+.4f}: short by {d.short_of(rule.margin):.4f}"
    return Judgement(False, f"{facts}; {short}", d)
