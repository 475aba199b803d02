"""Full-integer quantisation, plain and better.

plain: ranges from the least to the largest value seen, weights per channel; the converter's own way.
balanced: dense layers per channel too, channels evened out, ranges that lose least by squared error, biases corrected
by what is left.
float-head: as balanced, with the dense layers and the softmax in float.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_agent.records import U8
from export.balance import balance
from export.dense import as_convolutions
from export.entry import over_float
from export.graph import Activation, Graph, Op, Watcher, as_float
from export.ranges import clip

RECIPES = ("plain", "balanced", "float-head")
TRIED = ("plain", "balanced")  # a float head gains next to nothing over balanced (measured), and doubles the file
LOOKS = 48  # pictures for channel spans and histograms: more change nothing that can be measured
_HEAD = ["FULLY_CONNECTED", "SOFTMAX", "MEAN"]


def quantise(converter: Any, calibration: U8, recipe: str) -> bytes:
    """The flatbuffer of a converter that was set up for a float32 picture; uint8 goes in and comes out."""
    import tensorflow as tf

    from export.convert import samples

    converter.representative_dataset = lambda: samples(calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if recipe == "plain":
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.uint8
        return over_float(bytes(converter.convert()))
    converter._experimental_calibrate_only = True
    return over_float(_better(bytes(converter.convert()), calibration, recipe))


def _better(calibrated: bytes, calibration: U8, recipe: str) -> bytes:
    """From a float network with the ranges that calibration saw."""
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize
    from tensorflow.lite.python.util import modify_model_io_type

    few = calibration[:: max(1, len(calibration) // LOOKS)]
    denied = _HEAD if recipe == "float-head" else None
    network = calibrated if denied else as_convolutions(calibrated)
    even = clip(see_ranges(balance(network, few), calibration), few)
    whole = bytes(mlir_quantize(even, disable_per_channel_for_dense_layers=True, denylisted_ops=denied))
    whole = correct_biases(even, whole, few)
    if recipe == "float-head":  # the output is float already
        return bytes(modify_model_io_type(whole, tf.uint8, tf.float32))
    return bytes(modify_model_io_type(whole, tf.uint8, tf.uint8))


def see_ranges(flatbuffer: bytes, pictures: U8) -> bytes:
    """Ranges set to the least and the largest value seen; those of input and outputs stay as they were calibrated."""
    graph, watcher = Graph(flatbuffer), Watcher(flatbuffer)
    indices = [int(i) for op in graph.ops for i in op.outputs if graph.range(int(i)) and int(i) not in graph.outputs]
    seen: dict[int, tuple[float, float]] = {}
    for picture in pictures:
        watcher.run(picture)
        for index in indices:
            values = watcher.look(index)
            low, high = seen.get(index, (np.inf, -np.inf))
            seen[index] = min(low, float(values.min())), max(high, float(values.max()))
    for index, (low, high) in (seen | _exact_ranges(graph, watcher, pictures.shape[1:])).items():
        graph.set_range(index, min(low, 0.0), max(high, 0.0))
    return graph.to_bytes()


def _exact_ranges(graph: Graph, watcher: Watcher, shape: tuple[int, ...]) -> dict[int, tuple[float, float]]:
    """Ranges for the arithmetic that scales the picture, such that each of the 256 values keeps a step of its own.

    A range that merely covers them has another step than the picture: all pixels would be rounded once more.
    """
    chain = []
    at = graph.inputs[0]
    while len(graph.users.get(at, [])) == 1 and graph.kind(graph.users[at][0]) in (Op.MUL, Op.ADD, Op.SUB):
        at = int(graph.users[at][0].outputs[0])
        chain.append(at)
    watcher.run(np.zeros(shape, np.uint8))
    darkest = {index: float(watcher.look(index).max()) for index in chain}
    watcher.run(np.full(shape, 255, np.uint8))
    found = {}
    for index in chain:
        step = (float(watcher.look(index).max()) - darkest[index]) / 255
        if step > 0:
            low = round(darkest[index] / step) * step
            found[index] = low, low + 255 * step
    return found


def correct_biases(float_network: bytes, quantised: bytes, pictures: U8) -> bytes:
    """Biases of the linear layers moved by the mean error that quantisation left (Nagel et al. 2019, section 4.2).

    Layer after layer, so that each one sees what the corrected ones before it give.
    """
    wanted = _means(Graph(float_network), Watcher(float_network), pictures)
    graph = Graph(quantised)
    for place in range(len(graph.ops)):
        op = graph.ops[place]
        if graph.kind(op) not in (Op.CONV_2D, Op.FULLY_CONNECTED) or graph.activation(op) != Activation.NONE:
            continue
        out, bias = int(op.outputs[0]), int(op.inputs[2])
        target = wanted.get(graph.name(out))
        scale = graph.tensors[bias].quantization.scale if bias >= 0 else None
        if target is None or scale is None or len(scale) not in (1, len(target)):
            continue
        error = target - _mean(graph, Watcher(graph.to_bytes()), out, pictures)
        graph.set_array(bias, graph.array(bias) + np.round(error / np.asarray(scale)).astype(np.int32))
    return graph.to_bytes()


def _means(graph: Graph, watcher: Watcher, pictures: U8) -> dict[str, Any]:
    """Mean of each channel of each linear layer's output, by the tensor's name."""
    linear = [
        int(op.outputs[0])
        for op in graph.ops
        if graph.kind(op) in (Op.CONV_2D, Op.FULLY_CONNECTED) and graph.activation(op) == Activation.NONE
    ]
    sums: dict[int, Any] = dict.fromkeys(linear, 0.0)
    for picture in pictures:
        watcher.run(picture)
        for index in linear:
            values = watcher.look(index)
            sums[index] = sums[index] + values.reshape(-1, values.shape[-1]).mean(0)
    return {graph.name(index): total / len(pictures) for index, total in sums.items()}


def _mean(graph: Graph, watcher: Watcher, index: int, pictures: U8) -> Any:
    total: Any = 0.0
    for picture in pictures:
        watcher.run(picture)
        values = as_float(watcher.look(index), graph.tensors[index])
        total = total + values.reshape(-1, values.shape[-1]).mean(0)
    return total / len(pictures)
