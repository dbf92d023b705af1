"""Peak signal-to-noise ratio, the one way it is reckoned here."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

SAME_DB = 100.0  # of equal pictures, and of those that differ less


def psnr_db(a: npt.NDArray[Any], b: npt.NDArray[Any], peak: float = 255.0) -> float:
    """Of two arrays of one shape, at most SAME_DB; all their values count alike."""
    error = float(((a.astype(np.float64) - b) ** 2).mean())
    return min(SAME_DB, 10 * float(np.log10(peak**2 / error))) if error else SAME_DB
