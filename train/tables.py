"""A report as Markdown tables, for the model card and the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def cell(value: Any) -> str:
    """A number with three decimals, an interval as "low to high", anything else as it is."""
    if isinstance(value, (tuple, list)):
        return f"{value[0]:.3f} to {value[1]:.3f}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(cell(v) for v in row) + " |" for row in rows), ""]


def markdown(report: dict[str, Any], labels: Sequence[str]) -> str:
    """The tables of the model card, from a report as it lies in report-<split>.json."""
    rows = report["rows"]
    keys = ("n", "precision", "precision_interval", "recall", "recall_interval", "f1", "f1_interval")
    calibration = ("of", "n", "ece_before", "ece", "ece_interval", "coverage", "risk", "coverage_at_1_percent_risk")
    lines = [f"### Split `{report['split']}`: accuracy and F1", ""]
    lines += table(
        ("faces", "n", "accuracy", "95 %", "macro-F1", "95 %"),
        [[r[k] for k in ("of", "n", "accuracy", "accuracy_interval", "macro_f1", "macro_f1_interval")] for r in rows],
    )
    lines += ["### Per class", ""]
    lines += table(
        ("faces", "class", "n", "precision", "95 %", "recall", "95 %", "F1", "95 %"),
        [[r["of"], label, *(r[label][k] for k in keys)] for r in rows for label in labels if label in r],
    )
    lines += ["### Calibration and can't tell", ""]
    lines += table(
        ("faces", "n", "ECE before", "ECE after", "95 %", "coverage", "risk", "coverage at 1 % risk"),
        [[c[k] for k in calibration] for c in report["calibration"]],
    )
    if report["robustness"]:
        lines += ["### Under disturbance", ""]
        lines += table(
            ("disturbance", "strength", "n", "accuracy", "macro-F1", *(f"recall {x}" for x in labels), "ECE"),
            [
                [r["disturbance"], r["strength"], r["n"], r["accuracy"], r["macro_f1"], *r["recall"].values(), r["ece"]]
                for r in report["robustness"]
            ],
        )
    return "\n".join(lines)
