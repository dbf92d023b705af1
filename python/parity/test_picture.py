"""Pictures: mask, packing, unpacking and paste of the reference itself."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from parity import picture, pipeline

LAYOUT = picture.Layout(160, 4, (5, 5, 150, 145))


def textured(height: int, width: int) -> picture.Bgr:
    """[height, width, 3] smooth random colours."""
    small = np.random.default_rng(3).integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize(
    ("layout", "rectangle"),
    [(LAYOUT, (5, 5, 150, 145)), (picture.Layout(320, 4, (5, 5, 310, 305)), (5, 5, 310, 305))],
)
def test_the_mask_is_opencvs_filled_rectangle(layout: picture.Layout, rectangle: tuple[int, int, int, int]) -> None:
    resized = textured(layout.resized_px, layout.resized_px) | 1
    packed = picture.pack(resized, layout)
    inner = resized[layout.inner, layout.inner].copy()
    cv2.rectangle(inner, rectangle, (0, 0, 0), -1)
    assert (np.rint(packed[3:].transpose(1, 2, 0) * 255).astype(np.uint8) == inner).all()


def test_returning_the_unmasked_input_of_a_box_of_native_size_changes_one_level_at_most() -> None:
    frame = textured(240, 320)
    box = (60, 40, 60 + LAYOUT.resized_px, 40 + LAYOUT.resized_px)
    resized = picture.crop(frame, box, LAYOUT)
    mouth = picture.unpack(picture.pack(resized, LAYOUT)[:3])
    assert mouth is not None
    out = picture.paste(frame, box, resized, mouth, LAYOUT)
    difference = np.abs(out.astype(int) - frame)
    assert difference.max() <= 1
    inside = np.zeros(frame.shape[:2], bool)
    inside[44:204, 64:224] = True
    assert difference[~inside].max() == 0


def test_unpack_truncates_clamps_and_refuses_what_is_not_finite() -> None:
    output = np.full((3, 2, 2), 0.5, np.float32)
    output[0, 0] = [-1, 2]
    levels = picture.unpack(output)
    assert levels is not None
    assert levels[0, :, 0].tolist() == [0, 255] and levels[1, 1].tolist() == [127] * 3
    for bad in (np.nan, np.inf, -np.inf):
        output[2, 1, 1] = bad
        assert picture.unpack(output) is None


@pytest.mark.parametrize(
    ("order", "indices"),
    [
        ("loop", [0, 1, 2, 3, 0, 1, 2, 3, 0]),
        ("bounce", [0, 1, 2, 3, 2, 1, 0, 1, 2]),
        ("hold", [0, 1, 2, 3, 3, 3, 3, 3, 3]),
    ],
)
def test_background_order(order: str, indices: list[int]) -> None:
    assert [pipeline.background_index(i, 4, order) for i in range(9)] == indices
    assert [pipeline.background_index(i, 1, order) for i in range(3)] == [0, 0, 0]
