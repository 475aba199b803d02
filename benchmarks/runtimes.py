"""The table of docs/runtimes.md: model files in every claimed runtime, with and without XNNPACK, one and two threads.

    python -m benchmarks.runtimes [FILE...] [--repeats 3]

Each row is `edge-agent models verify` in a process of its own, with this Python (LiteRT) and that of `.venv-legacy`
(tflite-runtime): how far the golden outputs are off, as a share of their span, and the least milliseconds that a golden
input took. Without FILE the shipped models. Ends with 1 where one does not run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge_agent.bench import device
from edge_agent.classify import SHIPPED as CLASSIFIER
from edge_agent.detect import SHIPPED as DETECTOR
from edge_agent.model_file import ModelFile, load
from export.operators import operators
from export.runtimes import RUNTIMES, Trial, pythons, trials

HEAD = """| runtime | XNNPACK | threads | largest difference | mean difference | ms an input | |
|---|---|---|---|---|---|---|"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="*", default=[CLASSIFIER, DETECTOR])
    parser.add_argument("--repeats", type=int, default=3, help="the least time of so many counts (default 3)")
    args = parser.parse_args()
    about = device()
    print(f"{about['cpu']}, {about['cores']} cores, {about['machine']}, load {about['load_1min']:g} at the beginning")
    sound = True
    for file in args.files:
        model = load(file)
        rounds = [trials(file, pythons(RUNTIMES)) for _ in range(args.repeats)]
        print(f"\n{title(model)}\n\n{HEAD}")
        print("\n".join(row(model, ways) for ways in zip(*rounds, strict=True)), flush=True)
        sound = sound and all(trial.passed for trial in rounds[0])
    return 0 if sound else 1


def title(model: ModelFile) -> str:
    """Which file, and the operators with the versions that a runtime has to know."""
    about = model.manifest
    needs = ", ".join(f"{name} {version}" for name, version in operators(model.flatbuffer).items())
    return (
        f"`{model.path.name}`: {about.name} {about.version}, {about.architecture}, {about.input.width_px} x "
        f"{about.input.height_px} px, {about.quantisation}; {about.golden.count} golden inputs, allowed to differ by "
        f"{about.golden.largest_difference:.4f} at most and {about.golden.mean_difference:.4f} on average. "
        f"Operators with their versions: {needs}."
    )


def row(model: ModelFile, ways: tuple[Trial, ...]) -> str:
    """One runtime one way, over all rounds."""
    first = ways[0]
    start = f"| {first.runtime} {first.version} | {'on' if first.xnnpack else 'off'} | {first.threads} |"
    if not first.passed:
        return f"{start} | | | FAILED: {first.fault} |"
    least = min(trial.golden_ms for trial in ways) / model.manifest.golden.count
    return f"{start} {first.largest:.5f} | {first.mean:.5f} | {least:.1f} | passed |"


if __name__ == "__main__":
    sys.exit(main())
