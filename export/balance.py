"""Making a network kinder to eight bits before its ranges are fixed, without changing what it computes.

Channels of linear layers are rescaled, each by a factor that the layers that follow undo (cross-layer equalisation,
Nagel et al. 2019, arXiv 1906.04721, with activations' ranges as in SmoothQuant, Xiao et al. 2022, arXiv 2211.10438):
in MobileNetV2's bottlenecks one channel spans a hundred times what another does, and one scale has to serve both.
A channel that no picture moves takes part: the weights behind it may be the largest of all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_agent.records import F32, U8
from export.graph import Activation, Graph, Op, Watcher

_CONVOLUTIONS = (Op.CONV_2D, Op.DEPTHWISE_CONV_2D, Op.FULLY_CONNECTED)
_HOMOGENEOUS = (Activation.NONE, Activation.RELU)
SILENT = 1e-6
SHARE = 0.5  # how much of a channel's range moves into the weights that follow; 1 would be all


def balance(flatbuffer: bytes, pictures: U8) -> bytes:
    """The same network with balanced channels; `pictures` uint8 RGB (n, h, w, 3) show what each channel spans."""
    graph = Graph(flatbuffer)
    groups = _groups(graph)
    spans = _spans(flatbuffer, [index for group in groups for index in group], pictures)
    for group in groups:
        span = np.max([spans[index] for index in group], axis=0)
        _rescale(graph, group, span)
    return graph.to_bytes()


def _groups(graph: Graph) -> list[list[int]]:
    """Tensors that have to share one factor a channel, where producers and users can take it up."""
    leader = {int(out): int(out) for op in graph.ops for out in op.outputs}

    def find(index: int) -> int:
        while leader[index] != index:
            index = leader[index]
        return index

    for op in graph.ops:
        if _joins(graph, op):
            first, second, out = (int(i) for i in (*op.inputs, *op.outputs))
            leader[find(first)] = leader[find(second)] = find(out)
    groups: dict[int, list[int]] = {}
    for index in leader:
        groups.setdefault(find(index), []).append(index)
    return [sorted(group) for group in groups.values() if all(_adjustable(graph, index) for index in group)]


def _joins(graph: Graph, op: Any) -> bool:
    """Whether it is a plain sum of two activations of one shape."""
    if graph.kind(op) != Op.ADD or graph.activation(op) != Activation.NONE:
        return False
    first, second = (int(i) for i in op.inputs)
    if graph.is_constant(first) or graph.is_constant(second) or first in graph.inputs or second in graph.inputs:
        return False
    return list(graph.tensors[first].shape) == list(graph.tensors[second].shape)


def _adjustable(graph: Graph, index: int) -> bool:
    if index in graph.outputs or not graph.users.get(index):
        return False
    maker = graph.maker[index]
    made = graph.kind(maker) in _CONVOLUTIONS and graph.activation(maker) in _HOMOGENEOUS and len(maker.inputs) == 3
    used = all(
        _joins(graph, user) or (graph.kind(user) in _CONVOLUTIONS and int(user.inputs[0]) == index)
        for user in graph.users[index]
    )
    return (made or _joins(graph, maker)) and used


def _spans(flatbuffer: bytes, indices: list[int], pictures: U8) -> dict[int, F32]:
    watcher = Watcher(flatbuffer)
    spans: dict[int, F32] = {}
    for picture in pictures:
        watcher.run(picture)
        for index in indices:
            values = np.abs(watcher.look(index))
            each = values.reshape(-1, values.shape[-1]).max(0)
            spans[index] = np.maximum(spans[index], each) if index in spans else each
    return spans


def _rescale(graph: Graph, group: list[int], span: F32) -> None:
    users = {id(user): user for index in group for user in graph.users[index] if graph.kind(user) in _CONVOLUTIONS}
    makers = {id(graph.maker[i]): graph.maker[i] for i in group if graph.kind(graph.maker[i]) in _CONVOLUTIONS}
    weights = np.max([_input_span(graph.array(int(user.inputs[1]))) for user in users.values()], axis=0)
    factor = _factor(span, weights)
    for user in users.values():
        index = int(user.inputs[1])
        graph.set_array(index, graph.array(index) * factor)
    for maker in makers.values():
        kernel, bias = int(maker.inputs[1]), int(maker.inputs[2])
        values = graph.array(kernel)
        along = factor if graph.kind(maker) == Op.DEPTHWISE_CONV_2D else factor.reshape(-1, *[1] * (values.ndim - 1))
        graph.set_array(kernel, values / along)
        graph.set_array(bias, graph.array(bias) / factor)


def _factor(span: F32, weights: F32) -> F32:
    """What each channel is divided by, from what it spans and the largest weight behind it."""
    factor = np.ones_like(span)
    used = weights > SILENT
    sound, silent = used & (span > SILENT), used & (span <= SILENT)
    if sound.any():
        factor[sound] = span[sound] ** SHARE / weights[sound] ** (1 - SHARE)
        factor[sound] /= np.exp(np.mean(np.log(factor[sound])))
        factor[silent] = np.median(weights[sound] * factor[sound]) / weights[silent]
    return np.asarray(np.clip(factor, 1e-3, 1e3), np.float32)


def _input_span(kernel: F32) -> F32:
    """The largest weight on each input channel: the last axis of every kernel."""
    return np.asarray(np.abs(kernel).reshape(-1, kernel.shape[-1]).max(0))
