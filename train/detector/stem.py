"""A float network run by LiteRT: XNNPACK needs a third of the time that TensorFlow's kernels take."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from edge_agent.records import F32, U8


def fast_stem(stem: keras.Model, batch: int, size: int) -> Callable[[U8], F32]:
    """The layers that do not learn: RGB uint8 (batch, size, size, 3) to what they give, float32."""
    run = fast(stem, batch, size, size)
    return lambda images: run(images)[0]


def fast(network: keras.Model, batch: int, height: int, width: int) -> Callable[[U8], list[F32]]:
    """RGB uint8 (batch, height, width, 3) to each output, float32; one thread at a time may call it."""
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    @tf.function(input_signature=[tf.TensorSpec((batch, height, width, 3), tf.float32)])
    def forward(image: tf.Tensor) -> list[tf.Tensor]:
        outputs = network(image, training=False)
        return list(outputs) if isinstance(outputs, list | tuple) else [outputs]

    frozen = convert_variables_to_constants_v2(forward.get_concrete_function())
    flatbuffer = tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert()
    interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]["index"]
    made = [detail["index"] for detail in interpreter.get_output_details()]

    def run(images: U8) -> list[F32]:
        interpreter.set_tensor(given, images.astype(np.float32))
        interpreter.invoke()
        return [np.asarray(interpreter.get_tensor(index), np.float32) for index in made]

    return run
