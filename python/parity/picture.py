"""Frame to model input, and model output back into the frame. Contract section 3."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Bgr = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Layout:
    """Where the redrawn part sits inside the box; pixels of the resized crop.

    mask: (x, y, width, height) inside the inner square. masked_first: Wav2Lip's order of the two copies.
    interpolation: OpenCV's, cubic for SyncTalk_2D, linear for the others.
    """

    inner_px: int
    border_px: int
    mask: tuple[int, int, int, int]
    masked_first: bool = False
    interpolation: int = cv2.INTER_CUBIC

    @property
    def resized_px(self) -> int:
        """Side of the resized crop."""
        return self.inner_px + 2 * self.border_px

    @property
    def inner(self) -> slice:
        """Rows (and columns) of the inner square in the resized crop."""
        return slice(self.border_px, self.border_px + self.inner_px)


def resize(picture: Bgr, width: int, height: int, interpolation: int = cv2.INTER_CUBIC) -> Bgr:
    """By OpenCV, the kernel of record."""
    return cv2.resize(picture, (width, height), interpolation=interpolation)


def crop(frame: Bgr, box: tuple[int, int, int, int], layout: Layout) -> Bgr:
    """[H, W, 3] and (x0, y0, x1, y1) half-open -> [R, R, 3]."""
    x0, y0, x1, y1 = box
    side = layout.resized_px
    return resize(np.ascontiguousarray(frame[y0:y1, x0:x1]), side, side, layout.interpolation)


def pack(resized: Bgr, layout: Layout) -> Float32:
    """[R, R, 3] -> [6, S, S] in 0..1: the inner picture BGR and the same with the mask zeroed, in the family's order."""
    inner = resized[layout.inner, layout.inner]
    masked = inner.copy()
    x, y, width, height = layout.mask
    masked[y : y + height, x : x + width] = 0
    copies = [masked, inner] if layout.masked_first else [inner, masked]
    both = np.concatenate(copies, axis=2).transpose(2, 0, 1)
    return np.ascontiguousarray(both).astype(np.float32) / np.float32(255)


def unpack(output: Float32) -> Bgr | None:
    """[3, S, S] -> [S, S, 3], x255, clamped and truncated. None where any value is not finite."""
    if not np.isfinite(output).all():
        return None
    levels = np.clip(output * np.float32(255), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(levels.transpose(1, 2, 0))


def paste(frame: Bgr, box: tuple[int, int, int, int], resized: Bgr, mouth: Bgr, layout: Layout) -> Bgr:
    """A copy of `frame` with the mouth [S, S, 3] written through the resized crop into the box."""
    x0, y0, x1, y1 = box
    whole = resized.copy()
    whole[layout.inner, layout.inner] = mouth
    out = frame.copy()
    out[y0:y1, x0:x1] = resize(whole, x1 - x0, y1 - y0, layout.interpolation)
    return out
