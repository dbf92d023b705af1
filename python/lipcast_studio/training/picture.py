"""What the networks see of a frame, exactly as the engine cuts it (docs/numerics.md). numpy and OpenCV only."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

BORDER_PX = 4

Picture = npt.NDArray[np.uint8]


def inner_of_crop(crop: Picture, inner_px: int = 160, border_px: int = BORDER_PX) -> Picture:
    """Crop square, any size -> [S,S,3]: cubic to S and a border on each side, the border off."""
    side = inner_px + 2 * border_px
    whole = cv2.resize(crop, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(whole[border_px : side - border_px, border_px : side - border_px], np.uint8)


def inner_picture(frame: Picture, box: Sequence[int], inner_px: int = 160, border_px: int = BORDER_PX) -> Picture:
    """Frame [H,W,3] BGR and its half-open box -> inner picture [S,S,3]."""
    x0, y0, x1, y1 = box
    return inner_of_crop(frame[y0:y1, x0:x1], inner_px, border_px)


def with_inner_picture(frame: Picture, box: Sequence[int], inner: Picture) -> Picture:
    """A copy of the frame whose box shows `inner` [S,S,3], pasted as the engine does."""
    x0, y0, x1, y1 = box
    side = len(inner) + 2 * BORDER_PX
    whole = cv2.resize(frame[y0:y1, x0:x1], (side, side), interpolation=cv2.INTER_CUBIC)
    whole[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = inner
    out = frame.copy()
    out[y0:y1, x0:x1] = cv2.resize(whole, (x1 - x0, y1 - y0), interpolation=cv2.INTER_CUBIC)
    return out


def mask_of(inner_px: int) -> tuple[slice, slice]:
    """Rows and columns that the model is not shown: 5..149, 5..154 of 160; 5..309, 5..314 of 320."""
    return slice(5, inner_px - 10), slice(5, inner_px - 5)


def network_input(inner: Picture, mask: tuple[slice, slice] | None = None) -> npt.NDArray[np.float32]:
    """[S,S,3] uint8 -> [6,S,S] float32: the picture, then the same with the mask (else mask_of) zeroed."""
    picture = inner.transpose(2, 0, 1).astype(np.float32) / 255
    masked = picture.copy()
    rows, columns = mask or mask_of(len(inner))
    masked[:, rows, columns] = 0
    return np.concatenate([picture, masked])


def of_output(output: npt.NDArray[np.float32]) -> Picture:
    """The model's [3,S,S] -> [S,S,3] uint8: x255, truncated."""
    return (output * 255).astype(np.uint8).transpose(1, 2, 0)
