"""AdamW whose steps are shares of each channel's size.

Batch norm was folded into the kernels (network.py), and with it the statistics that kept them all of one size: an
expanding kernel of the backbone has values of about 0.07, a projecting one of up to 3.8. A step of one size for all is
then too long for some and stands still for others. A step of a share of what it changes is what training with batch
norm amounts to (parameter scaling: Adafactor, Shazeer and Stern, ICML 2018; a layer at a time: LAMB, You et al., ICLR
2020); here it is taken a channel at a time, as batch norm is.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

SMALLEST_SIZE = 0.02  # a channel that died may come back
BIAS_SIZE = 0.1


class ChannelScaledAdamW(keras.optimizers.AdamW):
    """`learning_rate` is the share by which a step changes a channel's kernel, about; biases move by a tenth of it."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        super().update_step(gradient, variable, ops.cast(learning_rate, variable.dtype) * channel_sizes(variable))


def channel_sizes(variable: Any) -> Any:
    """Root mean square of each output channel of a kernel (h, w, in, out), or of a depthwise one (h, w, channels, 1).

    It broadcasts to the kernel. One number for a bias.
    """
    if len(variable.shape) != 4:
        return BIAS_SIZE
    depthwise = variable.shape[0] > 1 and variable.shape[3] == 1
    axes = (0, 1) if depthwise else (0, 1, 2)
    size = ops.sqrt(ops.mean(ops.square(ops.convert_to_tensor(variable)), axis=axes, keepdims=True))
    return ops.maximum(size, SMALLEST_SIZE)
