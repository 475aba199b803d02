"""The figures of a run: history with its phase boundary, confusion matrix, PR curves, reliability, worst mistakes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from train.data import Sample
from train.files import atomic_path
from train.scores import ece


def draw_all(
    folder: Path, table: Any, found: tuple[Any, Any, Any], val: Sequence[Sample], labels: Sequence[str]
) -> list[Path]:
    """Draw and save every figure into the run folder; their paths."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    pictures, truth, p = found
    with np.load(folder / "val_predictions.npz") as kept:
        raw = kept["probabilities"]
    book = json.loads((folder / "model.json").read_text())
    makers = {
        "history.png": lambda f: _history(f, json.loads((folder / "history.json").read_text())),
        "confusion.png": lambda f: _confusion(f, np.asarray(table), labels),
        "precision_recall.png": lambda f: _precision_recall(f, truth, p, labels),
        "reliability.png": lambda f: _reliability(f, truth, p, raw),
        "risk_coverage.png": lambda f: _risk_coverage(f, truth, p, book),
        "mistakes.png": lambda f: _mistakes(f, pictures, truth, p, val, labels),
    }
    out = []
    for name, make in makers.items():
        figure = Figure(figsize=(8, 5), layout="constrained")
        make(figure)
        with atomic_path(folder / name) as partial:
            figure.savefig(partial, dpi=110)
        out.append(folder / name)
    return out


def _history(figure: Any, rows: list[dict[str, Any]]) -> None:
    axes = figure.subplots(1, 2)
    steps = range(1, len(rows) + 1)
    for ax, keys in zip(axes, (("loss", "val_loss"), ("accuracy", "val_accuracy", "val_macro_f1")), strict=True):
        for key in keys:
            ax.plot(steps, [row[key] for row in rows], label=key.replace("_", " "))
        for at in range(1, len(rows)):
            if rows[at]["phase"] != rows[at - 1]["phase"]:
                ax.axvline(at + 0.5, color="grey", linestyle="--", linewidth=1)
                ax.annotate(rows[at]["phase"], (at + 0.6, ax.get_ylim()[0]), fontsize=8, color="grey")
        ax.set_xlabel("epoch")
        ax.legend(fontsize=8)


def _confusion(figure: Any, table: Any, labels: Sequence[str]) -> None:
    ax = figure.subplots()
    share = table / np.maximum(1, table.sum(1, keepdims=True))
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(labels)):
        for column in range(len(labels)):
            ink = "white" if share[row, column] > 0.5 else "black"
            ax.text(column, row, str(table[row, column]), ha="center", va="center", color=ink)
    ax.set_xticks(range(len(labels)), labels, rotation=15)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_xlabel("predicted")
    ax.set_ylabel("true")


def _precision_recall(figure: Any, truth: Any, p: Any, labels: Sequence[str]) -> None:
    ax = figure.subplots()
    for index, label in enumerate(labels):
        order = np.argsort(-p[:, index])
        hits = np.cumsum(truth[order] == index)
        if hits[-1]:
            ax.plot(hits / hits[-1], hits / np.arange(1, len(hits) + 1), label=label)
    ax.set_xlabel("recall")
    ax.set_ylabel("precision")
    ax.legend()


def _reliability(figure: Any, truth: Any, p: Any, raw: Any) -> None:
    """Over 15 bins, before and after the temperature; how many faces a bin holds stands beside its point."""
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1], color="grey", linestyle="--")
    for name, found, marker in (("before", raw, "x"), ("after", p, "o")):
        sure, right = found.max(1), found.argmax(1) == truth
        place = np.minimum((sure * 15).astype(int), 14)
        used = [b for b in range(15) if (place == b).any()]
        points = [(sure[place == b].mean(), right[place == b].mean()) for b in used]
        ax.plot(*np.transpose(points), marker=marker, label=f"{name} the temperature, ECE {ece(found, truth):.3f}")
        for b, point in zip(used, points, strict=True):
            ax.annotate(str(int((place == b).sum())), point, fontsize=7)
    ax.set_xlabel("probability of the top class")
    ax.set_ylabel("share that is right")
    ax.legend()


def _risk_coverage(figure: Any, truth: Any, p: Any, book: dict[str, Any]) -> None:
    """Errors among the certain readings over the share that is certain, with the threshold in use."""
    ax = figure.subplots()
    sure = p.max(1)
    order = np.argsort(-sure, kind="stable")
    count = np.arange(1, len(truth) + 1)
    risk = np.cumsum(p.argmax(1)[order] != truth[order]) / count
    ax.plot(count / len(truth), risk)
    threshold = max(book["thresholds"].values())
    ax.axvline((sure >= threshold).mean(), color="grey", linestyle="--", label=f"certain from {threshold:.3f} on")
    ax.axhline(0.01, color="grey", linewidth=0.7, label="1 % risk")
    ax.set_xlabel("coverage")
    ax.set_ylabel("risk")
    ax.legend()


def _mistakes(
    figure: Any, pictures: Any, truth: Any, p: Any, val: Sequence[Sample], labels: Sequence[str], most: int = 32
) -> None:
    wrong = np.flatnonzero(p.argmax(1) != truth)
    wrong = wrong[np.argsort(-p[wrong].max(1))][:most]
    axes = figure.subplots(4, 8).ravel()
    for ax in axes:
        ax.axis("off")
    for ax, at in zip(axes, wrong, strict=False):
        ax.imshow(pictures[at])
        ax.set_title(f"{labels[truth[at]][:12]}\n> {labels[int(p[at].argmax())][:12]} {p[at].max():.2f}", fontsize=5)
