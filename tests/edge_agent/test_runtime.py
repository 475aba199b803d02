"""The interpreter wrapper: which runtime, what it refuses, how integers become numbers."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from edge_agent import runtime
from edge_agent.classify import SHIPPED
from edge_agent.errors import ModelError
from edge_agent.model_file import load
from edge_agent.runtime import NoRuntimeError, Tensor, check_input, installed, open_runtime


class Interpreter:
    """Answers as TFLite's interpreter does: one uint8 input of a given scale, one int8 output that repeats a value."""

    def __init__(self, scale: float = 1.0, zero_point: int = 0, shape: tuple[int, ...] = (1, 4, 4, 3)) -> None:
        self._input = self._detail(0, shape, np.uint8, scale, zero_point)
        self._output = self._detail(1, (1, 2), np.int8, 0.5, -128)
        self._value = 0

    @staticmethod
    def _detail(index: int, shape: tuple[int, ...], dtype: type, scale: float, zero_point: int) -> dict[str, object]:
        return {
            "index": index,
            "name": f"t{index}",
            "shape": np.array(shape),
            "dtype": dtype,
            "quantization": (scale, zero_point),
        }

    def get_input_details(self) -> list[dict[str, object]]:
        return [self._input]

    def get_output_details(self) -> list[dict[str, object]]:
        return [self._output]

    def set_tensor(self, index: int, values: np.ndarray) -> None:
        self._value = int(values.max())

    def invoke(self) -> None:
        self._value = min(127, self._value - 128)

    def get_tensor(self, index: int) -> np.ndarray:
        return np.full((1, 2), self._value, np.int8)


def wrapped(**details: object) -> runtime.Runtime:
    return runtime.Runtime(Interpreter(**details), runtime.RuntimeInfo("litert", "0"))  # type: ignore[arg-type]


def test_an_integer_output_becomes_the_number_it_stands_for_without_wrapping() -> None:
    out = wrapped().run(np.full((1, 4, 4, 3), 255, np.uint8))
    assert out[0].dtype == np.float32
    np.testing.assert_array_equal(out[0], [[127.5, 127.5]])


def test_an_input_that_reads_values_as_themselves_passes() -> None:
    check_input(wrapped(), 4, 4)


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ({"scale": 0.996}, "not as the value itself"),
        ({"zero_point": 1}, "not as the value itself"),
        ({"shape": (1, 8, 8, 3)}, "its manifest says"),
    ],
)
def test_an_input_off_by_a_step_or_of_another_size_is_refused(details: dict[str, object], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        check_input(wrapped(**details), 4, 4)


def test_without_a_runtime_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NoRuntimeError, match=r"maskwatch\[litert\]") as caught:
        installed()
    assert caught.value.exit_status == 69


def test_a_flatbuffer_that_the_runtime_refuses_is_a_model_error() -> None:
    with pytest.raises(ModelError, match="cannot load"):
        open_runtime(b"\0" * 64)


def test_tensorflow_is_not_imported_by_running_a_model() -> None:
    before = "tensorflow" in sys.modules
    model = load(SHIPPED)
    size = model.manifest.input.width_px
    outputs = open_runtime(model.flatbuffer).run(np.zeros((1, size, size, 3), np.uint8))
    assert outputs[0].shape == (1, 3)
    assert ("tensorflow" in sys.modules) == before


def test_a_tensor_without_scale_is_passed_as_it_is() -> None:
    tensor = Tensor(0, "t", (1, 2), np.dtype(np.float32), 0.0, 0)
    values = np.array([[0.25, 0.75]], np.float32)
    np.testing.assert_array_equal(runtime._dequantised(values, tensor), values)
