"""The layers that do not learn, run by LiteRT: XNNPACK needs a third of the time that TensorFlow's kernels take."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from edge_agent.records import F32, U8


def fast_stem(stem: keras.Model, batch: int, size: int) -> Callable[[U8], F32]:
    """RGB uint8 (batch, size, size, 3) to what the stem gives, float32; one thread at a time may call it."""
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    @tf.function(input_signature=[tf.TensorSpec((batch, size, size, 3), tf.float32)])
    def network(image: tf.Tensor) -> tf.Tensor:
        return stem(image, training=False)

    frozen = convert_variables_to_constants_v2(network.get_concrete_function())
    flatbuffer = tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert()
    interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(images: U8) -> F32:
        interpreter.set_tensor(given, images.astype(np.float32))
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(made), np.float32)

    return run
