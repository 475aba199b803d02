"""The last check, on the device itself: a model goes live only if its golden inputs give what they gave elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from edge_agent.errors import ModelError
from edge_agent.model_file.golden import Differences, run_golden
from edge_agent.model_file.model import ModelFile, load
from edge_agent.runtime import Runtime, RuntimeInfo, check_input, open_runtime


@dataclass(frozen=True, slots=True)
class Proof:
    """What the golden inputs gave here, and how long they took."""

    runtime: RuntimeInfo
    apart: Differences
    seconds: float


def prove(model: ModelFile, runtime: Runtime) -> Proof:
    """Run the golden inputs. Raises ModelError when the outputs are not those of the exporting machine."""
    size, allowed = model.manifest.input, model.manifest.golden
    begun = time.perf_counter()
    try:
        check_input(runtime, size.width_px, size.height_px)
        apart = run_golden(model.golden, size.width_px, size.height_px, runtime.run)
    except ModelError as error:
        raise ModelError(f"{model.path}: {error}") from None
    if apart.largest > allowed.largest_difference or apart.mean > allowed.mean_difference:
        raise ModelError(
            f"{model.path} does not do on {runtime.info} what it did where it was exported: its golden outputs differ "
            f"by {apart.largest:.4f} at most and {apart.mean:.5f} on average, and {allowed.largest_difference:.4f} and "
            f"{allowed.mean_difference:.5f} are allowed; export it for this runtime, or keep the older model"
        )
    return Proof(runtime.info, apart, time.perf_counter() - begun)


def start(model: ModelFile, threads: int = 1, xnnpack: bool = True) -> Runtime:
    """A runtime for a model that passed every other check. Raises ModelError that names the file."""
    try:
        return open_runtime(model.flatbuffer, threads, xnnpack)
    except ModelError as error:
        raise ModelError(f"{model.path}: {error}") from None


def measure(model: ModelFile, threads: int = 1, xnnpack: bool = True) -> Proof:
    """Start a model and prove it."""
    return prove(model, start(model, threads, xnnpack))


def open_model(path: Path, kind: str, threads: int = 1, xnnpack: bool = True) -> tuple[ModelFile, Runtime]:
    """Load a model file, check all of it, run its golden inputs: what every adapter does before it goes live."""
    model = load(path, kind)
    runtime = start(model, threads, xnnpack)
    prove(model, runtime)
    return model, runtime
