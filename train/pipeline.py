"""From a configuration to a trained, calibrated, recorded classifier."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ConfigError, NotFoundError
from train import tracking
from train.banks import Banks
from train.config import TrainConfig
from train.crops import exact_crops
from train.data import Dataset, Sample, load
from train.draws import Views
from train.evaluate import of_complete_sets
from train.faces import regions
from train.files import atomic_path, write_atomically, write_json
from train.models import Network, build, describe, first_open, load_weights, parameters
from train.phases import predict, train_phase
from train.scores import confusion, ece, fit_temperature, macro_f1, per_class, softened, threshold_at_risk


@dataclass(frozen=True, slots=True)
class RunResult:
    """run_id: MLflow's id, "" where tracking is off. folder: holds model.keras, model.json, val_predictions.npz."""

    run_id: str
    folder: Path
    metrics: dict[str, float]


def train(
    config: TrainConfig,
    track: bool = True,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    parent_run_id: str = "",
) -> RunResult:
    """Train as configured; called again after a kill, goes on where it stopped.

    on_epoch: called with each row of the history; may raise to stop (a search's pruning).
    """
    use_threads(config.threads)
    keras.utils.set_random_seed(config.seed)
    dataset = load(config.dataset)
    if len(dataset.labels) < 2:
        raise ConfigError(f"{config.dataset}: labels has one class; a classifier needs two and more")
    samples = chosen(dataset, config)
    folder = config.runs / f"{config.name}-{config.digest()}-{dataset.data_sha256[:6]}"
    write_json(folder / "config.json", config.model_dump(mode="json"))
    if (folder / "model.json").is_file():
        book = json.loads((folder / "model.json").read_text())
        # a kill may have come between the model and the last of its records
        if not track or tracking.is_finished(book["mlflow_run_id"]):
            return RunResult(book["mlflow_run_id"], folder, book["metrics"])
    val = [s for s in dataset.of("val") if s.side_px >= config.report_side_px]
    if not val:
        raise ConfigError(
            f"no validation face of {config.report_side_px} px and more; check the split, or report_side_px"
        )
    network = build(config.model, len(dataset.labels))
    for phase in config.phase:
        first_open(network.backbone, phase)  # a layer that is not there is told before the first phase, not after
    if config.start_from:
        start_from(network, Path(config.start_from))
    run = tracking.open_run(config, dataset, folder, parent_run_id) if track else tracking.Nothing()
    _run_phases(network, config, dataset, samples, val, folder, run, on_epoch)
    metrics = finish(network, config, dataset, val, folder, run)
    return RunResult(run.run_id, folder, metrics)


def use_threads(count: int) -> None:
    """Bound TensorFlow's threads before its first operation; other backends have variables of their own."""
    if count and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        try:
            tf.config.threading.set_intra_op_parallelism_threads(count)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            print("train: the number of threads is fixed once TensorFlow has run", file=sys.stderr)


def chosen(dataset: Dataset, config: TrainConfig) -> list[Sample]:
    """Training faces: large enough, put right or left out by the lists. Raises where a class is left without any."""
    out = set(listed("exclude", Path(config.exclude), "id")) if config.exclude else set()
    right = listed("relabel", Path(config.relabel), "id", "label") if config.relabel else {}
    if strange := {row["label"] for row in right.values()} - set(dataset.labels):
        raise ConfigError(f"{config.relabel} has the label {min(strange)!r}; give one of {', '.join(dataset.labels)}")
    if lost := right.keys() - {s.id for s in dataset.of("train")}:
        raise ConfigError(f"{config.relabel} names {min(lost)}, which is no face of the training split")
    found = [
        replace(s, label=right[s.id]["label"]) if s.id in right else s
        for s in dataset.of("train")
        if s.side_px >= config.min_side_px and s.weight > 0 and (s.id in right or s.id not in out)
    ]
    missing = set(dataset.labels) - {s.label for s in found}
    if missing:
        raise ConfigError(
            f"no face of class {sorted(missing)[0]} is left to train on; look at min_side_px ({config.min_side_px}), "
            "at `exclude`, and at the weights of the sets"
        )
    return found


def listed(key: str, path: Path, *columns: str) -> dict[str, dict[str, str]]:
    """The rows of a CSV file with at least those columns, such as check-data's findings.csv, by their `id`."""
    wanted = " and ".join(f"`{column}`" for column in columns)
    if not path.is_file():
        raise NotFoundError(f"no file {path}; set `{key}` to a CSV file with {wanted} as columns, or leave it out")
    found: dict[str, dict[str, str]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # as a spreadsheet writes it
            rows = csv.DictReader(file)
            if lacking := set(columns) - set(rows.fieldnames or ()):
                raise ConfigError(f"{path} has no column `{min(lacking)}`; `{key}` reads {wanted}")
            for row in rows:
                if empty := [column for column in columns if not row[column]]:
                    raise ConfigError(
                        f"{path}, line {rows.line_num}: `{empty[0]}` is empty; fill it, or remove the line"
                    )
                if found.setdefault(row["id"], row) != row and len(columns) > 1:
                    raise ConfigError(f"{path}, line {rows.line_num}: {row['id']} is there twice; keep one of them")
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} is no CSV file in UTF-8: {error}") from None
    return found


def start_from(network: Network, path: Path) -> None:
    """Weights of an earlier run, of the same architecture: a .keras file or an .npz of model variables."""
    if path.suffix != ".npz":
        load_weights(network.model, path, "start_from")
        return
    from train.phases import load_variables

    if not path.is_file():
        raise NotFoundError(f"no file {path}; set start_from to a .keras, .weights.h5 or .npz file")
    load_variables(path, network.model.variables)


def _run_phases(
    network: Network,
    config: TrainConfig,
    dataset: Dataset,
    samples: list[Sample],
    val: list[Sample],
    folder: Path,
    run: Any,
    on_epoch: Any,
) -> None:
    store = regions(samples, config.cache, Path(config.landmarks_model) if config.landmarks_model else None)
    views = Views(samples, store, dataset.labels, config)
    pictures = exact_crops(val, config.model.input_size_px, config.crop_margin, config.cache)
    truth = indices(val, dataset.labels)
    weights = class_weights(samples, dataset.labels) if config.balance.method in ("class_weights", "smote") else None
    began = time.monotonic()

    def report(row: dict[str, Any]) -> None:
        took = time.monotonic() - began
        print(
            f"{row['phase']:>8} {row['epoch'] + 1:3d}  loss {row['loss']:.4f}  val loss {row['val_loss']:.4f}  "
            f"val accuracy {row['val_accuracy']:.4f}  val macro-F1 {row['val_macro_f1']:.4f}  {took:6.0f} s",
            flush=True,
        )
        run.epoch(row)
        if on_epoch:
            on_epoch(row)

    for number, phase in enumerate(config.phase):

        def banks_for(halves: Any, phase: Any = phase) -> Banks:
            key = json.dumps([dataset.data_sha256, views.key(), halves.cut, checksum(halves.front)])
            return Banks(views, halves.front, config.cache, key)

        train_phase(network, config, number, banks_for, (pictures, truth), folder, weights, report)


def checksum(model: keras.Model) -> float:
    """A number that changes when the weights do: part of a bank's name."""
    return round(float(sum(np.abs(keras.ops.convert_to_numpy(w)).sum(dtype=np.float64) for w in model.weights)), 3)


def indices(samples: list[Sample], labels: tuple[str, ...]) -> NDArray[np.int64]:
    return np.array([labels.index(s.label) for s in samples], np.int64)


def class_weights(samples: list[Sample], labels: tuple[str, ...]) -> NDArray[np.float32]:
    """n / (classes * n of the class): scikit-learn's `balanced`."""
    counts = np.bincount(indices(samples, labels), minlength=len(labels))
    return np.asarray(counts.sum() / (len(labels) * np.maximum(counts, 1)), np.float32)


def finish(
    network: Network, config: TrainConfig, dataset: Dataset, val: list[Sample], folder: Path, run: Any
) -> dict[str, float]:
    """Calibrate on validation, write the run folder's files (model.json last), close the tracked run."""
    labels = dataset.labels
    pictures = exact_crops(val, config.model.input_size_px, config.crop_margin, config.cache)
    raw, truth = predict(network.model, pictures), indices(val, labels)
    full = of_complete_sets(val, labels)
    temperature = fit_temperature(raw[full], truth[full])
    p = softened(np.log(np.clip(raw.astype(np.float64), 1e-7, 1)), temperature)
    at_risk = threshold_at_risk(p[full], truth[full], config.target_risk)
    table = confusion(truth[full], p[full].argmax(1), len(labels))
    metrics = {
        "val_faces": float(full.sum()),
        "val_accuracy": float((p[full].argmax(1) == truth[full]).mean()),
        "val_macro_f1": macro_f1(truth[full], p[full].argmax(1), len(labels)),
        "val_ece_before": ece(raw[full], truth[full]),
        "val_ece": ece(p[full], truth[full]),
        "val_coverage": at_risk.coverage,
        "val_coverage_at_1_percent_risk": threshold_at_risk(p[full], truth[full], 0.01).coverage,
    }
    metrics |= {f"val_recall_{label}": float(per_class(table)[i, 1]) for i, label in enumerate(labels)}
    with write_atomically(folder / "val_predictions.npz") as out:
        np.savez(
            out,
            ids=np.array([s.id for s in val]),
            groups=np.array([s.group for s in val]),
            truth=truth,
            probabilities=raw,
            labels=np.array(labels),
        )
    with atomic_path(folder / "model.keras") as partial:
        network.model.save(partial)
    history = json.loads((folder / "history.json").read_text())
    write_json(
        folder / "model.json",
        {
            "schema": 1,
            "labels": list(labels),
            **describe(config.model),
            "crop_margin": config.crop_margin,
            "temperature": temperature,
            "thresholds": dict.fromkeys(labels, at_risk.threshold),
            "metrics": metrics,
            "parameters": parameters(network.model),
            "epochs": len(history),
            "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "mlflow_run_id": run.run_id,
            "seed": config.seed,
            "data": {
                "data_sha256": dataset.data_sha256,
                "split_sha256": dataset.split_sha256,
                "sets": sorted({s.set for s in dataset.of("train")}),
                "train_faces": len(chosen(dataset, config)),
                "val_faces": len(val),
            },
        },
    )
    run.finish(folder, metrics, config, table, (pictures, truth, p), val, labels)
    return metrics
