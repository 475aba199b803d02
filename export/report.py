"""What an export came to, for people (Markdown) and for machines (JSON)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from export.gates import Outcome
from export.golden import Power
from export.runtimes import Trial

MOST_DIFFERING = 30


@dataclass(frozen=True, slots=True)
class VariantReport:
    """One variant: what was measured, and whether it may be released.

    faults: what spoke against it beside the gates, a sentence each.
    """

    variant: str
    recipe: str
    flatbuffer_bytes: int
    file_bytes: int
    sha256: str
    outcome: Outcome
    trials: tuple[Trial, ...]
    blind: tuple[Power, ...]
    operators: dict[str, int]
    faults: tuple[str, ...]
    written: str

    @property
    def passed(self) -> bool:
        return self.outcome.passed and not self.faults

    def to_json(self) -> dict[str, Any]:
        return {
            "variant": self.variant,
            "passed": self.passed,
            "recipe": self.recipe,
            "flatbuffer_bytes": self.flatbuffer_bytes,
            "file_bytes": self.file_bytes,
            "sha256": self.sha256,
            "gates": self.outcome.to_json(),
            "runtimes": [trial.to_json() for trial in self.trials],
            "operators": self.operators,
            "faults": list(self.faults),
            "written": self.written,
        }

    def markdown(self) -> str:
        """A section of the report."""
        verdict = "passed" if self.passed else "REFUSED"
        lines = [
            f"## {self.variant}: {verdict}",
            "",
            f"`{self.written}`, {self.flatbuffer_bytes:,} bytes ({self.file_bytes:,} with its contract), "
            f"ranges: {self.recipe}, sha256 `{self.sha256}`",
            "",
            "| gate | figure | limit | |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {gate.name} | {gate.figure:.4f} | {gate.limit} | {'passed' if gate.passed else 'FAILED'} |"
            for gate in self.outcome.gates
        ]
        shown = ", ".join(f"{key.replace('_', ' ')} {value:.4g}" for key, value in self.outcome.figures.items())
        lines += ["", f"Measured: {shown}.", ""]
        lines += [f"- {fault}" for fault in self.faults]
        lines += ["", "| runtime | XNNPACK | threads | largest difference | golden ms | |", "|---|---|---|---|---|---|"]
        lines += [_trial_row(trial) for trial in self.trials]
        if self.outcome.differing:
            lines += ["", f"{len(self.outcome.differing)} answers that are not those of Keras:", ""]
            lines += ["| face or photograph | truth | Keras | exported |", "|---|---|---|---|"]
            lines += [
                f"| {d.id} | {d.truth} | {d.keras} {d.keras_probability} | {d.exported} {d.exported_probability} |"
                for d in self.outcome.differing[:MOST_DIFFERING]
            ]
        return "\n".join(lines) + "\n"


def _trial_row(trial: Trial) -> str:
    kernels = "on" if trial.xnnpack else "off"
    if not trial.passed:
        return f"| {trial.runtime} | {kernels} | {trial.threads} | | | FAILED: {trial.fault} |"
    name = f"{trial.runtime} {trial.version}"
    return f"| {name} | {kernels} | {trial.threads} | {trial.largest:.5f} | {trial.golden_ms:.0f} | passed |"


def whole(name: str, version: str, source: str, reports: list[VariantReport]) -> str:
    """The report of an export as Markdown."""
    head = f"# Export of {name} {version}\n\nFrom `{source}`.\n\n"
    return head + "\n".join(report.markdown() for report in reports)
