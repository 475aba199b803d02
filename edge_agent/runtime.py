"""The interpreter that runs a flatbuffer: LiteRT, or tflite-runtime, its old name. Never TensorFlow.

runtime = open_runtime(flatbuffer, threads=2)
outputs = runtime.run(pictures)        # uint8 (1, h, w, 3) -> [float32 (1, ...), ...]
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_agent.errors import MaskwatchError, ModelError
from edge_agent.records import F32, U8

RUNTIMES = {"litert": ("ai_edge_litert", "ai-edge-litert"), "tflite-runtime": ("tflite_runtime", "tflite-runtime")}
"""By preference: short name, package, distribution."""


class NoRuntimeError(MaskwatchError):
    """Neither runtime is installed."""

    exit_status = 69


@dataclass(frozen=True, slots=True)
class RuntimeInfo:
    """Which interpreter this is."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of the network; scale 0 means that it is not quantised."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float
    zero_point: int


def installed() -> RuntimeInfo:
    """The runtime that will be used. Raises NoRuntimeError that says what to install."""
    for name, (package, distribution) in RUNTIMES.items():
        if importlib.util.find_spec(package) is not None:
            return RuntimeInfo(name, importlib.metadata.version(distribution))
    raise NoRuntimeError(
        "no TFLite runtime is installed; install one: pip install 'maskwatch[litert]', "
        "or on Python 3.11 and older 'maskwatch[legacy]'"
    )


class Runtime:
    """A network, ready to run one picture at a time. One thread at a time may call `run`."""

    def __init__(self, interpreter: Any, info: RuntimeInfo) -> None:
        self.info = info
        self._interpreter = interpreter
        inputs = interpreter.get_input_details()
        self.inputs = tuple(_tensor(detail) for detail in inputs)
        self.outputs = tuple(_tensor(detail) for detail in interpreter.get_output_details())

    def run(self, picture: U8) -> list[F32]:
        """Each output as float32 (1, ...), dequantised, for one picture, uint8 RGB (1, height, width, 3)."""
        self._interpreter.set_tensor(self.inputs[0].index, picture)
        self._interpreter.invoke()
        return [_dequantised(self._interpreter.get_tensor(tensor.index), tensor) for tensor in self.outputs]


def open_runtime(flatbuffer: bytes, threads: int = 1, xnnpack: bool = True) -> Runtime:
    """A runtime for a flatbuffer whose hash was checked: one that is damaged can crash the process.

    threads: how many the kernels may use. xnnpack: off uses the reference kernels, slower but independent.
    Raises NoRuntimeError, or ModelError when the runtime refuses the flatbuffer.
    """
    info = installed()
    module = importlib.import_module(f"{RUNTIMES[info.name][0]}.interpreter")
    resolver = module.OpResolverType.AUTO if xnnpack else module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        interpreter = module.Interpreter(
            model_content=flatbuffer, num_threads=threads, experimental_op_resolver_type=resolver
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{info} cannot load this model: {reason}; use another runtime or another variant") from error
    return Runtime(interpreter, info)


def check_input(runtime: Runtime, width: int, height: int) -> None:
    """The input has to be what the manifest says: one uint8 picture whose values mean themselves."""
    if len(runtime.inputs) != 1:
        raise ModelError(f"the network has {len(runtime.inputs)} inputs, not one; export it again")
    tensor = runtime.inputs[0]
    if tensor.shape != (1, height, width, 3) or tensor.dtype != np.uint8:
        raise ModelError(
            f"the network takes {tensor.dtype.name} {tensor.shape}, its manifest says uint8 {(1, height, width, 3)}; "
            "export it again"
        )
    if tensor.scale not in (0.0, 1.0) or tensor.zero_point != 0:
        raise ModelError(
            f"the network reads its input as (value - {tensor.zero_point}) x {tensor.scale:g}, "
            "not as the value itself; export it again"
        )


def _tensor(detail: dict[str, Any]) -> Tensor:
    scale, zero_point = detail["quantization"]
    shape = tuple(int(length) for length in detail["shape"])
    return Tensor(
        int(detail["index"]), str(detail["name"]), shape, np.dtype(detail["dtype"]), float(scale), int(zero_point)
    )


def _dequantised(values: Any, tensor: Tensor) -> F32:
    if tensor.scale == 0.0:
        return np.asarray(values, dtype=np.float32)
    # as float32: uint8 minus the zero point wraps, and whole numbers of 8 bits stay whole
    whole: F32 = np.subtract(values, np.float32(tensor.zero_point), dtype=np.float32)
    whole *= np.float32(tensor.scale)
    return whole
