"""Train a classifier head on cached features with several devices or machines.

    python -m train.distribute_head features --config train/configs/kaggle.toml features.npz
    python -m train.distribute_head train features.npz --out head.npz [--devices 2]

The second command runs once for each process of a group (train/distribute.py names the variables). Features are made
apart: JAX joins its group before it computes anything. Prints one line of JSON; the first process writes the weights.
"""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.errors import ModelError, NotFoundError, exit_status
from train import distribute
from train.files import write_atomically


def make_features(config_path: Path, out: Path) -> None:
    """Pooled backbone features of the first bank of views and of the validation faces: x, y, val_x, val_y, labels."""
    from train.config import PhaseConfig, read_config
    from train.crops import exact_crops
    from train.data import load
    from train.draws import Views
    from train.faces import regions
    from train.models import build, halve
    from train.phases import run_front
    from train.pipeline import chosen, indices, start_from

    config = read_config(config_path)
    data = load(config.dataset)
    samples = chosen(data, config)
    store = regions(samples, config.cache, Path(config.landmarks_model) if config.landmarks_model else None)
    views = Views(samples, store, data.labels, config)
    network = build(config.model, len(data.labels))
    if config.start_from:
        start_from(network, Path(config.start_from))
    front = halve(network, PhaseConfig(name="head", epochs=1, learning_rate=1e-3)).front  # whatever the phases open
    draws = views.bank(0)
    x = [run_front(front, np.stack([views.view(d) for d in draws[i : i + 64]])) for i in range(0, len(draws), 64)]
    val = [s for s in data.of("val") if s.side_px >= config.report_side_px and s.box is not None]
    crops = exact_crops(val, config.model.input_size_px, config.crop_margin, config.cache)
    val_x = [run_front(front, crops[i : i + 64]) for i in range(0, len(crops), 64)]
    y = np.array([d.label for d in draws], np.int64)
    found = {"x": np.concatenate(x), "y": y, "val_x": np.concatenate(val_x), "val_y": indices(val, data.labels)}
    with write_atomically(out) as file:
        np.savez(file, **found, labels=np.array(data.labels))


def read_features(path: Path) -> dict[str, Any]:
    """What `make_features` wrote."""
    if not path.is_file():
        raise NotFoundError(
            f"no features {path}; make them: python -m train.distribute_head features --config FILE {path}"
        )
    try:
        with np.load(path, allow_pickle=False) as book:
            return {name: book[name] for name in ("x", "y", "labels")}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} holds no features: {error}; make them again") from error


def head(width: int, labels: int, units: int, learning_rate: float) -> Any:
    """Without dropout, batch norm and clipping: each device would have its own masks, statistics and norms.

    Keras clips the gradient of each device's share before the shares are summed.
    """
    import keras
    from keras import layers

    given = keras.Input((width,))
    x = layers.Dense(units, activation="relu")(given)
    model = keras.Model(given, layers.Dense(labels, activation="softmax")(x))
    optimizer = keras.optimizers.AdamW(learning_rate, weight_decay=1e-4)
    model.compile(optimizer, keras.losses.CategoricalCrossentropy(label_smoothing=0.04))
    return model


def train(args: argparse.Namespace) -> dict[str, Any]:
    """Train on whatever devices this process was given; the same figures on each process."""
    book = read_features(args.features)
    if args.devices > 1 and args.logical:
        distribute.logical_cpus(args.devices)
    place = distribute.begin(args.seed)
    import keras

    keras.utils.set_random_seed(args.seed)
    x, labels = book["x"].astype(np.float32), len(book["labels"])
    y = np.eye(labels, dtype=np.float32)[book["y"]]
    if args.devices > 1 or (place.processes == 1 and keras.backend.backend() == "tensorflow"):
        with distribute.mirrored(args.devices) as count:
            place = distribute.Place(devices=count)
            model = head(x.shape[1], labels, args.units, args.learning_rate)
    else:
        model = head(x.shape[1], labels, args.units, args.learning_rate)
    batches = distribute.shared_batches(x, y, args.batch_size, place, args.seed)
    history = model.fit(batches, epochs=args.epochs, verbose=0, shuffle=False).history
    weights = [np.asarray(w) for w in model.get_weights()]
    if place.first and args.out:
        with write_atomically(args.out) as file:
            np.savez(file, *weights)
    total = float(sum(np.abs(w).sum(dtype=np.float64) for w in weights))
    return {
        "process": place.process,
        "processes": place.processes,
        "devices": place.devices,
        "loss": [float(v) for v in history["loss"]],
        "weights": total,
    }


def main(argv: list[str] | None = None) -> int:
    """The command line; errors of ours become one line and their exit status."""
    parser = argparse.ArgumentParser(prog="python -m train.distribute_head", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("features", help="make a file of features")
    make.add_argument("--config", type=Path, required=True, help="training configuration")
    make.add_argument("out", type=Path)
    one = commands.add_parser("train", help="train a head on it")
    one.add_argument("features", type=Path)
    one.add_argument("--out", type=Path, help="file for the weights (.npz)")
    one.add_argument("--devices", type=int, default=1, help="local devices, TensorFlow (default: 1)")
    one.add_argument("--logical", action="store_true", help="split the CPU into these devices: a trial without GPUs")
    one.add_argument("--epochs", type=int, default=20)
    one.add_argument("--batch-size", type=int, default=64, help="of all devices together")
    one.add_argument("--units", type=int, default=64)
    one.add_argument("--learning-rate", type=float, default=3e-3)
    one.add_argument("--seed", type=int, default=7)
    args = parser.parse_args(argv)
    return exit_status("train", lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    if args.command == "features":
        make_features(args.config, args.out)
    else:
        print(json.dumps(train(args)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
