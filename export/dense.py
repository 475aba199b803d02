"""Dense layers as convolutions of one pixel: the same sums, with a scale for each output in every runtime.

FULLY_CONNECTED has that from version 12 on, which tflite-runtime 2.14 lacks. With one scale for all, a few large
weights, as batch norm leaves them behind units that never fire, take nearly every step from the others.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from export.graph import Graph, Op


def as_convolutions(flatbuffer: bytes) -> bytes:
    """The same network with every dense layer that takes one row of values made a convolution."""
    graph = Graph(flatbuffer)
    pixels: dict[int, int] = {}  # a tensor of one row, and its twin of one pixel
    ops: list[Any] = []
    for op in graph.ops:
        if not _fits(graph, op):
            ops.append(op)
            continue
        given, made = int(op.inputs[0]), int(op.outputs[0])
        if given not in pixels:
            pixels[given] = _pixel(graph, given)
            ops.append(_reshape(graph, given, pixels[given]))
        pixels[made] = _pixel(graph, made)
        _make_convolution(graph, op, pixels[given], pixels[made])
        ops += [op, _reshape(graph, pixels[made], made)]
    wanted = {int(index) for op in ops for index in op.inputs} | set(graph.outputs)
    graph.model.subgraphs[0].operators = [op for op in ops if wanted & {int(index) for index in op.outputs}]
    return graph.to_bytes()


def _fits(graph: Graph, op: Any) -> bool:
    if graph.kind(op) != Op.FULLY_CONNECTED or len(op.inputs) != 3 or int(op.inputs[2]) < 0:
        return False
    given, kernel, made = int(op.inputs[0]), int(op.inputs[1]), int(op.outputs[0])
    one = all(len(graph.tensors[i].shape) == 2 and graph.tensors[i].shape[0] == 1 for i in (given, made))
    return one and graph.is_constant(kernel) and len(graph.users[kernel]) == 1


def _pixel(graph: Graph, row: int) -> int:
    tensor = copy.deepcopy(graph.tensors[row])
    tensor.name += b"/pixel"
    tensor.shape, tensor.shapeSignature = np.array([1, 1, 1, tensor.shape[1]], np.int32), None
    return graph.add_tensor(tensor)


def _reshape(graph: Graph, given: int, wanted: int) -> Any:
    shape = np.array(graph.tensors[wanted].shape, np.int32)
    constant = schema.TensorT()
    constant.name, constant.type, constant.shape = b"shape", schema.TensorType.INT32, np.array(shape.shape, np.int32)
    index = graph.add_tensor(constant)
    graph.set_array(index, shape)
    op, options = schema.OperatorT(), schema.ReshapeOptionsT()
    options.newShape = shape
    op.opcodeIndex = graph.code(Op.RESHAPE)
    op.builtinOptionsType, op.builtinOptions = schema.BuiltinOptions.ReshapeOptions, options
    op.inputs, op.outputs = np.array([given, index], np.int32), np.array([wanted], np.int32)
    return op


def _make_convolution(graph: Graph, op: Any, given: int, made: int) -> None:
    kernel = graph.tensors[int(op.inputs[1])]
    outputs, inputs = kernel.shape
    kernel.shape = np.array([outputs, 1, 1, inputs], np.int32)
    options = schema.Conv2DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideW = options.strideH = options.dilationWFactor = options.dilationHFactor = 1
    options.fusedActivationFunction = graph.activation(op)
    op.opcodeIndex = graph.code(Op.CONV_2D)
    op.builtinOptionsType, op.builtinOptions = schema.BuiltinOptions.Conv2DOptions, options
    op.inputs, op.outputs = np.array([given, *op.inputs[1:]], np.int32), np.array([made], np.int32)
