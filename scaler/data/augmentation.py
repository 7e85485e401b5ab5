"""Augmentation of a batch on its device, drawn per sample."""

import torch
from torch.nn import functional


def augment(images: torch.Tensor, *, shift: float, flip: bool, generator: torch.Generator) -> torch.Tensor:
    """Shifted (by up to `shift` of the side, the edge filled with black) and mirrored images, drawn per sample.

    `images` is uint8 (n, channels, side, side) on any device; `generator` lives on the CPU.
    """
    count, _, side, _ = images.shape
    pad = round(shift * side)
    if pad:
        padded = functional.pad(images, (pad, pad, pad, pad))
        offsets = torch.randint(0, 2 * pad + 1, (2, count, 1), generator=generator).to(images.device)
        rows, columns = offsets + torch.arange(side, device=images.device)
        sample = torch.arange(count, device=images.device).view(-1, 1, 1)
        images = padded.permute(0, 2, 3, 1)[sample, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if flip:
        mirrored = torch.rand(count, generator=generator).to(images.device) < 0.5
        images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)
    return images
