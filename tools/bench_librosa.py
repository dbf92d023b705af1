"""Mel of one second: ours against librosa's, interleaved in one run. Called by tools/run_benches."""

import json
import statistics
import subprocess
import sys
import time

import librosa
import numpy

ROUNDS = 7
BANK = librosa.filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=55, fmax=7600)


def ours_us(bench):
    done = subprocess.run(
        [
            bench,
            "--benchmark_filter=Pieces/3200",
            "--benchmark_min_time=0.2",
            "--benchmark_format=json",
        ],
        check=True,
        capture_output=True,
    )
    return json.loads(done.stdout)["benchmarks"][0]["real_time"]  # in us


def librosa_mel(sound):
    emphasised = numpy.append(sound[0], sound[1:] - numpy.float32(0.97) * sound[:-1])
    spectrum = librosa.stft(emphasised, n_fft=800, hop_length=200, pad_mode="constant")
    level = 20 * numpy.log10(numpy.maximum(1e-5, BANK @ numpy.abs(spectrum))) - 20
    return numpy.clip(8 * (level + 100) / 100 - 4, -4, 4)


def librosa_us(sound):
    start = time.perf_counter()
    for _ in range(50):
        librosa_mel(sound)
    return (time.perf_counter() - start) / 50 * 1e6


def main():
    noise = numpy.random.default_rng(1).standard_normal(16000)
    sound = (0.1 * noise).astype(numpy.float32)
    librosa_mel(sound)
    pairs = [(ours_us(sys.argv[1]), librosa_us(sound)) for _ in range(ROUNDS)]
    ratios = sorted(theirs / ours for ours, theirs in pairs)
    print(
        f"mel of 1 s: ours {statistics.median(p[0] for p in pairs):.0f} us, "
        f"librosa {statistics.median(p[1] for p in pairs):.0f} us, "
        f"ratio {ratios[0]:.1f} .. {ratios[-1]:.1f}, median {statistics.median(ratios):.1f}"
    )


if __name__ == "__main__":
    main()
