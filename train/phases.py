"""The phases of a training, each on cached features, resumable after every epoch."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ConfigError
from train.banks import Bank, Banks, run_front
from train.config import PhaseConfig, TrainConfig
from train.files import write_atomically, write_json
from train.models import Network, halve
from train.scores import macro_f1

Features = NDArray[np.float16]
Row = dict[str, Any]
WARM_UP_STEPS = 80
LAST = "last.npz"  # what a killed training goes on from


class Batches(keras.utils.PyDataset):
    """Shuffled batches of one bank after the other; with mixup where asked."""

    def __init__(
        self,
        banks: Banks,
        count: int,
        classes: int,
        config: TrainConfig,
        mixup: float,
        weights: NDArray[np.float32] | None,
        first: int,
    ) -> None:
        super().__init__(workers=1)
        self._banks, self._count, self._classes, self._config = banks, count, classes, config
        self._mixup = mixup
        # SMOTE makes points between neighbours: that means something among pooled features, not among feature maps
        self._smote = config.balance.method == "smote" and banks.get(0).features.ndim == 2
        self._weights = None if self._smote else weights
        self.epoch = first
        self._load()

    def _load(self) -> None:
        self._bank: Bank = self._banks.get(self.epoch % self._count)
        if self._smote:
            self._bank = smote(self._bank, self._config.seed)
        self._rng = np.random.default_rng([self._config.seed, 7, self.epoch])
        self._order = self._rng.permutation(len(self._bank.labels))

    def __len__(self) -> int:
        return max(1, len(self._bank.labels) // self._config.batch_size)

    def __getitem__(self, at: int) -> tuple[Any, ...]:
        size = self._config.batch_size
        rows = np.sort(self._order[at * size : (at + 1) * size])
        x = np.asarray(self._bank.features[rows], np.float32)
        y = np.eye(self._classes, dtype=np.float32)[self._bank.labels[rows]]
        weights = None if self._weights is None else self._weights[self._bank.labels[rows]]
        if self._mixup:
            share = np.maximum((s := self._rng.beta(self._mixup, self._mixup, len(x))), 1 - s).astype(np.float32)
            other = self._rng.permutation(len(x))
            shape = (-1, *[1] * (x.ndim - 1))
            x = x * share.reshape(shape) + x[other] * (1 - share.reshape(shape))
            y = y * share[:, None] + y[other] * (1 - share[:, None])
        return (x, y) if weights is None else (x, y, weights)

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self._load()


def smote(bank: Bank, seed: int) -> Bank:
    """The bank with its rarer classes filled up by SMOTE (Chawla et al. 2002), as imbalanced-learn does it."""
    from imblearn.over_sampling import SMOTE

    rarest = int(np.bincount(bank.labels).min())
    if rarest < 2:
        raise ConfigError("balance.method is smote, but a bank holds a class once or not at all; give another method")
    neighbours = min(5, rarest - 1)
    x, y = SMOTE(random_state=seed, k_neighbors=neighbours).fit_resample(bank.features.astype(np.float32), bank.labels)
    return Bank(np.asarray(x, np.float16), np.asarray(y, np.int64))


class Keeper(keras.callbacks.Callback):
    """After each epoch: validation scores, all that is needed to go on after a kill, and the best weights.

    It stands for EarlyStopping, ReduceLROnPlateau and ModelCheckpoint, whose counters a kill would lose: here they
    follow from the history.
    """

    def __init__(
        self,
        folder: Path,
        phase: int,
        config: PhaseConfig,
        history: list[Row],
        val: tuple[Features, NDArray[np.int64]],
        report: Any,
    ) -> None:
        super().__init__()
        self._folder, self._phase, self._config, self._history = folder, phase, config, history
        self._val, self._report = val, report

    @property
    def _mine(self) -> list[Row]:
        return rows_of(self._history, self._config)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Warm up over the first steps (a fresh optimiser's steps are rough), then follow the cosine."""
        steps = int(self.params["steps"])
        at = len(self._mine) * steps + batch
        if self._config.schedule == "cosine":
            total = steps * self._config.epochs
            wave = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * at / total))
            rise = min(1.0, (at + 1) / min(WARM_UP_STEPS, max(1, total // 10)))
            self.model.optimizer.learning_rate = self._config.learning_rate * wave * rise

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        x, y = self._val
        p = predict(self.model, x)
        picked = p[np.arange(len(y)), y]
        row = {
            "phase": self._config.name,
            "epoch": epoch,
            "at": len(self._history),
            "loss": float(logs["loss"]),
            "accuracy": float(logs["accuracy"]),
            "val_loss": float(-np.log(np.clip(picked, 1e-7, 1)).mean()),
            "val_accuracy": float((p.argmax(1) == y).mean()),
            "val_macro_f1": macro_f1(y, p.argmax(1), p.shape[1]),
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
        }
        if not (math.isfinite(row["loss"]) and math.isfinite(row["val_loss"])):
            raise ConfigError(
                f"phase {self._config.name}: the loss is no number in epoch {epoch + 1}; lower its learning_rate"
            )
        self._history.append(row)
        if self._config.schedule == "plateau":
            self._slow_down()
        # one file holds weights, optimiser and history, so that a kill leaves them of one epoch
        variables = [*self.model.variables, *self.model.optimizer.variables]
        save_variables(self._folder / LAST, variables, history=json.dumps(self._history))
        keep_best(self._folder, self._phase, self._mine, self.model.variables)
        write_json(self._folder / "history.json", self._history)
        self._report(row)

    def _slow_down(self) -> None:
        since = since_best(self._mine)
        if since and since % max(1, self._config.patience // 2) == 0:
            self.model.optimizer.learning_rate = (
                float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)) * 0.3
            )
        if ended(self._mine, self._config):
            self.model.stop_training = True


class WeightNoise(keras.callbacks.Callback):
    """Trains under what rounding to 8 bits will do: pseudo-quantisation noise (Defossez et al., TMLR 2022).

    Before a step each kernel is moved by up to `steps` / 2 steps of its channel's scale, and moved back after it, so
    that the gradient is that of a rounded network and the weights stay fine.
    """

    def __init__(self, steps: float, seed: int) -> None:
        super().__init__()
        self._steps, self._rng = steps, np.random.default_rng([seed, 11])
        self._moved: list[tuple[Any, NDArray[np.float32]]] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        for kernel in kernels(self.model):
            values = keras.ops.convert_to_numpy(kernel)
            scale = np.abs(values).max(channel_axes(values.shape), keepdims=True) * (self._steps / 127)
            noise = (self._rng.random(values.shape, np.float32) - np.float32(0.5)) * scale
            kernel.assign_add(noise)
            self._moved.append((kernel, noise))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        while self._moved:
            kernel, noise = self._moved.pop()
            kernel.assign_sub(noise)


def kernels(model: keras.Model) -> list[Any]:
    """Weights that export rounds and this model trains: of convolutions and dense layers."""
    return [v for v in model.trainable_variables if v.name == "kernel"]


def channel_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes that share a scale: all but the output channel's, which in a depthwise kernel (h, w, c, 1) is c."""
    channel = 2 if len(shape) == 4 and shape[3] == 1 else len(shape) - 1
    return tuple(axis for axis in range(len(shape)) if axis != channel)


def score(row: Row) -> float:
    """What the best epoch is chosen by: macro-F1, a little of the loss to break ties."""
    return float(row["val_macro_f1"]) - 0.05 * float(row["val_loss"])


def rows_of(history: list[Row], phase: PhaseConfig) -> list[Row]:
    return [row for row in history if row["phase"] == phase.name]


def since_best(rows: list[Row]) -> int:
    """Epochs after the best one; 0 where the last is the best."""
    return len(rows) - 1 - int(np.argmax([score(row) for row in rows]))


def ended(rows: list[Row], phase: PhaseConfig) -> bool:
    """All epochs done, or on a plateau nothing better for as many as `patience`."""
    waited = phase.schedule == "plateau" and bool(rows) and since_best(rows) >= phase.patience
    return len(rows) >= phase.epochs or waited


def read_history(folder: Path) -> list[Row]:
    """The epochs done, as the file that training goes on from has them."""
    path = folder / LAST
    if not path.is_file():
        return []
    with np.load(path) as book:
        rows: list[Row] = json.loads(str(book["history"]))
    return rows


def keep_best(folder: Path, phase: int, rows: list[Row], variables: Any) -> None:
    """Save the weights where the last epoch is the phase's best; nothing where they lie there already."""
    path = folder / f"best-{phase}.npz"
    if since_best(rows):
        return
    if path.is_file():
        with np.load(path) as book:
            if int(book["at"]) == rows[-1]["at"]:
                return
    save_variables(path, variables, at=rows[-1]["at"])


def predict(model: keras.Model, x: NDArray[Any], batch: int = 128) -> NDArray[np.float32]:
    """Probabilities float32 (n, labels), batch by batch so that mapped features stay on disk."""
    parts = [
        np.asarray(model.predict_on_batch(np.asarray(x[i : i + batch], np.float32))) for i in range(0, len(x), batch)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, model.output_shape[-1]), np.float32)


def save_variables(path: Path, variables: Any, **more: Any) -> None:
    """Variables in their order; names are left out, they differ between a phase's model and the whole."""
    with write_atomically(path) as out:
        np.savez(out, *[keras.ops.convert_to_numpy(v) for v in variables], **more)


def load_variables(path: Path, variables: Any) -> None:
    book = np.load(path)
    for number, variable in enumerate(variables):
        variable.assign(book[f"arr_{number}"])


def train_phase(
    network: Network,
    config: TrainConfig,
    number: int,
    banks_for: Any,
    val: tuple[Any, NDArray[np.int64]],
    folder: Path,
    class_weights: NDArray[np.float32] | None,
    report: Any,
) -> None:
    """Run one phase, or what is left of it, and leave its best weights in the network."""
    phase = config.phase[number]
    halves = halve(network, phase)
    history = read_history(folder)
    done = rows_of(history, phase)
    if history:
        write_json(folder / "history.json", history)
    if not done or history[-1]["phase"] == phase.name:
        optimizer = keras.optimizers.AdamW(phase.learning_rate, weight_decay=config.weight_decay, clipnorm=1.0)
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing)
        halves.tail.compile(optimizer, loss, metrics=["accuracy"])
        optimizer.build(halves.tail.trainable_variables)
        if done:
            load_variables(folder / LAST, [*halves.tail.variables, *optimizer.variables])
            keep_best(folder, number, done, halves.tail.variables)  # a kill may have come between the two files
        if not ended(done, phase):
            pictures, y = val
            x = np.concatenate([run_front(halves.front, pictures[i : i + 64]) for i in range(0, len(pictures), 64)])
            keeper = Keeper(folder, number, phase, history, (x, y), report)
            classes = network.model.output_shape[-1]
            banks = banks_for(halves, phase)
            batches = Batches(banks, phase.banks, classes, config, phase.mixup, class_weights, len(done))
            callbacks = [keeper]
            if phase.weight_noise:
                callbacks.append(WeightNoise(phase.weight_noise, config.seed))
            halves.tail.fit(
                batches, epochs=phase.epochs, initial_epoch=len(done), callbacks=callbacks, verbose=0, shuffle=False
            )
    load_variables(folder / f"best-{number}.npz", halves.tail.variables)
