"""Full-integer quantisation, plain and better.

plain: ranges from the least to the largest value seen, weights per channel.
clipped: the range of each tensor that loses least, by mean squared error over the calibration pictures.
float-head: as clipped, with the last dense layers and the softmax left in float.
"""

from __future__ import annotations

from typing import Any

from edge_agent.records import U8

RECIPES = ("plain",)


def quantise(converter: Any, calibration: U8, recipe: str) -> bytes:
    """The flatbuffer of a converter that was set up for a float32 picture."""
    import tensorflow as tf

    from export.convert import samples

    converter.representative_dataset = lambda: samples(calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8
    return bytes(converter.convert())
