"""The training loop: resumable, over a stated number of steps, with an average of the weights that is what ships."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from edge_agent.records import F32
from train.detector.losses import detection_loss
from train.detector.optimizer import ChannelScaledAdamW
from train.detector.pointwise import with_products
from train.files import atomic_path, write_atomically

_WARM_UP_STEPS = 200
_LAST_RATE = 0.02  # of the peak
_AVERAGE_EVERY_STEPS = 4
_AVERAGE_MOMENTUM = 0.98  # over about 50 * 4 steps
_CLIP_NORM = 10.0

Report = Callable[[int, dict[str, float]], None]


class TrainableDetector(keras.Model):
    """What is trained of the network, with its loss, for `train_on_batch`; works with any Keras backend."""

    def __init__(self, network: keras.Model, sure_iou: float) -> None:
        super().__init__()
        self.network = network
        self.sure_iou = sure_iou
        self.score_loss = keras.metrics.Mean(name="score_loss")
        self.box_loss = keras.metrics.Mean(name="box_loss")

    def call(self, images: Any) -> Any:
        return self.network(images)

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any) -> Any:
        score, box = detection_loss(y_pred, y, self.sure_iou)
        self.score_loss.update_state(score)
        self.box_loss.update_state(box)
        return score + box


class Training:
    """State that survives a stop: weights, their average, the optimiser's moments, steps done."""

    def __init__(
        self,
        network: keras.Model,
        trained: keras.Model,
        rate: float,
        folder: Path,
        relative: bool = False,
        sure_iou: float = 1.0,
    ) -> None:
        """trained: the part of the network that the batches feed and that learns. relative: the rate is a share of
        each channel's size. sure_iou: see `detection_loss`."""
        self.network = network
        self.rate = rate
        self.folder = folder
        self.model = TrainableDetector(with_products(trained), sure_iou)
        optimizer = ChannelScaledAdamW if relative else keras.optimizers.AdamW
        self.optimizer = optimizer(rate, weight_decay=1e-4, global_clipnorm=_CLIP_NORM)
        self.model.compile(optimizer=self.optimizer, jit_compile=False)
        self.average = [np.array(w) for w in network.get_weights()]
        self.step, self.pictures = 0, 0

    def run(self, batches: Iterator[tuple[F32, F32]], steps: int, report: Report, report_every: int) -> None:
        """Train until `steps` in all are done, earlier runs counted in; report and save every `report_every` steps."""
        while self.step < steps:
            started, first = time.monotonic(), self.step
            sums: dict[str, float] = {}
            until = min(steps, (self.step // report_every + 1) * report_every)
            while self.step < until:
                images, labels = next(batches)
                self._set_rate(self.step / steps)
                for name, value in self.model.train_on_batch(images, labels, return_dict=True).items():
                    sums[name] = sums.get(name, 0.0) + float(value)
                self.model.reset_metrics()  # a batch's own figures: Keras would give means of means
                self.step, self.pictures = self.step + 1, self.pictures + len(images)
                if self.step % _AVERAGE_EVERY_STEPS == 0:
                    self._update_average()
            figures = {name: value / (self.step - first) for name, value in sums.items()}
            figures["pictures_per_s"] = (self.step - first) * len(images) / (time.monotonic() - started)
            figures["learning_rate"] = float(keras.ops.convert_to_numpy(self.optimizer.learning_rate))
            self.save()
            report(self.step, figures)

    def save(self) -> None:
        """Write everything needed to go on, then put it in place at once."""
        arrays = {f"w{i}": w for i, w in enumerate(self.network.get_weights())}
        arrays |= {f"a{i}": w for i, w in enumerate(self.average)}
        arrays |= {f"o{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(self.optimizer.variables)}
        state = {"step": self.step, "pictures": self.pictures}
        with write_atomically(self.folder / "checkpoint.npz") as out:
            np.savez(out, state=json.dumps(state), **arrays)
        self.save_average(self.folder / "average.weights.h5")

    def save_average(self, path: Path) -> None:
        """Write the averaged weights, which are what is evaluated and shipped."""
        current = self.network.get_weights()
        self.network.set_weights(self.average)
        try:
            with atomic_path(path) as partial:
                self.network.save_weights(partial)
        finally:
            self.network.set_weights(current)

    def resume(self) -> bool:
        """Go on from the folder's checkpoint; False where there is none. A changed freeze resets the moments."""
        path = self.folder / "checkpoint.npz"
        if not path.is_file():
            return False
        with np.load(path) as stored:
            state = json.loads(str(stored["state"]))
            self.step, self.pictures = state["step"], state["pictures"]
            count = len(self.average)
            self.network.set_weights([stored[f"w{i}"] for i in range(count)])
            self.average = [stored[f"a{i}"] for i in range(count)]
            self.optimizer.build(self.model.trainable_variables)
            moments = [stored[name] for name in stored.files if name.startswith("o")]
            same = len(moments) == len(self.optimizer.variables) and all(
                m.shape == tuple(v.shape) for m, v in zip(moments, self.optimizer.variables, strict=True)
            )
            if same:
                for variable, moment in zip(self.optimizer.variables, moments, strict=True):
                    variable.assign(moment)
        return True

    def _set_rate(self, progress: float) -> None:
        warm = min(1.0, (self.step + 1) / _WARM_UP_STEPS)
        cosine = _LAST_RATE + (1 - _LAST_RATE) * 0.5 * (1 + math.cos(math.pi * progress))
        self.optimizer.learning_rate = self.rate * warm * cosine

    def _update_average(self) -> None:
        # a short memory at first, so that the average does not remember the start
        momentum = min(_AVERAGE_MOMENTUM, (1 + self.step) / (40 + self.step))
        for mean, now in zip(self.average, self.network.get_weights(), strict=True):
            mean *= momentum
            mean += (1 - momentum) * now
