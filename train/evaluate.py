"""Figures of a trained classifier on one split: per set, class and face size, with intervals; calibration; robustness.

Written and committed before the first run on `test`. Nothing here is fitted on what it measures: the temperature and
the threshold of "can't tell" come from the run's model.json, where validation put them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ConfigError, ModelError, NotFoundError
from edge_agent.records import U8
from train import ledger
from train.crops import exact_crops
from train.data import Dataset, Sample, load
from train.disturb import disturbances
from train.files import write_json
from train.runs.tracking import log_to_run
from train.scores import bootstrap, confusion, ece, macro_f1, per_class, softened, threshold_at_risk
from train.tables import markdown

SIZES = (("under 32", 0.0, 32.0), ("32 to 64", 32.0, 64.0), ("over 64", 64.0, float("inf")))
ROUNDS = 1000

Predict = Callable[[U8], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Report:
    """rows: one a set, size or disturbance, ready for JSON. text: the same as Markdown tables."""

    split: str
    rows: list[dict[str, Any]]
    calibration: list[dict[str, Any]]
    robustness: list[dict[str, Any]] = field(default_factory=list)
    text: str = ""


@dataclass(frozen=True, slots=True)
class Contract:
    """What of a model's contract an evaluation needs."""

    labels: tuple[str, ...]
    size: int
    margin: float
    temperature: float
    certain: float  # the top probability from which a reading counts

    @classmethod
    def read(cls, book: dict[str, Any]) -> Contract:
        return cls(
            tuple(book["labels"]),
            int(book["input_size_px"]),
            float(book["crop_margin"]),
            float(book["temperature"]),
            max(book["thresholds"].values()),
        )

    def indices(self, samples: Sequence[Sample]) -> NDArray[np.int64]:
        """The samples' labels by number (n,). Raises ConfigError for one that the model does not know."""
        unknown = {s.label for s in samples} - set(self.labels)
        if unknown:
            raise ConfigError(
                f"the dataset has the label {sorted(unknown)[0]!r}; the model knows {', '.join(self.labels)}: "
                "map the classes of the dataset file onto these"
            )
        return np.array([self.labels.index(s.label) for s in samples], np.int64)


def keras_predictor(folder: Path) -> tuple[Predict, Contract]:
    """The Keras model of a run folder; probabilities before the temperature."""
    if not (folder / "model.json").is_file():
        raise NotFoundError(f"no model.json in {folder}; is the training finished?")
    contract = Contract.read(json.loads((folder / "model.json").read_text()))
    import keras

    from train.phases import predict

    try:
        model = keras.models.load_model(folder / "model.keras", compile=False)
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot load {folder / 'model.keras'}: {str(error).splitlines()[0][:200]}") from error
    return (lambda crops: predict(model, crops)), contract


def tflite_predictor(path: Path) -> tuple[Predict, Contract]:
    """An exported file through the agent's own classifier, which applies the temperature itself."""
    from edge_agent.classify import open_classifier
    from edge_agent.config.stages import ClassifierConfig

    model = open_classifier(ClassifierConfig(model=path))
    contract = Contract(model.labels, model.input_size_px, model.crop_margin, 1.0, model.threshold)
    return (lambda crops: model.classify(crops).probabilities), contract


def evaluate_run(
    folder: Path,
    dataset: Path,
    split: str,
    cache: Path,
    robust: bool = False,
    min_side_px: int = 24,
    track: bool = True,
) -> Report:
    """Evaluate the Keras model of a run folder; the report lies in it as report-<split>.json and in MLflow."""
    predict, contract = keras_predictor(folder)
    data = load(dataset)
    report = evaluate(predict, contract, data.of(split), split, cache, robust, min_side_px)
    write_json(folder / f"report-{split}.json", as_json(report))
    ledger.enter(folder.parent / ledger.NAME, folder / "model.keras", split, _noted(report, data, min_side_px))
    if track:
        _log(folder, report)
    return report


def evaluate_file(
    path: Path, dataset: Path, split: str, cache: Path, log: Path, robust: bool = False, min_side_px: int = 24
) -> Report:
    """Evaluate an exported .tflite file in the device's own runtime; noted in `log`."""
    predict, contract = tflite_predictor(path)
    data = load(dataset)
    report = evaluate(predict, contract, data.of(split), split, cache, robust, min_side_px)
    ledger.enter(log, path, split, _noted(report, data, min_side_px))
    return report


def _noted(report: Report, data: Dataset, min_side_px: int) -> dict[str, Any]:
    """What the ledger keeps of a report."""
    everything = report.rows[0]
    return {
        "data_sha256": data.data_sha256,
        "split_sha256": data.split_sha256,
        "min_side_px": min_side_px,
        "faces": everything["n"],
        "accuracy": everything["accuracy"],
        "macro_f1": everything["macro_f1"],
        "ece": report.calibration[0]["ece"],
    }


def as_json(report: Report) -> dict[str, Any]:
    return {
        "split": report.split,
        "rows": report.rows,
        "calibration": report.calibration,
        "robustness": report.robustness,
    }


def evaluate(
    predict: Predict,
    contract: Contract,
    samples: Sequence[Sample],
    split: str,
    cache: Path | None,
    robust: bool,
    min_side_px: int = 24,
) -> Report:
    """All tables for these faces (those of min_side_px and more)."""
    kept = [s for s in samples if s.side_px >= min_side_px]
    if not kept:
        raise ConfigError(f"split {split} has no face of {min_side_px} px and more")
    crops = exact_crops(kept, contract.size, contract.margin, cache)
    truth = contract.indices(kept)
    p = calibrated(predict(crops), contract.temperature)
    rows = [row for name, mask in _slices(kept) for row in [_row(name, truth[mask], p[mask], contract)] if row]
    calibration = [_calibration(name, truth[mask], p[mask], contract) for name, mask in _sets(kept) if mask.any()]
    robustness = _robustness(predict, contract, kept, crops, truth) if robust else []
    report = Report(split, rows, calibration, robustness)
    return Report(split, rows, calibration, robustness, markdown(as_json(report), contract.labels))


def calibrated(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    return softened(np.log(np.clip(probabilities.astype(np.float64), 1e-7, 1)), temperature)


def of_complete_sets(samples: Sequence[Sample], labels: Sequence[str]) -> NDArray[np.bool_]:
    """Which faces (n,) are of sets that label every class: elsewhere a badly worn mask hides among the others.

    All, where there is no such set.
    """
    complete = {name for name in {s.set for s in samples} if {s.label for s in samples if s.set == name} == set(labels)}
    return np.array([s.set in complete or not complete for s in samples])


def _sets(samples: Sequence[Sample]) -> list[tuple[str, NDArray[np.bool_]]]:
    names = sorted({s.set for s in samples})
    return [("all", np.ones(len(samples), bool)), *((n, np.array([s.set == n for s in samples])) for n in names)]


def _slices(samples: Sequence[Sample]) -> list[tuple[str, NDArray[np.bool_]]]:
    sides = np.array([s.side_px for s in samples])
    out = []
    for name, mask in _sets(samples):
        out.append((name, mask))
        out += [(f"{name}, {size} px", mask & (sides >= low) & (sides < high)) for size, low, high in SIZES]
    return out


def _row(name: str, truth: NDArray[np.int64], p: NDArray[np.float32], contract: Contract) -> dict[str, Any] | None:
    if not len(truth):
        return None
    classes, found = len(contract.labels), p.argmax(1)
    table = confusion(truth, found, classes)
    pairs = np.stack([truth, found], 1)
    row: dict[str, Any] = {"of": name, "n": len(truth), "confusion": table.tolist()}
    row["accuracy"] = float((truth == found).mean())
    row["accuracy_interval"] = bootstrap(pairs, lambda r: (r[:, 0] == r[:, 1]).mean(), ROUNDS)
    row["macro_f1"] = macro_f1(truth, found, classes)
    row["macro_f1_interval"] = bootstrap(pairs, lambda r: macro_f1(r[:, 0], r[:, 1], classes), ROUNDS)
    for index, label in enumerate(contract.labels):
        if not (truth == index).any():
            continue
        precision, recall, f1 = per_class(table)[index]
        mine = pairs[truth == index]
        low_high = bootstrap(mine, lambda r, i=index: (r[:, 1] == i).mean(), ROUNDS)
        precisions = bootstrap(pairs, lambda r, i=index: per_class(confusion(r[:, 0], r[:, 1], classes))[i, 0], ROUNDS)
        f1s = bootstrap(pairs, lambda r, i=index: per_class(confusion(r[:, 0], r[:, 1], classes))[i, 2], ROUNDS)
        row[label] = {
            "n": len(mine),
            "precision": float(precision),
            "precision_interval": precisions,
            "recall": float(recall),
            "recall_interval": low_high,
            "f1": float(f1),
            "f1_interval": f1s,
        }
    return row


def _calibration(name: str, truth: NDArray[np.int64], p: NDArray[np.float32], contract: Contract) -> dict[str, Any]:
    before = calibrated(p, 1 / contract.temperature)  # the temperature undone
    sure, right = p.max(1), p.argmax(1) == truth
    certain = sure >= contract.certain
    rows = np.arange(len(truth))
    return {
        "of": name,
        "n": len(truth),
        "ece_before": ece(before, truth),
        "ece": ece(p, truth),
        "ece_interval": bootstrap(rows, lambda r: ece(p[r], truth[r]), 300),
        "coverage": float(certain.mean()),
        "risk": float((~right[certain]).mean()) if certain.any() else 0.0,
        "coverage_at_1_percent_risk": threshold_at_risk(p, truth, 0.01).coverage,
    }


def _robustness(
    predict: Predict, contract: Contract, samples: Sequence[Sample], crops: U8, truth: NDArray[np.int64]
) -> list[dict[str, Any]]:
    full = of_complete_sets(samples, contract.labels)
    crops, truth = crops[full], truth[full]
    out = []
    for name, strength, disturb in [("none", "", lambda x: x), *disturbances()]:
        p = calibrated(predict(np.stack([disturb(x) for x in crops])), contract.temperature)
        table = confusion(truth, p.argmax(1), len(contract.labels))
        recalls = dict(zip(contract.labels, per_class(table)[:, 1].tolist(), strict=True))
        out.append(
            {
                "disturbance": name,
                "strength": strength,
                "n": len(truth),
                "accuracy": float((p.argmax(1) == truth).mean()),
                "macro_f1": macro_f1(truth, p.argmax(1), len(contract.labels)),
                "recall": recalls,
                "ece": ece(p, truth),
            }
        )
    return out


def _log(folder: Path, report: Report) -> None:
    """The figures to the MLflow run that is measured."""
    figures = {}
    for row in report.rows:
        name = row["of"].replace(",", "").replace(" ", "_")
        for figure in ("accuracy", "macro_f1"):
            figures[f"{report.split}_{name}_{figure}"] = row[figure]
    log_to_run("evaluate", folder, figures, [folder / f"report-{report.split}.json"], "reports")
