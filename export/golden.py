"""Choosing golden inputs that have power: a model that reads red for blue, or is scaled wrongly, must fail on them.

Kernels round differently, and a quantised network carries that to its outputs, more on some inputs than on others.
Inputs are taken where a fault moves the outputs much and other kernels move them little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge_agent.model_file.golden import Differences, Golden, differences, enlarge, kept, run_golden
from edge_agent.records import F32, U8
from export import drawn

CLASSIFIER_INPUTS, CLASSIFIER_POOL = 32, 160
DETECTOR_INPUTS, DETECTOR_POOL = 8, 16
SEED = 20
KEPT_VALUES = 1500  # of each output of a detector, for each input
Run = Callable[[U8], list[F32]]


@dataclass(frozen=True, slots=True)
class Power:
    """How far the golden outputs move under a fault that the golden inputs have to find."""

    fault: str
    apart: Differences


SWAPPED = "red and blue swapped"
ONE_STEP = ("input one step too bright", "input one step too dark")
LEAST_NOISE = 0.002  # below it all inputs are as steady

FAULTS: dict[str, Callable[[U8], U8]] = {
    SWAPPED: lambda pictures: np.ascontiguousarray(pictures[..., ::-1]),
    ONE_STEP[0]: lambda pictures: np.minimum(pictures, 254) + np.uint8(1),
    ONE_STEP[1]: lambda pictures: np.maximum(pictures, 1) - np.uint8(1),
    "scaled to 0..1 instead of -1..1": lambda pictures: (pictures // 2 + np.uint8(128)).astype(np.uint8),
}


def choose(kind: str, run: Run, other: Run, width: int, height: int, labels: tuple[str, ...]) -> Golden:
    """The golden set of a network, its expected outputs from `run`; the same network gives the same set.

    other: the same network on other kernels.
    """
    if kind == "detector":
        small = drawn.small_scenes(DETECTOR_POOL, width, height, SEED)
        count = DETECTOR_INPUTS
    else:
        small = drawn.small_faces(CLASSIFIER_POOL, width, height, SEED)
        count = CLASSIFIER_INPUTS
    chosen = _most_telling(small, run, other, width, height, count)
    outputs = _outputs(small[chosen], run, width, height)
    largest = max(output[0].size for output in outputs)
    step = 1 if kind == "classifier" else _odd(max(1, largest // KEPT_VALUES))
    return Golden(small[chosen], tuple(np.ascontiguousarray(kept(output, step)) for output in outputs), labels, step)


def powers(golden: Golden, run: Run, width: int, height: int) -> list[Power]:
    """What each fault would do to the golden outputs."""
    found = []
    for fault, spoil in FAULTS.items():
        apart = run_golden(golden, width, height, lambda picture, spoil=spoil: run(spoil(picture)))  # type: ignore[misc]
        found.append(Power(fault, apart))
    return found


def _most_telling(small: U8, run: Run, other: Run, width: int, height: int, count: int) -> list[int]:
    """The inputs on which faults stand out most from rounding: half for one step, half for a swap of colours."""
    plain = _outputs(small, run, width, height)
    noise = _movement(plain, _outputs(small, other, width, height)) + LEAST_NOISE
    chosen: list[int] = []
    orders = []
    for fault in (ONE_STEP[0], SWAPPED):
        moved = _movement(plain, _outputs(small, lambda p, f=fault: run(FAULTS[f](p)), width, height))  # type: ignore[misc]
        orders.append(np.argsort(-moved / noise, kind="stable").tolist())
    while len(chosen) < count:
        order = orders[len(chosen) % 2]
        chosen.append(next(i for i in order if i not in chosen))
    return sorted(chosen)


def _movement(before: list[F32], after: list[F32]) -> F32:
    each = [
        np.abs(a - b).reshape(len(a), -1).mean(axis=1) / max(float(np.ptp(a)), 1e-6)
        for a, b in zip(before, after, strict=True)
    ]
    return np.asarray(np.sum(each, axis=0), np.float32)


def _outputs(small: U8, run: Run, width: int, height: int) -> list[F32]:
    inputs = enlarge(small, width, height)
    each = [run(inputs[i : i + 1]) for i in range(len(inputs))]
    return [np.concatenate(column) for column in zip(*each, strict=True)]


def _odd(step: int) -> int:
    """Odd, so that the values kept wander over all channels of a map."""
    return step + 1 - step % 2


__all__ = ["FAULTS", "Power", "choose", "differences", "powers"]
