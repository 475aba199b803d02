"""The training loop: resumable, over a stated number of steps, with an average of the weights that is what ships."""

from __future__ import annotations

import json
import math
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from edge_agent.errors import ConfigError
from edge_agent.records import F32
from export.source import DETECTOR_WEIGHTS
from train.detector.losses import detection_loss
from train.detector.optimizer import ChannelScaledAdamW
from train.detector.pointwise import with_products
from train.files import atomic_path, require_room, write_atomically

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
        settings: dict[str, Any] | None = None,
    ) -> None:
        """trained: the part of the network that the batches feed and that learns. relative: the rate is a share of
        each channel's size. sure_iou: see `detection_loss`. settings: a run is gone on with under the same alone."""
        self.network = network
        self.rate = rate
        self.folder = folder
        self.settings = json.loads(json.dumps(settings or {}))  # as a checkpoint gives them back
        self.model = TrainableDetector(with_products(trained), sure_iou)
        optimizer = ChannelScaledAdamW if relative else keras.optimizers.AdamW
        self.optimizer = optimizer(rate, weight_decay=1e-4, global_clipnorm=_CLIP_NORM)
        self.model.compile(optimizer=self.optimizer, jit_compile=False)
        self.average = [np.array(w) for w in network.get_weights()]
        self.step, self.pictures = 0, 0

    def run(self, batches: Iterator[tuple[F32, F32]], steps: int, report: Report, report_every: int) -> None:
        """Train until `steps` in all are done, earlier runs counted in; report and save every `report_every` steps.

        Raises ConfigError where the loss is no number any more; what was saved before stays.
        """
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
                if not math.isfinite(sum(sums.values())):
                    raise ConfigError(
                        f"the loss is no number at step {self.step}; lower the rate. "
                        f"{self.folder} keeps what was saved before"
                    )
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
        state = {"step": self.step, "pictures": self.pictures, "settings": self.settings}
        with write_atomically(self.folder / "checkpoint.npz") as out:
            np.savez(out, state=json.dumps(state), **arrays)
        self.save_average(self.folder / DETECTOR_WEIGHTS)

    def save_average(self, path: Path) -> None:
        """Write the averaged weights, which are what is evaluated and shipped."""
        require_room(path, 2 * sum(w.nbytes for w in self.average) + 1_000_000)  # HDF5 keeps an index of as much again
        current = self.network.get_weights()
        self.network.set_weights(self.average)
        try:
            with atomic_path(path) as partial:
                self.network.save_weights(partial)
        finally:
            self.network.set_weights(current)

    def resume(self) -> bool:
        """Go on from the folder's checkpoint; False where there is none.

        Raises ConfigError where it is damaged, or was made with other settings or for another network.
        """
        path = self.folder / "checkpoint.npz"
        if not path.is_file():
            return False
        go_on = f"give another --run, or start one from {self.folder / DETECTOR_WEIGHTS} with --start"
        try:
            with np.load(path) as stored:
                arrays = {name: stored[name] for name in stored.files}
            state = json.loads(str(arrays["state"]))
            step, pictures, settings = int(state["step"]), int(state["pictures"]), dict(state["settings"])
        except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
            raise ConfigError(f"{path} is damaged ({reason}); {go_on}") from error
        if other := [key for key, value in self.settings.items() if settings.get(key) != value]:
            raise ConfigError(f"{path} was made with another {', '.join(other)}; {go_on}")
        self.optimizer.build(self.model.trainable_variables)
        moments = self.optimizer.variables
        whole = [arrays.get(f"{kind}{i}") for kind in "wa" for i in range(len(self.average))]
        kept = [arrays.get(f"o{i}") for i in range(len(moments))]
        shapes = [*(mean.shape for mean in self.average * 2), *(tuple(moment.shape) for moment in moments)]
        if [None if array is None else array.shape for array in whole + kept] != shapes:
            raise ConfigError(f"{path} is of another network; {go_on}")
        self.step, self.pictures = step, pictures
        self.network.set_weights(whole[: len(self.average)])
        self.average = whole[len(self.average) :]
        for moment, value in zip(moments, kept, strict=True):
            moment.assign(value)
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
