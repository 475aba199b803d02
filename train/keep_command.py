"""`python -m train keep`: a finished run's weights in half precision beside its record, small enough to commit.

`python -m export FOLDER` makes the same model file of them on every machine, without the run.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from edge_agent.errors import ModelError, NotFoundError, UsageError
from edge_agent.model_file.manifest import Version
from export.source import (
    DETECTOR_RECORD,
    DETECTOR_WEIGHTS,
    FACE_BRANCH,
    MODEL_NAME,
    RECORD_NAME,
    WEIGHTS_END,
    read_face_branch,
    read_record,
)
from train.files import DiskError, write_atomically, write_json

KINDS = ("classifier", "detector")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("run", type=Path, help="folder of a finished run: model.keras and model.json")
    parser.add_argument("folder", type=Path, help="where the weights go, e.g. train/weights")
    parser.add_argument("--version", default="1.0.0", help="what export calls a model file made of them")


def run(args: argparse.Namespace) -> int:
    """Write KIND.weights.h5 and model.json, and a detector's settings where the run has them."""
    from export.convert import load_keras

    record = read_record(args.run / RECORD_NAME)
    _check(args, record)
    weights = args.folder / f"{record.get('kind', KINDS[0])}{WEIGHTS_END}"
    if others := [path.name for path in args.folder.glob(f"[!.]*{WEIGHTS_END}") if path != weights]:
        raise UsageError(f"{args.folder} holds {others[0]}; give the run a folder of its own")
    settings = read_settings(args.run / DETECTOR_RECORD)
    content = halved(load_keras(args.run / MODEL_NAME))
    branch = read_face_branch(args.run, record)
    if not branch and (args.folder / FACE_BRANCH).is_file():
        raise UsageError(
            f"{args.folder} has a face branch and {args.run} has none, which would be lost; run "
            f"`python -m train train-face {args.run}` first, or remove {args.folder / FACE_BRANCH}"
        )
    with write_atomically(weights) as out:
        out.write(content)
    if branch:
        with write_atomically(args.folder / FACE_BRANCH) as out:
            out.write(branch)
    # last: a kill in between leaves a record that does not know these weights, and export says so
    own = {"version": args.version, "weights_sha256": hashlib.sha256(content).hexdigest(), "mlflow_run_id": ""}
    if settings:
        write_json(args.folder / DETECTOR_RECORD, settings)
    else:
        (args.folder / DETECTOR_RECORD).unlink(missing_ok=True)
    write_json(args.folder / RECORD_NAME, record | own)
    print(f"{weights}: {len(content) / 1e6:.2f} MB")
    return 0


def read_settings(path: Path) -> dict[str, Any]:
    """How a detector was trained; empty where the file is not there. Raises ModelError where it is damaged."""
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text()))
    except (UnicodeDecodeError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is damaged ({error}); the run's training writes it again with --stop-here") from None


def _check(args: argparse.Namespace, record: dict[str, Any]) -> None:
    for name in (MODEL_NAME, RECORD_NAME):
        if not (args.run / name).is_file():
            released = (args.run / DETECTOR_WEIGHTS).is_file()
            hint = f"python -m train.detector.release --run {args.run} writes it" if released else ""
            raise NotFoundError(f"{args.run / name} is not there; {hint or 'give the folder of a finished run'}")
    if args.folder.resolve() == args.run.resolve():
        raise UsageError(f"{args.folder} is the run itself; give another folder")
    if record.get("kind", KINDS[0]) not in KINDS:
        raise ModelError(f"{args.run / RECORD_NAME}: its kind is {record['kind']!r}; it is one of {', '.join(KINDS)}")
    try:
        TypeAdapter(Version).validate_python(args.version)
    except ValidationError:
        raise UsageError(f"--version is {args.version!r}; give something like 1.2.0") from None


def halved(model: Any) -> bytes:
    """The model's weights as Keras reads them, float32 as float16 where that can hold the values."""
    import h5py

    def copy(name: str, thing: Any) -> None:
        if isinstance(thing, h5py.Group):
            out.require_group(name).attrs.update(thing.attrs)
            return
        values = thing[()]
        if values.dtype == np.float32 and np.abs(values).max(initial=0) <= np.finfo(np.float16).max:
            values = values.astype(np.float16)
        out.create_dataset(name, data=values)

    half = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.weights.h5"
        try:
            model.save_weights(whole)
        except (OSError, RuntimeError) as error:  # h5py has the latter for a full disk
            raise DiskError(f"cannot write in {folder}: {str(error)[:200]}; free some space or set TMPDIR") from error
        with h5py.File(whole) as given, h5py.File(half, "w") as out:
            out.attrs.update(given.attrs)
            given.visititems(copy)
    return half.getvalue()
