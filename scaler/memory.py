"""How much memory a training takes, from a network's exact cost: for those who let several share an accelerator."""

import numpy as np

from scaler.cost import Cost

_KEPT = 4 * 3.5
"""Bytes that a training keeps for its gradients, by activation, with float32.

Batch norms and activation functions keep copies of what convolutions put out: 1.4 numbers an activation for VGG-11, 1.9
to 2.1 for ResNets, 3.3 for EfficientNet-B0, measured with `torch.autograd.graph.saved_tensors_hooks`.
"""
_PARAMETER = 4 * 5
"""Bytes by parameter: itself, its gradient, two moments of AdamW, its running average."""


def training_bytes(cost: Cost, batch_size: int) -> int:
    """An upper estimate of what a training with float32 and AdamW holds, beside what CUDA takes for itself (half a
    gigabyte or so).

    cost        of one network or, as arrays, of many: then of the one that takes most
    batch_size  images at a time
    """
    return int(np.max(_KEPT * cost.activations * batch_size + _PARAMETER * cost.params))
