"""The operations of augmentation, each with its own numbers for every sample of a batch.

On an accelerator an operation is a few kernels over the whole batch. On the CPU the images are taken one by one, or a
few at a time, because that is what fits the caches; `tests/bench/input.py` compares with torchvision, sample by sample.
Images are (n, channels, side, side); what the operations draw is described at `scaler.data.augmentation.Draws`.
"""

import torch
from torch.nn import functional

_CHUNK = 100_000
"""Elements that are worked on at a time on the CPU: as float32 they stay in the second-level cache."""
_GREY = (0.2989, 0.587, 0.114)
"""Red, green and blue in grey, as torchvision's `rgb_to_grayscale` weighs them."""


def chunk_length(images: torch.Tensor) -> int:
    """How many of the images to work on at a time: a few on the CPU, elsewhere all."""
    count = max(1, len(images))
    return min(count, 1 + _CHUNK * count // max(1, images.numel())) if images.device.type == "cpu" else count


def shift_and_mirror(images: torch.Tensor, shift: torch.Tensor | None, mirror: torch.Tensor | None) -> torch.Tensor:
    """Images moved up and left by `shift` pixels, the edge filled with black; then mirrored where `mirror` says so."""
    shift = torch.zeros(len(images), 2, dtype=torch.int64) if shift is None else shift
    mirror = torch.zeros(len(images), dtype=torch.bool) if mirror is None else mirror
    return (_shift_one_by_one if images.device.type == "cpu" else _shift_at_once)(images, shift, mirror)


def _shift_one_by_one(images: torch.Tensor, shift: torch.Tensor, mirror: torch.Tensor) -> torch.Tensor:
    shifted = torch.zeros_like(images)
    # numpy slices and copies an image in a tenth of the time that torch's dispatcher takes
    source, target = images.numpy(), shifted.numpy()
    side = images.shape[-1]
    for sample, (down, right, mirrored) in enumerate(zip(*shift.T.tolist(), mirror.tolist(), strict=True)):
        rows, columns = max(0, side - abs(down)), max(0, side - abs(right))
        top, left = max(down, 0), max(right, 0)
        part = source[sample, :, top : top + rows, left : left + columns]
        to_top, to_left = max(-down, 0), max(-right, 0)
        if mirrored:  # the place counts from the other edge
            part, to_left = part[:, :, ::-1], left
        target[sample, :, to_top : to_top + rows, to_left : to_left + columns] = part
    return shifted


def _shift_at_once(images: torch.Tensor, shift: torch.Tensor, mirror: torch.Tensor) -> torch.Tensor:
    count, _, side, _ = images.shape
    device = images.device
    pad = int(shift.abs().max()) if count else 0
    padded = functional.pad(images, (pad, pad, pad, pad))
    along = torch.arange(side, device=device)
    rows, columns = (shift + pad).T[:, :, None].to(device) + along
    mirrored = (shift[:, 1:] + pad).to(device) + along.flip(0)
    columns = torch.where(mirror[:, None].to(device), mirrored, columns)
    sample = torch.arange(count, device=device).view(-1, 1, 1)
    return padded.permute(0, 2, 3, 1)[sample, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def resized_crop(images: torch.Tensor, crop: torch.Tensor) -> torch.Tensor:
    """The part of each uint8 image in its rectangle `crop`, enlarged to the whole, bilinearly.

    On the CPU and elsewhere the rounding may differ, by 1 of 255.
    """
    return (_resize_one_by_one if images.device.type == "cpu" else _resize_at_once)(images, crop)


def _resize_one_by_one(images: torch.Tensor, crop: torch.Tensor) -> torch.Tensor:
    resized = torch.empty_like(images)
    size = images.shape[-2:]
    for sample, (top, left, height, width) in enumerate(crop.tolist()):
        part = images[sample : sample + 1, :, top : top + height, left : left + width]
        resized[sample] = functional.interpolate(part, size, mode="bilinear", align_corners=False)[0]
    return resized


def _resize_at_once(images: torch.Tensor, crop: torch.Tensor) -> torch.Tensor:
    count, _, side, _ = images.shape
    # (2, n, 1) each: rows first, then columns
    start, length = crop.to(images.device, torch.float32).T.reshape(2, 2, count, 1)
    middles = start + length * (torch.arange(side, device=images.device) + 0.5) / side
    # half a pixel from its edges the crop's own outermost pixels count: what lies outside is not mixed in
    rows, columns = torch.minimum(torch.maximum(middles, start + 0.5), start + length - 0.5) * (2 / side) - 1
    grid = torch.stack((columns[:, None, :].expand(count, side, side), rows[:, :, None].expand(count, side, side)), -1)
    resized = functional.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return resized.round_().to(torch.uint8)


def jitter(images: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """float32 images of other brightness, then contrast, then saturation, by the factors of each sample.

    Defined as torchvision's `adjust_brightness`, `adjust_contrast` and `adjust_saturation` on float images: the image
    is mixed with black, with the mean of its grey, with its grey, and cut off at 0 and 255 each time.
    """
    length = chunk_length(images)
    jittered = torch.empty(images.shape, device=images.device)
    parts = zip(images.split(length), jittered.split(length), factors.to(images.device).split(length), strict=True)
    for source, target, part in parts:
        brightness, contrast, *saturation = part[:, :, None, None, None].unbind(1)
        torch.mul(source, brightness, out=target).clamp_(max=255)
        mean = _grey(target).mean(dim=(1, 2, 3), keepdim=True)
        target.mul_(contrast).add_(mean.mul_(1 - contrast)).clamp_(0, 255)
        for factor in saturation:
            grey = _grey(target)
            target.mul_(factor).add_(grey.mul_(1 - factor)).clamp_(0, 255)
    return jittered


def _grey(images: torch.Tensor) -> torch.Tensor:
    """Float images (n, 1 or 3, side, side) in grey: (n, 1, side, side)."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images[:, 0:1], images[:, 1:2], images[:, 2:3]
    return (red * _GREY[0]).add_(green, alpha=_GREY[1]).add_(blue, alpha=_GREY[2])


def erase(images: torch.Tensor, erased: torch.Tensor) -> torch.Tensor:
    """Images, uint8 or float, with the rectangle `erased` filled with the image's mean colour."""
    return (_erase_one_by_one if images.device.type == "cpu" else _erase_at_once)(images, erased)


def _erase_one_by_one(images: torch.Tensor, erased: torch.Tensor) -> torch.Tensor:
    images = images.clone()
    for sample in erased[:, 2].nonzero()[:, 0].tolist():
        top, left, height, width = erased[sample].tolist()
        images[sample, :, top : top + height, left : left + width] = _mean_color(images[sample])
    return images


def _erase_at_once(images: torch.Tensor, erased: torch.Tensor) -> torch.Tensor:
    start, length = erased.to(images.device).T.reshape(2, 2, len(images), 1)
    along = torch.arange(images.shape[-1], device=images.device)
    rows, columns = (start <= along) & (along < start + length)
    return torch.where((rows[:, :, None] & columns[:, None, :])[:, None], _mean_color(images), images)


def _mean_color(images: torch.Tensor) -> torch.Tensor:
    """(…, channels, 1, 1) of the images' own type."""
    mean = images.mean(dim=(-2, -1), keepdim=True, dtype=torch.float32)
    return mean if images.is_floating_point() else mean.round().to(images.dtype)
