"""Ranges of activations that lose least: each end is pulled in as long as the squared error falls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_agent.records import U8
from export.graph import Graph, Op, Watcher

BINS = 2048
LEVELS = 256
_CLIPPED = (Op.CONV_2D, Op.DEPTHWISE_CONV_2D, Op.FULLY_CONNECTED)
STEPS = np.linspace(1.0, 0.1, 46)


def clip(flatbuffer: bytes, pictures: U8) -> bytes:
    """A calibrated float network with narrower ranges where that loses less over `pictures`, uint8 RGB (n, h, w, 3)."""
    graph = Graph(flatbuffer)
    # not the arithmetic that scales the picture: its ranges are exact
    makers = [op for op in graph.ops if graph.kind(op) in _CLIPPED]
    watched = [
        int(op.outputs[0])
        for op in makers
        if graph.range(int(op.outputs[0])) and int(op.outputs[0]) not in graph.outputs
    ]
    counts = _histograms(flatbuffer, graph, watched, pictures)
    for index in watched:
        low, high = graph.range(index) or (0.0, 0.0)
        if high - low > 1e-9:
            graph.set_range(index, *best_range(counts[index], low, high))
    return graph.to_bytes()


def best_range(counts: NDArray[np.int64], low: float, high: float) -> tuple[float, float]:
    """The ends that lose least for a histogram over low..high; an end that is 0 stays."""
    centres = low + (np.arange(BINS) + 0.5) * (high - low) / BINS
    best, ends = np.inf, (low, high)
    for share in STEPS:  # both ends first, then the one that still can move
        error = _loss(counts, centres, low * share, high * share)
        if error < best:
            best, ends = error, (low * share, high * share)
    for side in (0, 1):
        start = ends
        for share in STEPS[:20]:
            tried = (start[0] * share, start[1]) if side == 0 else (start[0], start[1] * share)
            error = _loss(counts, centres, *tried)
            if error < best:
                best, ends = error, tried
    return ends


def _loss(counts: NDArray[np.int64], centres: NDArray[np.float64], low: float, high: float) -> float:
    step = max((high - low) / (LEVELS - 1), 1e-12)
    rounded = np.clip(np.round((centres - low) / step), 0, LEVELS - 1) * step + low
    inside = (centres >= low) & (centres <= high)
    # within the range the error of rounding is uniform: a histogram's centres would hide it
    error = np.where(inside, step**2 / 12, (centres - rounded) ** 2)
    return float((counts * error).sum())


def _histograms(flatbuffer: bytes, graph: Graph, watched: list[int], pictures: U8) -> dict[int, NDArray[np.int64]]:
    watcher = Watcher(flatbuffer)
    counts = {index: np.zeros(BINS, np.int64) for index in watched}
    for picture in pictures:
        watcher.run(picture)
        for index in watched:
            low, high = graph.range(index) or (0.0, 1.0)
            scale = BINS / max(high - low, 1e-9)
            places = ((watcher.look(index).ravel() - np.float32(low)) * np.float32(scale)).astype(np.int32)
            counts[index] += np.bincount(np.clip(places, 0, BINS - 1), minlength=BINS)
    return counts
