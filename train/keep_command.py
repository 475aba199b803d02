"""`python -m train keep`: a finished run's weights in half precision beside its record, small enough to commit.

`python -m export FOLDER` makes the same model file of them on every machine, without the run.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from edge_agent.errors import ModelError, NotFoundError
from train.files import atomic_path, write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("run", type=Path, help="folder of a finished run: model.keras and model.json")
    parser.add_argument("folder", type=Path, help="where the weights go, e.g. train/weights")
    parser.add_argument("--version", default="1.0.0", help="what export calls a model file made of them")


def run(args: argparse.Namespace) -> int:
    """Write NAME.weights.h5 and model.json, and a detector's settings where the run has them."""
    model_file, record_file = args.run / "model.keras", args.run / "model.json"
    for path in (model_file, record_file):
        if not path.is_file():
            raise NotFoundError(f"{path} is not there; give the folder of a finished run")
    record = json.loads(record_file.read_text())
    import keras

    try:
        model = keras.saving.load_model(model_file, compile=False)
    except (ValueError, OSError, TypeError) as error:
        raise ModelError(f"cannot read {model_file}: {str(error).splitlines()[0][:200]}") from error
    weights = args.folder / f"{record.get('kind', 'classifier')}.weights.h5"
    with atomic_path(weights) as partial:
        model.save_weights(partial.with_name(f"{partial.name}.weights.h5"))
        halve(partial.with_name(f"{partial.name}.weights.h5"), partial)
    write_json(args.folder / "model.json", record | {"version": args.version, "mlflow_run_id": ""})
    settings = args.run / "detector.json"
    if settings.is_file():
        shutil.copyfile(settings, args.folder / settings.name)
    print(f"{weights}: {weights.stat().st_size / 1e6:.2f} MB")
    return 0


def halve(whole: Path, half: Path) -> None:
    """The same HDF5 file with float32 arrays as float16; Keras reads either. The first file is removed."""
    import h5py

    def copy(name: str, thing: Any) -> None:
        if isinstance(thing, h5py.Group):
            out.require_group(name).attrs.update(thing.attrs)
        else:
            out.create_dataset(name, data=thing[()].astype("f2" if thing.dtype == "f4" else thing.dtype))

    try:
        with h5py.File(whole) as given, h5py.File(half, "w") as out:
            out.attrs.update(given.attrs)
            given.visititems(copy)
    finally:
        whole.unlink(missing_ok=True)
