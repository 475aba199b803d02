"""One process of a training: the real head on features, alone, mirrored, or one of a JAX group. Prints its history."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np


def main(devices: int, features: Path, epochs: int) -> None:
    from train import distribute

    if devices > 1:
        distribute.logical_cpus(devices)
    place = distribute.begin(seed=7)
    import keras

    keras.utils.set_random_seed(7)
    book = np.load(features)
    x, y = book["x"].astype(np.float32), np.eye(3, dtype=np.float32)[book["y"]]
    if keras.backend.backend() == "tensorflow":
        with distribute.mirrored(devices) as count:
            place = distribute.Place(devices=count)
            model = head(x.shape[1])
    else:
        model = head(x.shape[1])
    batches = distribute.shared_batches(x, y, 64, place, seed=3)
    history = model.fit(batches, epochs=epochs, verbose=0, shuffle=False).history
    weights = float(sum(np.abs(w).sum(dtype=np.float64) for w in model.get_weights()))
    loss = [float(v) for v in history["loss"]]
    print(json.dumps({"process": place.process, "devices": place.devices, "loss": loss, "weights": weights}))


def head(width: int):  # type: ignore[no-untyped-def]
    """The classifier's head, without dropout: its masks differ from device to device."""
    import keras
    from keras import layers

    given = keras.Input((width,))
    x = layers.Dense(64, activation="relu")(given)
    model = keras.Model(given, layers.Dense(3, activation="softmax")(x))
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.04)
    model.compile(keras.optimizers.AdamW(3e-3, weight_decay=1e-4, clipnorm=1.0), loss)
    return model


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
