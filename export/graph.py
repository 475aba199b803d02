"""A flatbuffer as something to change: tensors by index, weights as arrays, which operator makes and uses what."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edge_agent.records import F32, U8

Op = schema.BuiltinOperator
Activation = schema.ActivationFunctionType
_DTYPES = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.INT32: np.int32, schema.TensorType.INT8: np.int8}


class Graph:
    """The first subgraph of a model, with what has to be known to change it."""

    def __init__(self, flatbuffer: bytes) -> None:
        self.model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(flatbuffer, 0))
        self.tensors = self.model.subgraphs[0].tensors
        self.ops = self.model.subgraphs[0].operators
        self.inputs = [int(i) for i in self.model.subgraphs[0].inputs]
        self.outputs = [int(i) for i in self.model.subgraphs[0].outputs]
        self.maker = {int(out): op for op in self.ops for out in op.outputs}
        self.users: dict[int, list[Any]] = {}
        for op in self.ops:
            for index in op.inputs:
                self.users.setdefault(int(index), []).append(op)

    def kind(self, op: Any) -> int:
        """Its builtin operator code."""
        code = self.model.operatorCodes[op.opcodeIndex]
        return max(code.builtinCode, code.deprecatedBuiltinCode)

    def code(self, kind: int) -> int:
        """The index of a builtin operator's code, for a new operator; version 1 where the model had none."""
        for index, code in enumerate(self.model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == kind:
                return index
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = kind
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def activation(self, op: Any) -> int:
        """The activation fused into an operator; NONE for those that have none."""
        return int(getattr(op.builtinOptions, "fusedActivationFunction", Activation.NONE))

    def name(self, index: int) -> str:
        return bytes(self.tensors[index].name).decode()

    def is_constant(self, index: int) -> bool:
        data = self.model.buffers[self.tensors[index].buffer].data
        return data is not None and len(data) > 0

    def array(self, index: int) -> NDArray[Any]:
        """A constant tensor, a copy."""
        tensor = self.tensors[index]
        data = np.asarray(self.model.buffers[tensor.buffer].data, np.uint8)
        return data.tobytes() and np.frombuffer(data.tobytes(), _DTYPES[tensor.type]).reshape(tensor.shape).copy()

    def add_tensor(self, tensor: Any) -> int:
        """The index of a new tensor."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def set_array(self, index: int, values: NDArray[Any]) -> None:
        """Replace a constant; what shares its buffer gets its own from now on."""
        tensor = self.tensors[index]
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values, _DTYPES[tensor.type]).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor.buffer = len(self.model.buffers) - 1

    def range(self, index: int) -> tuple[float, float] | None:
        """The range that calibration saw, where there is one."""
        quantisation = self.tensors[index].quantization
        if quantisation is None or quantisation.min is None or len(quantisation.min) != 1:
            return None
        return float(quantisation.min[0]), float(quantisation.max[0])

    def set_range(self, index: int, low: float, high: float) -> None:
        quantisation = self.tensors[index].quantization
        quantisation.min, quantisation.max = [low], [high]

    def to_bytes(self) -> bytes:
        """The model as a flatbuffer, without buffers and operator codes that nothing uses any more."""
        self._drop_unused_buffers()
        self._drop_unused_codes()
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _drop_unused_buffers(self) -> None:
        used = {0} | {t.buffer for s in self.model.subgraphs for t in s.tensors}
        used |= {entry.buffer for entry in self.model.metadata or []}
        order = sorted(used)
        place = {old: new for new, old in enumerate(order)}
        self.model.buffers = [self.model.buffers[old] for old in order]
        for subgraph in self.model.subgraphs:
            for tensor in subgraph.tensors:
                tensor.buffer = place[tensor.buffer]
        for entry in self.model.metadata or []:
            entry.buffer = place[entry.buffer]

    def _drop_unused_codes(self) -> None:
        ops = [op for subgraph in self.model.subgraphs for op in subgraph.operators]
        order = sorted({op.opcodeIndex for op in ops})
        self.model.operatorCodes = [self.model.operatorCodes[old] for old in order]
        for op in ops:
            op.opcodeIndex = order.index(op.opcodeIndex)


class Watcher:
    """Runs a model in TensorFlow's interpreter and lets every tensor be looked at."""

    def __init__(self, flatbuffer: bytes) -> None:
        import tensorflow as tf

        self._interpreter = tf.lite.Interpreter(
            model_content=flatbuffer,
            num_threads=1,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]

    def run(self, picture: U8) -> None:
        """One picture, uint8 RGB (height, width, 3), as whatever type the network takes."""
        self._interpreter.set_tensor(self._input["index"], picture[None].astype(self._input["dtype"]))
        self._interpreter.invoke()

    def look(self, index: int) -> NDArray[Any]:
        """A tensor's values as they are."""
        values: NDArray[Any] = self._interpreter.get_tensor(index)
        return values


def as_float(values: NDArray[Any], tensor: Any) -> F32:
    """Dequantised where the tensor is quantised per tensor."""
    quantisation = tensor.quantization
    if quantisation is None or quantisation.scale is None or len(quantisation.scale) != 1:
        return np.asarray(values, np.float32)
    whole = values.astype(np.float32) - float(quantisation.zeroPoint[0])
    return np.asarray(whole * np.float32(quantisation.scale[0]), np.float32)
