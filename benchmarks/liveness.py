"""Delay of each camera status and false alarms, on made streams and on clips: python benchmarks/liveness.py [CLIP...]

A made stream is a scene with people who walk through it, sensor noise and slow light; after 20 s a fault begins. The
delay is from the fault to the status. A false alarm is any status but `online` before the fault or without one.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from edge_agent.camera import open_source
from edge_agent.config import CameraConfig, LivenessConfig
from edge_agent.liveness import Liveness
from edge_agent.records import U8, Frame

FPS = 4
FAULT_S = 20
SHAPE = (180, 320)
Fault = Callable[[U8, float, np.random.Generator], U8 | None]


NOISE = np.random.default_rng(5).normal(0, 2, (9, *SHAPE, 3)).round().astype(np.int16)


def noisy(bgr: U8, rng: np.random.Generator) -> U8:
    """A sensor's noise of two grey levels, one of nine pictures of it, turned over at random."""
    noise = NOISE[rng.integers(len(NOISE)), :: rng.choice((-1, 1)), :: rng.choice((-1, 1))]
    return np.clip(bgr + noise, 0, 255).astype(np.uint8)


def backdrop(seed: int, shift_px: int = 0) -> U8:
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.integers(40, 200, (6, 14, 3), dtype=np.uint8), (SHAPE[1] + 400, SHAPE[0]))
    for _ in range(40):
        x, y, w, h = rng.integers(0, 700), rng.integers(0, 170), rng.integers(8, 60), rng.integers(8, 50)
        cv2.rectangle(coarse, (int(x), int(y)), (int(x + w), int(y + h)), rng.integers(20, 230, 3).tolist(), -1)
    return np.asarray(coarse[:, shift_px : shift_px + SHAPE[1]], dtype=np.uint8)


def stream(seed: int, length_s: float, fault: Fault | None, people: int = 3) -> Iterator[tuple[float, U8 | None]]:
    """Moments and pictures; None: no picture came."""
    rng, scene = np.random.default_rng(seed), backdrop(seed)
    for step in range(int(length_s * FPS)):
        at_s = step / FPS
        bgr = scene.copy()
        for person in range(people):
            x = int((at_s * (20 + 9 * person) + 97 * person) % (SHAPE[1] + 80)) - 40
            cv2.ellipse(bgr, (x, 60 + 30 * person), (16, 20), 0, 0, 360, (120, 150, 205), -1)
            cv2.rectangle(bgr, (x - 20, 80 + 30 * person), (x + 20, 180), (60 + 30 * person, 70, 90), -1)
        bgr = noisy(cv2.convertScaleAbs(bgr, alpha=1 + 0.15 * float(np.sin(at_s / 17))), rng)
        yield at_s, fault(bgr, at_s, rng) if fault and at_s >= FAULT_S else bgr


def frozen_fault() -> Fault:
    kept: list[U8] = []
    return lambda bgr, _t, _rng: kept[0] if kept else (kept.append(bgr) or bgr)


def dark(bgr: U8, _t: float, rng: np.random.Generator) -> U8:
    return noisy(cv2.convertScaleAbs(bgr, alpha=0.02, beta=2), rng)


def covered(bgr: U8, _t: float, rng: np.random.Generator) -> U8:
    return noisy(np.full_like(bgr, 90), rng)


def blurred(bgr: U8, _t: float, rng: np.random.Generator) -> U8:
    return noisy(np.asarray(cv2.GaussianBlur(bgr, (0, 0), 12)), rng)


def moved_fault(seed: int) -> Fault:
    other = backdrop(seed, shift_px=90)
    return lambda _bgr, _t, rng: noisy(other, rng)


def faults(seed: int) -> dict[str, tuple[str, Fault | None]]:
    return {
        "no picture": ("stalled", lambda *_: None),
        "no picture for long": ("offline", lambda *_: None),
        "the same picture": ("frozen", frozen_fault()),
        "light out": ("dark", dark),
        "hand over the lens": ("covered", covered),
        "out of focus": ("covered", blurred),
        "turned by a quarter of the view": ("moved", moved_fault(seed)),
    }


def delay_s(seed: int, expected: str, fault: Fault | None, config: LivenessConfig) -> tuple[float | None, Counter[str]]:
    """Seconds from the fault to the status, None if it never came, and what was said before."""
    liveness, before = Liveness(config), Counter[str]()
    for index, (at_s, bgr) in enumerate(stream(seed, FAULT_S + 25, fault)):
        frame = None if bgr is None else Frame("c", index, at_s, 0.0, bgr)
        status = liveness.observe(frame, at_s)
        if at_s < FAULT_S:
            before[status] += 1
        elif status == expected:
            return at_s - FAULT_S, before
    return None, before


def false_alarms(pictures: Iterator[tuple[float, U8 | None]], config: LivenessConfig) -> Counter[str]:
    liveness, said = Liveness(config), Counter[str]()
    for index, (at_s, bgr) in enumerate(pictures):
        if bgr is not None:
            said[liveness.observe(Frame("c", index, at_s, 0.0, bgr), at_s)] += 1
    return said


def clip(path: Path) -> Iterator[tuple[float, U8 | None]]:
    source = open_source(CameraConfig(source=str(path)))
    while not source.ended:
        frame = source.read()
        if frame is not None:
            yield frame.at_s, frame.bgr
    source.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path, help="real clips without a fault")
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    config = LivenessConfig()
    early: Counter[str] = Counter()
    for name in faults(0):
        delays = []
        for seed in range(arguments.seeds):
            expected, fault = faults(seed)[name]
            delay, before = delay_s(seed, expected, fault, config)
            delays.append(delay)
            early += before
        found = [delay for delay in delays if delay is not None]
        span = f"{min(found):5.1f} to {max(found):5.1f} s" if found else "never"
        print(f"{name:34} {expected:9} {span}  found in {len(found)} of {len(delays)}")
    print("before the faults:", dict(early))
    for name, people in (("nobody, 5 min", 0), ("a crowd, 5 min", 12)):
        print(f"{name}:", dict(false_alarms(stream(99, 300, None, people), config)))
    for path in arguments.clips:
        print(f"{path.name}:", dict(false_alarms(clip(path), config)))


if __name__ == "__main__":
    main()
