"""How well two tracks of mouth openings agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def correlation(a: ArrayLike, b: ArrayLike) -> float:
    """Pearson's r of two tracks [n]; 0 where one of them does not move."""
    x, y = np.asarray(a, float), np.asarray(b, float)
    x, y = x - np.mean(x), y - np.mean(y)
    scale = np.sqrt((x * x).sum() * (y * y).sum())
    return float((x * y).sum() / scale) if scale > 0 else 0.0


def lagged_correlation(output: ArrayLike, truth: ArrayLike, lag: int) -> float:
    """r of output[i + lag] with truth[i]: a positive lag means that the output is late."""
    x, y = np.asarray(output), np.asarray(truth)
    n = min(len(x), len(y))
    first, last = max(0, -lag), min(n, n - lag)
    return correlation(x[first + lag : last + lag], y[first:last])


def best_lag(output: ArrayLike, truth: ArrayLike, reach: int = 10) -> int:
    """The lag in frames, -reach..reach, at which output follows truth best."""
    return common_lag([(output, truth)], reach)


def common_lag(pairs: Sequence[tuple[ArrayLike, ArrayLike]], reach: int = 10) -> int:
    """The one lag at which all outputs follow their truths best, in the mean of r; of equals the nearest to 0."""
    lags = sorted(range(-reach, reach + 1), key=abs)
    return max(lags, key=lambda lag: float(np.mean([lagged_correlation(a, b, lag) for a, b in pairs])))
