"""A Keras model to flatbuffers. TensorFlow is imported here and nowhere above.

Every variant takes one uint8 RGB picture whose values mean themselves: normalisation is a layer inside. One picture at
a time, since a fixed shape is what the fast kernels of the runtimes want.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.errors import ModelError
from edge_agent.records import F32, U8

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

VARIANTS = ("float32", "float16", "dynamic", "int8")


@dataclass(frozen=True, slots=True)
class Converted:
    """A flatbuffer, how it was made, and the network's outputs in the order of the flatbuffer's own."""

    variant: str
    flatbuffer: bytes
    recipe: str


def load_keras(path: Path) -> Any:
    """The Keras model in a file, checked: one input (n, height, width, 3) with fixed height and width."""
    import keras

    try:
        model = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        if path.is_file() and path.suffix == ".keras" and not zipfile.is_zipfile(path):
            raise ModelError(f"{path} is damaged or cut off; copy it again, or train again") from None
        raise ModelError(
            f"{path} is no Keras model that this Keras reads: {' '.join(str(error).split())[:200]}"
        ) from None
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4 or None in model.inputs[0].shape[1:]:
        raise ModelError(
            f"{path} takes {[tuple(i.shape) for i in model.inputs]}; one input (n, height, width, 3) is wanted"
        )
    if model.inputs[0].shape[3] != 3:
        raise ModelError(f"{path} takes {model.inputs[0].shape[3]} channels; three (RGB) are wanted")
    return model


def input_size(model: Any) -> tuple[int, int]:
    """Width and height in pixels."""
    _, height, width, _ = model.inputs[0].shape
    return int(width), int(height)


def normalisation(model: Any) -> str:
    """What a layer at the front does to the picture, as `x / 127.5 - 1`; empty where that cannot be told."""
    first = next((layer for layer in model.layers if type(layer).__name__ != "InputLayer"), None)
    if type(first).__name__ != "Rescaling" or np.ndim(first.scale) or np.ndim(first.offset):
        return ""
    shift = "" if first.offset == 0 else f" {'-' if first.offset < 0 else '+'} {abs(first.offset):g}"
    return f"x / {1 / first.scale:g}{shift}"


def predict(model: Any, pictures: U8, batch: int = 32) -> list[F32]:
    """What Keras itself says: each output as float32 (n, ...) for uint8 RGB (n, height, width, 3)."""
    rows: list[list[F32]] = []
    for at in range(0, len(pictures), batch):
        part = pictures[at : at + batch].astype(np.float32)
        rows.append([np.asarray(out, np.float32) for out in _as_list(model(part, training=False))])
    return [np.concatenate(column) for column in zip(*rows, strict=True)]


def convert(model: Any, variant: str, calibration: U8, recipe: str = "plain") -> Converted:
    """One variant of a model.

    calibration: uint8 RGB (n, height, width, 3) that the quantiser sees; only int8 needs it.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    width, height = input_size(model)
    dtype = tf.float32 if variant == "int8" else tf.uint8

    @tf.function(input_signature=[tf.TensorSpec((1, height, width, 3), dtype, name="image")])
    def network(image: Any) -> Any:
        return _as_list(model(tf.cast(image, tf.float32), training=False))

    # the converter leaves Keras 3's variables as resources, which calibration cannot run
    frozen = convert_variables_to_constants_v2(network.get_concrete_function())
    return _convert(tf.lite.TFLiteConverter.from_concrete_functions([frozen]), variant, calibration, recipe)


def _convert(converter: Any, variant: str, calibration: U8, recipe: str) -> Converted:
    import tensorflow as tf

    # per channel they need FULLY_CONNECTED version 12, which tflite-runtime 2.14 lacks
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if variant != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if variant == "int8":
        from export.quantise import quantise

        return Converted(variant, quantise(converter, calibration, recipe), recipe)
    return Converted(variant, bytes(converter.convert()), "plain")


def samples(calibration: U8) -> Iterator[list[F32]]:
    """Calibration pictures one by one, as the quantiser wants them.

    The first has a black and a white pixel: the input's range has to be 0..255, else values would not mean themselves.
    """
    pictures = calibration.astype(np.float32)
    pictures[0, 0, 0], pictures[0, 0, 1] = 0.0, 255.0
    for picture in pictures:
        yield [picture[None]]


def _as_list(outputs: Any) -> list[Any]:
    if isinstance(outputs, dict):
        return list(outputs.values())
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]
