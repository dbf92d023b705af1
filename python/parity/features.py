"""Windows to audio features, and features to the context of one frame. Contract section 2."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

FEATURES = 512
CONTEXT_ROWS = 16
ROWS_BEFORE = 8
BATCH = 8

Float32 = npt.NDArray[np.float32]


def open_model(path: str) -> ort.InferenceSession:
    """One thread, CPU: the results of a run do not depend on the machine's core count."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def encode(session: ort.InferenceSession, windows: Float32) -> Float32:
    """[n, 80, 16] -> [n, 512]."""
    name = session.get_inputs()[0].name
    fixed = session.get_inputs()[0].shape[0]
    batch = fixed if isinstance(fixed, int) else BATCH
    parts = [np.empty((0, FEATURES), np.float32)]
    for start in range(0, len(windows), batch):
        piece = windows[start : start + batch, None]
        real = len(piece)
        if isinstance(fixed, int) and real < fixed:
            piece = np.concatenate([piece, np.repeat(piece[-1:], fixed - real, axis=0)])
        parts.append(session.run(None, {name: piece})[0][:real])
    return np.concatenate(parts)


def rows(features: Float32) -> Float32:
    """[n, 512] -> [n + 2, 512]: a copy of the first before, a copy of the last after."""
    if len(features) == 0:
        return features
    return np.concatenate([features[:1], features, features[-1:]])


def context(padded_rows: Float32, frame: int) -> Float32:
    """[n + 2, 512] -> [32, 16, 16]: rows frame-8 .. frame+7, zeros where there is none."""
    out = np.zeros((CONTEXT_ROWS, FEATURES), np.float32)
    first = frame - ROWS_BEFORE
    begin, end = max(first, 0), min(first + CONTEXT_ROWS, len(padded_rows))
    if begin < end:
        out[begin - first : end - first] = padded_rows[begin:end]
    return out.reshape(32, 16, 16)
