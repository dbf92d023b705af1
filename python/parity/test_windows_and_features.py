"""Windows and feature rows: the index arithmetic of the contract, spelt as its own tables."""

from __future__ import annotations

import numpy as np
import pytest

from parity import features, windows


def test_window_starts_are_the_contracts() -> None:
    assert [windows.first_mel_frame(i) for i in range(7)] == [0, 3, 6, 9, 12, 16, 19]
    assert {i: windows.first_mel_frame(i) for i in (10, 24)} == {10: 32, 24: 76}
    starts = [windows.first_mel_frame(i) for i in range(200_000)]
    assert starts == [int(80.0 * (i / 25.0)) for i in range(200_000)]


@pytest.mark.parametrize(("mel_frames", "count"), [(81, 22), (1674, 520), (481, 147)])
def test_the_reference_counts_one_window_past_the_last_that_fits(mel_frames: int, count: int) -> None:
    assert windows.reference_count(mel_frames) == count


def test_the_reference_refuses_less_than_one_window() -> None:
    with pytest.raises(ValueError, match="15 frames"):
        windows.reference_count(15)


@pytest.mark.parametrize(
    ("samples", "frames"),
    [(0, 0), (1, 1), (640, 1), (641, 2), (1600, 3), (3199, 5), (3200, 5), (3201, 6), (96000, 150)],
)
def test_frames_are_the_ceiling_of_duration_times_rate(samples: int, frames: int) -> None:
    assert windows.count_for_samples(samples) == frames


def test_a_window_is_band_major_and_the_last_slides_back() -> None:
    mel = np.arange(20 * 80, dtype=np.float32).reshape(20, 80)
    cut = windows.cut(mel, 3)
    assert cut.shape == (3, 80, 16)
    assert (cut[1] == mel[3:19].T).all()
    assert (cut[2] == mel[4:20].T).all()


def test_enough_samples_for_the_last_window_and_not_one_mel_frame_less() -> None:
    for count in (1, 2, 25, 150):
        mel_frames = 1 + windows.samples_needed(count) // 200
        assert mel_frames == windows.first_mel_frame(count - 1) + 16


def test_context_of_frame_i_holds_window_i_at_row_9_and_zeros_outside() -> None:
    encoded = np.repeat(np.arange(1, 31, dtype=np.float32)[:, None], 512, axis=1)
    rows = features.rows(encoded)
    assert (rows[0] == rows[1]).all() and (rows[-1] == rows[-2]).all()
    for frame in (0, 8, 12, 29):
        context = features.context(rows, frame).reshape(16, 512)
        assert context[9, 0] == frame + 1
        for row in range(16):
            index = frame - 8 + row
            want = rows[index, 0] if 0 <= index < len(rows) else 0
            assert (context[row] == want).all()
