"""From pixels to what a network reads."""

import torch

from scaler.data.dataset import Dataset
from scaler.data.operations import chunk_length


def normalize(images: torch.Tensor, data: Dataset, layout: torch.memory_format = torch.channels_last) -> torch.Tensor:
    """Images of 0 to 255 as float32 of zero mean and unit variance over the training split, in the given layout.

    `images` is (n, channels, side, side), uint8 or float, of any layout. What comes out is new memory whose strides are
    the layout's own also where layouts coincide, in grey images: convolutions tell the layout by them.
    """
    scale = torch.tensor([1 / (255 * std) for std in data.std], device=images.device).view(-1, 1, 1)
    offset = torch.tensor([-mean / std for mean, std in zip(data.mean, data.std, strict=True)], device=images.device)
    offset = offset.view(-1, 1, 1)
    normalized = torch.empty(images.shape, device=images.device, memory_format=layout)
    source, target = images, normalized
    if layout is torch.channels_last and images.is_contiguous(memory_format=layout):
        # an inner loop over the 3 channels is slow; over a whole row, with the constants repeated, it is not
        width = images.shape[-1]
        source, target = (batch.permute(0, 2, 3, 1).flatten(2) for batch in (images, normalized))
        scale, offset = scale.flatten().repeat(width), offset.flatten().repeat(width)
    # on the CPU a few at a time: whole batches of intermediate results would take longer than the arithmetic
    length = chunk_length(images)
    for part, place in zip(source.split(length), target.split(length), strict=True):
        place.copy_(torch.mul(part, scale).add_(offset))
    return normalized
