"""A classifier's gates: the exported file against Keras on real faces that neither training nor calibration saw."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.records import F32
from export.faces import Faces

ECE_BINS = 15


@dataclass(frozen=True, slots=True)
class Gate:
    """One figure against its limit."""

    name: str
    figure: float
    limit: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Differing:
    """A face that the exported file puts into another class than Keras does, or a photograph with other boxes."""

    id: str
    truth: str
    keras: str
    exported: str
    keras_probability: float
    exported_probability: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """All gates of one file, and what was measured beside them."""

    gates: tuple[Gate, ...]
    figures: dict[str, float]
    differing: tuple[Differing, ...] = ()

    @property
    def passed(self) -> bool:
        return all(gate.passed for gate in self.gates)

    def failures(self) -> str:
        """The gates that failed, in a line."""
        return "; ".join(f"{gate.name} {gate.figure:.4f}, not {gate.limit}" for gate in self.gates if not gate.passed)

    def to_json(self) -> dict[str, Any]:
        return {"passed": self.passed, **asdict(self)}


def compare(keras: F32, exported: F32, faces: Faces, labels: tuple[str, ...], variant: str) -> Outcome:
    """Gates from calibrated probabilities, float32 (n, labels), of Keras and of the exported file."""
    truth = faces.classes
    same = float((keras.argmax(1) == exported.argmax(1)).mean())
    f1 = macro_f1(keras, truth), macro_f1(exported, truth)
    ece = calibration_error(keras, truth), calibration_error(exported, truth)
    apart = float(np.abs(keras - exported).max())
    widest = 0.05 if variant.startswith("float") else 0.5
    gates = (
        Gate("same class as Keras", same, ">= 0.99", same >= 0.99),
        Gate("macro-F1 lost", f1[0] - f1[1], "<= 0.005", f1[0] - f1[1] <= 0.005),
        Gate("largest difference of probabilities", apart, f"<= {widest:g}", apart <= widest),
        Gate("calibration error (ECE) gained", ece[1] - ece[0], "<= 0.01", ece[1] - ece[0] <= 0.01),
    )
    figures = {
        "crops": float(len(faces)),
        "accuracy_keras": float((keras.argmax(1) == truth).mean()),
        "accuracy": float((exported.argmax(1) == truth).mean()),
        "macro_f1_keras": f1[0],
        "macro_f1": f1[1],
        "ece_keras": ece[0],
        "ece": ece[1],
        "mean_difference": float(np.abs(keras - exported).mean()),
    }
    return Outcome(gates, figures, _differing(keras, exported, faces, labels))


def with_faces(outcome: Outcome, keras: F32, exported: F32) -> Outcome:
    """Two gates more, of a classifier that says whether there is a face: 0 none to 1 surely one, float32 (n,)."""
    same = float(((keras > 0) == (exported > 0)).mean())
    apart = float(np.abs(keras - exported).mean())
    more = (
        Gate("a face, or none, as Keras says", same, ">= 0.99", same >= 0.99),
        Gate("mean difference of that", apart, "<= 0.03", apart <= 0.03),
    )
    return replace(outcome, gates=(*outcome.gates, *more))


def macro_f1(probabilities: F32, truth: NDArray[np.int64]) -> float:
    """The mean of the classes' F1, over the classes that occur."""
    said = probabilities.argmax(1)
    scores = []
    for index in np.unique(truth):
        hits = int(((said == index) & (truth == index)).sum())
        scores.append(2 * hits / max(1, int((said == index).sum()) + int((truth == index).sum())))
    return float(np.mean(scores))


def calibration_error(probabilities: F32, truth: NDArray[np.int64]) -> float:
    """Expected calibration error over 15 equal bins of confidence (Guo et al. 2017, arXiv 1706.04599)."""
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == truth
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    return float(
        sum(abs(right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins))
    )


def _differing(keras: F32, exported: F32, faces: Faces, labels: tuple[str, ...]) -> tuple[Differing, ...]:
    rows = np.flatnonzero(keras.argmax(1) != exported.argmax(1))
    return tuple(
        Differing(
            faces.ids[row],
            labels[int(faces.classes[row])],
            labels[int(keras[row].argmax())],
            labels[int(exported[row].argmax())],
            round(float(keras[row].max()), 4),
            round(float(exported[row].max()), 4),
        )
        for row in rows
    )
