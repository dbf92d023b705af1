"""Writes what OpenCV and NumPy make of known pictures, for the tests of lipcast/imaging.

    python lipcast/imaging/testdata/make_golden.py [--shapes 2000]

resize_golden.bin: little-endian int32 count, then for each picture int32 src_w, src_h, dst_w,
    dst_h, channels and the dst bytes of cv2.resize(INTER_CUBIC). The source is `noise` below.
resize_linear_golden.bin: the same of INTER_LINEAR.
pack_golden.bin: float32 v / 255 for v = 0..255, then for each of the two mouth families int32
    inner_px and the filled rectangle of OpenCV as inner_px * inner_px / 8 bytes, low bit first.

It also compares the arithmetic of resize_reference.cc with OpenCV over many random shapes and
fails when any level differs by more than 1. The stored pictures come from OpenCV's own fixed-point
code; its wheels for x86 may take Intel's library instead, which is compared as well.
"""

import argparse
import pathlib
import struct
import sys

import cv2
import numpy as np

FOLDER = pathlib.Path(__file__).parent

# (src_w, src_h, dst_w, dst_h, channels)
SHAPES = [
    (1, 1, 1, 1, 3), (1, 1, 7, 5, 3), (9, 7, 1, 1, 3), (1, 9, 1, 21, 3), (9, 1, 21, 1, 3),
    (1, 13, 6, 5, 3), (13, 1, 5, 6, 3), (2, 2, 3, 3, 3), (2, 3, 5, 4, 4), (3, 2, 2, 3, 1),
    (3, 3, 9, 9, 3), (4, 4, 4, 4, 3), (4, 4, 5, 5, 1), (5, 5, 4, 4, 3), (7, 5, 14, 10, 3),
    (16, 16, 8, 8, 3), (16, 16, 8, 8, 1), (17, 19, 23, 29, 3), (31, 33, 32, 32, 4),
    (33, 31, 32, 34, 3), (40, 30, 13, 11, 3), (41, 23, 57, 31, 4), (64, 36, 41, 23, 1),
    (64, 48, 65, 49, 3), (75, 75, 24, 24, 3), (84, 84, 92, 92, 3), (92, 92, 84, 84, 3),
    (96, 96, 71, 83, 3), (100, 60, 33, 20, 4), (101, 67, 50, 33, 3), (120, 90, 31, 71, 1),
    (168, 168, 184, 184, 1), (184, 184, 168, 168, 1), (328, 328, 97, 101, 1), (641, 361, 64, 36, 3),
    (1280, 3, 640, 2, 3), (3, 500, 2, 499, 3), (8192, 1, 61, 2, 3), (8191, 2, 60, 3, 1),
    (3, 2, 8191, 1, 1), (5, 1, 8192, 1, 1), (1, 8192, 1, 300, 3),
]  # fmt: skip


def noise(count: int, seed: int) -> np.ndarray:
    """The upper byte of a linear congruential sequence; the C++ test makes the same."""
    state, out = seed, np.empty(count, np.uint8)
    for i in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        out[i] = state >> 24
    return out


def cubic_axis(src: int, dst: int, kernel: int) -> tuple[np.ndarray, np.ndarray]:
    """First tap and four weights in 1/2048 of every destination pixel, as in MakeCubicAxis."""
    f32 = np.float32
    scale = 1.0 / (dst / src)
    centre = ((np.arange(dst) + 0.5) * scale - 0.5).astype(f32)
    cell = np.floor(centre)
    x = centre - cell
    a = f32(-0.75)
    one = f32(1)
    far = ((a * (x + one) - f32(5) * a) * (x + one) + f32(8) * a) * (x + one) - f32(4) * a

    def near(d: np.ndarray) -> np.ndarray:
        return ((a + f32(2)) * d - (a + f32(3))) * d * d + one

    weights = np.stack([far, near(x), near(one - x), one - far - near(x) - near(one - x)], -1)
    if kernel == cv2.INTER_LINEAR:
        weights = np.stack([0 * x, one - x, x, 0 * x], -1)
    return cell.astype(int) - 1, np.rint(weights * f32(2048)).astype(np.int64)


def plain_resize(picture: np.ndarray, dst_w: int, dst_h: int, kernel: int) -> np.ndarray:
    """The arithmetic of resize_reference.cc; picture is [h][w][channels] uint8."""
    height, width = picture.shape[:2]
    if (width, height) == (dst_w, dst_h):
        return picture.copy()
    first, weight = cubic_axis(width, dst_w, kernel)
    taps = np.clip(first[:, None] + np.arange(4), 0, width - 1)
    rows = (picture[:, taps].astype(np.int64) * weight[None, :, :, None]).sum(2)
    rows = (rows + 16) >> 5
    assert rows.min() >= -32768 and rows.max() <= 32767
    first, weight = cubic_axis(height, dst_h, kernel)
    taps = np.clip(first[:, None] + np.arange(4), 0, height - 1)
    out = (rows[taps] * weight[:, :, None, None]).sum(1)
    return np.clip((out + (1 << 16)) >> 17, 0, 255).astype(np.uint8)


def opencv_resize(picture: np.ndarray, dst_w: int, dst_h: int, kernel: int) -> np.ndarray:
    out = cv2.resize(picture, (dst_w, dst_h), interpolation=kernel)
    return out.reshape(dst_h, dst_w, picture.shape[2])


def compare_many(count: int, kernel: int) -> int:
    """Prints and returns the largest difference from OpenCV over `count` random shapes."""
    random = np.random.default_rng(11)
    worst, unequal, values = [0, 0], [0, 0], 0
    for i in range(count):
        limit = (4, 40, 400, 1300)[i % 4]
        src_w, src_h, dst_w, dst_h = random.integers(1, limit + 1, 4)
        if i % 50 == 0:
            src_w, src_h, dst_h = random.integers(8000, 8193), random.integers(1, 9), 3
        if i % 50 == 1:
            dst_w, src_h, dst_h = random.integers(8000, 8193), random.integers(1, 9), 3
        channels = (1, 3, 4)[i % 3]
        picture = random.integers(0, 256, (src_h, src_w, channels), np.uint8)
        if i % 5 == 0:  # black and white swings furthest
            picture = (picture & 128) // 128 * np.uint8(255)
        ours = plain_resize(picture, dst_w, dst_h, kernel).astype(int)
        values += ours.size
        for with_ipp in (0, 1):
            cv2.ipp.setUseIPP(bool(with_ipp))
            difference = np.abs(ours - opencv_resize(picture, dst_w, dst_h, kernel))
            worst[with_ipp] = max(worst[with_ipp], int(difference.max()))
            unequal[with_ipp] += int((difference > 0).sum())
    for with_ipp, name in enumerate(("its own code", "Intel IPP")):
        print(
            f"OpenCV {cv2.__version__}, {name}, interpolation {kernel}: {count} shapes, max difference {worst[with_ipp]}, "
            f"{100 * unequal[with_ipp] / values:.3f} % of the levels unequal"
        )
    cv2.ipp.setUseIPP(False)
    return max(worst)


def write_resize(name: str, kernel: int) -> None:
    parts = [struct.pack("<i", len(SHAPES))]
    for index, (src_w, src_h, dst_w, dst_h, channels) in enumerate(SHAPES):
        source = noise(src_w * src_h * channels, index).reshape(src_h, src_w, channels)
        parts.append(struct.pack("<5i", src_w, src_h, dst_w, dst_h, channels))
        parts.append(opencv_resize(source, dst_w, dst_h, kernel).tobytes())
    (FOLDER / name).write_bytes(b"".join(parts))


def write_pack() -> None:
    levels = np.arange(256, dtype=np.uint8).astype(np.float32) / 255.0
    parts = [levels.astype("<f4").tobytes()]
    # The rectangles as the training code draws them: x, y, width, height.
    for inner, rectangle in ((160, (5, 5, 150, 145)), (320, (5, 5, 310, 305))):
        canvas = np.full((inner, inner), 255, np.uint8)
        cv2.rectangle(canvas, rectangle, 0, -1)
        rows, columns = np.nonzero(canvas == 0)
        spans = f"rows {rows.min()}..{rows.max()}, columns {columns.min()}..{columns.max()}"
        print(f"inner {inner}: {spans}")
        parts.append(struct.pack("<i", inner))
        parts.append(np.packbits(canvas == 0, bitorder="little").tobytes())
    (FOLDER / "pack_golden.bin").write_bytes(b"".join(parts))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", type=int, default=2000, help="random shapes to compare")
    shapes = parser.parse_args().shapes
    worst = max(compare_many(shapes, kernel) for kernel in (cv2.INTER_CUBIC, cv2.INTER_LINEAR))
    write_resize("resize_golden.bin", cv2.INTER_CUBIC)
    write_resize("resize_linear_golden.bin", cv2.INTER_LINEAR)
    write_pack()
    return 0 if worst <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
