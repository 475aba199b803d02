"""The last check, on the device itself: a model goes live only if its golden inputs give what they gave elsewhere."""

from __future__ import annotations

import time
from pathlib import Path

from edge_agent.errors import ModelError
from edge_agent.model_file.golden import run_golden
from edge_agent.model_file.model import ModelFile, load
from edge_agent.runtime import Runtime, check_input, open_runtime


def prove(model: ModelFile, runtime: Runtime) -> float:
    """Run the golden inputs; the seconds it took.

    Raises ModelError when the outputs are not those of the exporting machine.
    """
    size, allowed = model.manifest.input, model.manifest.golden
    check_input(runtime, size.width_px, size.height_px)
    begun = time.perf_counter()
    try:
        apart = run_golden(model.golden, size.width_px, size.height_px, runtime.run)
    except ModelError as error:
        raise ModelError(f"{model.path}: {error}; export it again") from None
    if apart.largest > allowed.largest_difference or apart.mean > allowed.mean_difference:
        raise ModelError(
            f"{model.path} does not do on {runtime.info} what it did where it was exported: its golden outputs differ "
            f"by {apart.largest:.4f} at most and {apart.mean:.5f} on average, and {allowed.largest_difference:.4f} and "
            f"{allowed.mean_difference:.5f} are allowed; export it for this runtime, or keep the older model"
        )
    return time.perf_counter() - begun


def open_model(path: Path, kind: str, threads: int = 1, xnnpack: bool = True) -> tuple[ModelFile, Runtime]:
    """Load a model file, check all of it, run its golden inputs: what every adapter does before it goes live."""
    model = load(path, kind)
    try:
        runtime = open_runtime(model.flatbuffer, threads, xnnpack)
        check_input(runtime, model.manifest.input.width_px, model.manifest.input.height_px)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    prove(model, runtime)
    return model, runtime
