"""Weights and inputs that anyone can make again: the ones golden.json was computed with."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch


def _generator(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def weight(key: str, shape: Sequence[int]) -> torch.Tensor:
    """A tensor for that state-dict key, seeded by the key."""
    rng = _generator(key)
    if key.endswith("num_batches_tracked"):
        return torch.zeros(tuple(shape), dtype=torch.int64)
    if key.endswith("running_var"):
        values = rng.uniform(0.5, 1.5, shape)
    elif key.endswith("running_mean"):
        values = rng.normal(0, 0.1, shape)
    elif len(shape) >= 2:
        values = rng.normal(0, np.sqrt(1 / np.prod(shape[1:])), shape)
    elif key.endswith("weight"):
        values = rng.uniform(0.6, 1.4, shape)
    else:
        values = rng.normal(0, 0.05, shape)
    return torch.from_numpy(np.asarray(values).astype(np.float32))


def network_input(name: str, shape: Sequence[int]) -> torch.Tensor:
    """In 0..1, seeded by the input's name."""
    return torch.from_numpy(_generator(name).uniform(0, 1, shape).astype(np.float32))
