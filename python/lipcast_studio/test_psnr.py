"""PSNR against numbers reckoned by hand and OpenCV's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipcast_studio.psnr import SAME_DB, psnr_db


def test_it_is_opencvs() -> None:
    rng = np.random.default_rng(1)
    a, b = (rng.integers(0, 256, (40, 50, 3), dtype=np.uint8) for _ in range(2))
    assert psnr_db(a, b) == pytest.approx(cv2.PSNR(a, b), abs=1e-6)
    assert psnr_db(b, a) == pytest.approx(psnr_db(a, b))
    assert psnr_db(a / 255, b / 255, peak=1.0) == pytest.approx(psnr_db(a, b))


def test_one_level_everywhere_is_48_db_also_where_bytes_would_wrap() -> None:
    for low in (0, 127, 254):
        a, b = (np.full((4, 4), value, np.uint8) for value in (low, low + 1))
        assert psnr_db(a, b) == psnr_db(b, a) == pytest.approx(48.1308, abs=1e-4)


def test_equal_pictures_and_nearly_equal_ones_have_the_largest() -> None:
    a = np.full((4, 4), 0.5)
    assert psnr_db(a, a) == psnr_db(a, a + 1e-9, peak=1.0) == SAME_DB
