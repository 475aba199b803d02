"""What a run's model said of the validation faces: kept with the run, so that comparing needs no model."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ModelError
from edge_agent.records import F32
from train.runs import stats

FILE = "val_predictions.npz"


@dataclass(frozen=True, slots=True)
class Predictions:
    """ids: SET/PICTURE#POSITION. truth: int64 (n,), an index into `labels`. probabilities: float32 (n, labels)."""

    labels: tuple[str, ...]
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    truth: NDArray[np.int64]
    probabilities: F32

    @property
    def called(self) -> NDArray[np.int64]:
        """The likeliest label of each face, int64 (n,)."""
        return self.probabilities.argmax(1) if len(self.ids) else np.zeros(0, np.int64)

    @property
    def sets(self) -> tuple[str, ...]:
        """The data set of each face."""
        return tuple(name.split("/", 1)[0] for name in self.ids)

    def full_sets(self) -> tuple[str, ...]:
        """Sets that label every class: only there a missing label means something. All sets, where none does."""
        names = tuple(dict.fromkeys(self.sets))
        of = np.array(self.sets)
        full = tuple(name for name in names if len(set(self.truth[of == name].tolist())) == len(self.labels))
        return full or names

    def matrices(self, only: Collection[str] | None = None) -> stats.F64:
        """A confusion matrix for each group, of some sets where they are named."""
        at = [i for i, name in enumerate(self.sets) if only is None or name in only]
        groups = [self.groups[i] for i in at]
        return stats.by_group(self.truth[at].tolist(), self.called[at].tolist(), groups, len(self.labels))

    def taken(self, ids: Sequence[str]) -> Predictions:
        """These faces, in this order."""
        place = {name: i for i, name in enumerate(self.ids)}
        at = [place[name] for name in ids]
        return Predictions(
            self.labels, tuple(ids), tuple(self.groups[i] for i in at), self.truth[at], self.probabilities[at]
        )


def load(path: Path) -> Predictions:
    """The file that a training writes; refuses one that is something else."""
    try:
        with np.load(path, allow_pickle=False) as book:
            labels, ids = (tuple(str(v) for v in book[name]) for name in ("labels", "ids"))
            # A photograph is a group of its own where the file does not know of near-duplicates.
            groups = (
                tuple(str(v) for v in book["groups"]) if "groups" in book else tuple(i.rsplit("#", 1)[0] for i in ids)
            )
            truth, probabilities = book["truth"].astype(np.int64), book["probabilities"].astype(np.float32)
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} holds no predictions: {error}; train the run again") from error
    if not len(truth) == len(ids) == len(groups) or probabilities.shape != (len(ids), len(labels)):
        raise ModelError(
            f"{path}: shapes disagree: {len(ids)} faces, {len(truth)} labels, probabilities {probabilities.shape}"
        )
    return Predictions(labels, ids, groups, truth, probabilities)


def aligned(first: Predictions, second: Predictions) -> tuple[Predictions, Predictions]:
    """The faces both saw, in one order; refuses labels or truths that differ."""
    if first.labels != second.labels:
        raise ModelError(
            f"labels differ: {', '.join(first.labels)} against {', '.join(second.labels)}; nothing to compare"
        )
    seen = set(second.ids)
    shared = [name for name in first.ids if name in seen]
    if not shared:
        raise ModelError("the two runs share no validation face; compare runs that were trained on the same split")
    ours, theirs = first.taken(shared), second.taken(shared)
    if not np.array_equal(ours.truth, theirs.truth):
        raise ModelError("the two runs were judged by different labels; train both on the data as it is now")
    return ours, theirs
