"""Training the branch on maps that the frozen backbone made once, and where its two thresholds lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge_agent.records import F32
from train.banks import run_front
from train.face.examples import Examples, jittered

_AT_ONCE = 256
_LABEL_SMOOTHING, _WEIGHT_DECAY = 0.05, 1e-3


@dataclass(frozen=True, slots=True)
class Maps:
    """maps: float16 (views * n, rows, columns, channels), view by view; faces, weights: (views * n,)."""

    maps: NDArray[np.float16]
    faces: F32
    weights: F32

    @classmethod
    def of(cls, front: keras.Model, examples: Examples, views: int, rng: Generator | None) -> Maps:
        """The first view is the crop as it is, the others are jittered by `rng`."""
        rows: list[NDArray[np.float16]] = []
        for view in range(views):
            for at in range(0, len(examples), _AT_ONCE):
                crops = examples.crops[at : at + _AT_ONCE]
                seen = jittered(crops, rng) if view and rng is not None else crops
                rows.append(run_front(front, seen))
        faces = np.tile(examples.faces.astype(np.float32), views)
        return cls(np.concatenate(rows), faces, np.tile(examples.weights(), views))

    def answers(self, branch: keras.Model) -> F32:
        """The branch's probability of a face for each, (views * n,)."""
        parts = [
            branch(self.maps[at : at + _AT_ONCE].astype(np.float32), training=False)
            for at in range(0, len(self.maps), _AT_ONCE)
        ]
        return np.concatenate([np.asarray(keras.ops.convert_to_numpy(part))[:, 0] for part in parts])


def fit(branch: keras.Model, maps: Maps, epochs: int, rate: float, batch: int, rng: Generator) -> Iterator[float]:
    """Train; the mean loss of each epoch as it ends."""
    steps = -(-len(maps.maps) // batch)
    falling = keras.optimizers.schedules.CosineDecay(rate, epochs * steps)
    branch.compile(
        keras.optimizers.AdamW(falling, weight_decay=_WEIGHT_DECAY),
        keras.losses.BinaryCrossentropy(label_smoothing=_LABEL_SMOOTHING),
    )
    for _ in range(epochs):
        order, losses = rng.permutation(len(maps.maps)), []
        for at in range(0, len(order), batch):
            rows = np.sort(order[at : at + batch])
            faces = maps.faces[rows, None]
            losses.append(
                branch.train_on_batch(maps.maps[rows].astype(np.float32), faces, sample_weight=maps.weights[rows])
            )
            branch.reset_metrics()
        yield float(np.mean(losses))


def thresholds(answers: F32, examples: Examples, score: float, lost: float, unsure: float) -> dict[str, float]:
    """Below `none_below` there is no face, from `sure_from` on there surely is one.

    Of the faces that the detector finds at its own `score`, shares of `lost` and `unsure` lie below them.
    Beside them what they come to: numbers of boxes without a face, at that score and at half of it, and of faces.
    """
    seen = examples.faces & (examples.scores >= score)
    none_below, sure_from = (float(np.quantile(answers[seen], share)) for share in (lost, unsure))
    none_below = min(round(none_below, 3), 0.999)  # what is counted below is what the device will leave out
    found = {"none_below": none_below, "sure_from": round(min(max(sure_from, none_below + 0.05), 1.0), 3)}
    for name, least in (("own_score", score), ("half_score", score / 2)):
        rows = ~examples.faces & (examples.scores >= least)
        found[f"boxes_without_face_{name}"] = float(rows.sum())
        found[f"of_them_none_{name}"] = float((answers[rows] < none_below).sum())
    found |= {"faces": float(seen.sum()), "faces_none": float((answers[seen] < none_below).sum())}
    return found
