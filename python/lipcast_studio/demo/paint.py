"""Brushes: smooth outlines, filled masks, soft light. Canvases are float32 RGB 0..255, two samples per pixel.

A `Canvas` covers a rectangle of the 1280x720 picture; coordinates given to it are picture pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

SCALE = 2  # samples per pixel and axis
_SHIFT = 6  # sub-sample bits of OpenCV's polygon corners

Points = list[tuple[float, float]]
Colour = tuple[float, float, float]


def smooth(points: Points, closed: bool = True, steps: int = 14) -> np.ndarray:
    """Catmull-Rom curve through the points, [n,2]."""
    p = np.array(points, np.float64)
    p = np.concatenate([p[-1:], p, p[:2]]) if closed else np.concatenate([p[:1], p, p[-1:]])
    t = (np.arange(steps) / steps)[:, None]
    parts = []
    for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False):
        parts.append(b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))
    curve = np.concatenate(parts)
    return curve if closed else np.concatenate([curve, p[-1:]])


def mirror(points: Points, axis: float = 640.0) -> Points:
    """A half outline, top to bottom, completed on the other side of a vertical axis."""
    return points + [(2 * axis - x, y) for x, y in reversed(points) if abs(x - axis) > 0.5]


@dataclass
class Canvas:
    """Colour [H,W,3] and cover [H,W] of a picture rectangle."""

    x0: int
    y0: int
    width_px: int
    height_px: int
    rgb: np.ndarray = field(init=False)
    alpha: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.height_px * SCALE, self.width_px * SCALE)
        self.rgb = np.zeros((*shape, 3), np.float32)
        self.alpha = np.zeros(shape, np.float32)
        rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        self.x = (columns + 0.5) / SCALE + self.x0
        self.y = (rows + 0.5) / SCALE + self.y0

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        grid = (np.asarray(points) - (self.x0, self.y0)) * SCALE - 0.5
        return np.round(grid * (1 << _SHIFT)).astype(np.int32)

    def fill(self, points: np.ndarray | Points, blur_px: float = 0.0) -> np.ndarray:
        """Mask 0..1 of a polygon."""
        mask = np.zeros(self.alpha.shape, np.uint8)
        cv2.fillPoly(mask, [self._fixed(np.asarray(points, float))], 255, cv2.LINE_AA, _SHIFT)
        return self.blur(mask.astype(np.float32) / 255, blur_px)

    def line(self, points: np.ndarray, width_px: float, blur_px: float = 0.0) -> np.ndarray:
        mask = np.zeros(self.alpha.shape, np.uint8)
        cv2.polylines(mask, [self._fixed(points)], False, 255, max(1, round(width_px * SCALE)), cv2.LINE_AA, _SHIFT)
        return self.blur(mask.astype(np.float32) / 255, blur_px)

    def spot(self, x: float, y: float, rx: float, ry: float, angle: float = 0.0) -> np.ndarray:
        """Gaussian blob, 1 at its centre, 0.61 at one radius."""
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        dx, dy = self.x - x, self.y - y
        return np.exp(-0.5 * (((c * dx + s * dy) / rx) ** 2 + ((c * dy - s * dx) / ry) ** 2))

    def disc(self, x: float, y: float, rx: float, ry: float, soft_px: float = 0.7) -> np.ndarray:
        away = np.sqrt(((self.x - x) / rx) ** 2 + ((self.y - y) / ry) ** 2)
        return np.clip((1 - away) * min(rx, ry) / soft_px + 0.5, 0, 1)

    def blur(self, mask: np.ndarray, radius_px: float) -> np.ndarray:
        if radius_px <= 0:
            return mask
        return cv2.GaussianBlur(mask, (0, 0), radius_px * SCALE, borderType=cv2.BORDER_REPLICATE)

    def relief(self, mask: np.ndarray, radius_px: float, light: tuple[float, float] = (-0.5, -0.85)) -> np.ndarray:
        """Light on the rounded rim of a mask, about -1..1."""
        soft = self.blur(mask, radius_px)
        gx = cv2.Sobel(soft, cv2.CV_32F, 1, 0, ksize=3) / 8
        gy = cv2.Sobel(soft, cv2.CV_32F, 0, 1, ksize=3) / 8
        return -(gx * light[0] + gy * light[1]) * -2.5 * radius_px * SCALE

    def over(self, colour: Colour | np.ndarray, mask: np.ndarray, opacity: float = 1.0) -> None:
        """Paint on what is there; cover grows."""
        a = (mask * opacity)[..., None]
        total = a + self.alpha[..., None] * (1 - a)
        mixed = np.asarray(colour, np.float32) * a + self.rgb * self.alpha[..., None] * (1 - a)
        self.rgb = np.where(total > 1e-4, mixed / np.maximum(total, 1e-4), self.rgb).astype(np.float32)
        self.alpha = total[..., 0].astype(np.float32)

    def tint(self, colour: Colour | np.ndarray, mask: np.ndarray, opacity: float = 1.0) -> None:
        """Colour only what is already covered."""
        a = (mask * opacity)[..., None]
        self.rgb = (self.rgb * (1 - a) + np.asarray(colour, np.float32) * a).astype(np.float32)

    def shade(self, factor: np.ndarray) -> None:
        self.rgb = np.clip(self.rgb * factor[..., None], 0, 255).astype(np.float32)

    def premultiplied(self) -> np.ndarray:
        """BGRA uint8 [H,W,4], colour already multiplied by cover."""
        bgr = self.rgb[..., ::-1] * self.alpha[..., None]
        return np.round(np.clip(np.dstack([bgr, self.alpha * 255]), 0, 255)).astype(np.uint8)


def strands(canvas: Canvas, outer: np.ndarray, inner: np.ndarray, count: int, colours: list[Colour], clip: np.ndarray,
            rng: np.random.Generator, width_px: float = 0.9, opacity: float = 0.5) -> None:  # fmt: skip
    """Hair between two guide curves of equal length [n,2]: thin lines that follow both, in several passes."""
    n = len(outer)
    along = np.linspace(0, 1, n)[:, None]
    for colour in colours:
        mask = np.zeros(canvas.alpha.shape, np.float32)
        for _ in range(count // len(colours)):
            share = rng.uniform(0.0, 1.0) + (rng.uniform(-0.10, 0.10) * along)
            wave = 1.2 * np.sin(along * rng.uniform(3, 8) + rng.uniform(0, 6))
            curve = outer * (1 - share) + inner * share + wave
            first, last = sorted(rng.integers(0, n, 2))
            first, last = max(0, first - n // 5), min(n, last + n // 5)
            mask = np.maximum(mask, canvas.line(curve[first:last], width_px) * rng.uniform(0.4, 1.0))
        canvas.tint(colour, canvas.blur(mask, 0.35) * clip, opacity)
