"""The files in edge_agent/models/ follow from the weights in the repository, by the command that the docs name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge_agent.model_file import open_model
from export.__main__ import main

pytestmark = [pytest.mark.slow, pytest.mark.shared_data]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("kind", "weights"), [("classifier", "train/weights"), ("detector", "train/detector/weights")])
def test_the_weights_in_the_repository_become_the_shipped_file(kind: str, weights: str, tmp_path: Path) -> None:
    assert main([str(ROOT / weights), "--out", str(tmp_path), "--claim", "litert"]) == 0
    (report,) = json.loads((tmp_path / "export.json").read_text())["variants"]
    assert report["passed"]
    made, made_runtime = open_model(tmp_path / report["written"], kind)
    shipped, shipped_runtime = open_model(ROOT / "edge_agent" / "models" / f"{kind}.tflite", kind)
    named = {"name", "version", "labels", "input", "parameters", "trained_at", kind}
    named |= {"quantisation", "quantisation_detail"}
    assert made.manifest.model_dump(include=named) == shipped.manifest.model_dump(include=named)
    size = shipped.manifest.input
    for picture in shipped.golden.inputs(size.width_px, size.height_px)[:8]:
        for mine, theirs in zip(made_runtime.run(picture[None]), shipped_runtime.run(picture[None]), strict=True):
            # float sums of another processor may move a range: a few steps of 8 bits, not another answer
            assert np.abs(mine - theirs).mean() <= 0.02 * max(1.0, float(np.ptp(theirs)))
