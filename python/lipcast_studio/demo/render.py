"""Scene + pose + mouth -> picture. The idle loop, the crop boxes and the engine's inner picture are defined here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from . import mouth
from .paint import SCALE
from .scene import FACE_RX, FACE_RY, FACE_X, FACE_Y, LID_LEVELS, Scene

WIDTH_PX, HEIGHT_PX = 1280, 720
LOOP_FRAMES = 250
CROP_PX = 184
CROP_X0, CROP_Y0 = 548, 328
INNER_PX = 160
CHIN_DROP_PX = 10.0


@dataclass(frozen=True)
class Pose:
    """Offsets of the head in picture pixels; roll in degrees; yaw and pitch as pixels at the tip of the face."""

    x: float = 0.0
    y: float = 0.0
    roll: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    breath: float = 0.0
    lids: float = 0.0  # 0 open .. 1 shut


def idle_pose(frame: float) -> Pose:
    """The loop: sums of sines whose periods divide its length, three blinks. Any real `frame` is allowed."""
    t = 2 * np.pi * frame / LOOP_FRAMES
    lids = 0.0
    for start in (38.0, 121.0, 197.0):
        at = (frame - start) % LOOP_FRAMES
        lids = max(lids, float(np.interp(at, [0, 2, 3, 6.5], [0, 1, 1, 0])))
    return Pose(
        x=3.2 * np.sin(t + 0.3) + 1.2 * np.sin(3 * t + 1.0),
        y=1.6 * np.sin(2 * t) + 0.7 * np.sin(5 * t + 2.0),
        roll=0.9 * np.sin(t + 1.9) + 0.4 * np.sin(2 * t + 0.5),
        yaw=3.0 * np.sin(2 * t + 0.9) + 1.3 * np.sin(3 * t + 2.2),
        pitch=1.5 * np.sin(2 * t + 2.6) + 0.7 * np.sin(4 * t),
        breath=1.3 * np.sin(3 * t + 0.4),
        lids=lids,
    )


def _depth(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(np.clip(1 - ((x - FACE_X) / (FACE_RX * 1.35)) ** 2 - ((y - FACE_Y) / (FACE_RY * 1.35)) ** 2, 0, 1))


def crop_box(pose: Pose) -> tuple[int, int, int, int]:
    """[x0, y0, x1, y1) of the square that holds the mouth, following the head in whole pixels."""
    dx, dy = (np.asarray(mouth_shift(pose)) + 0.5).astype(float)
    x0, y0 = CROP_X0 + int(np.floor(dx)), CROP_Y0 + int(np.floor(dy))
    return x0, y0, x0 + CROP_PX, y0 + CROP_PX


def mouth_shift(pose: Pose) -> tuple[float, float]:
    """Where the mouth goes, in pixels, roll included."""
    angle = np.radians(pose.roll)
    rx, ry = mouth.MOUTH_X - FACE_X, mouth.MOUTH_Y - _PIVOT_Y
    near = float(_depth(np.float64(mouth.MOUTH_X), np.float64(mouth.MOUTH_Y)))
    x = rx * np.cos(angle) - ry * np.sin(angle) - rx + pose.x + pose.yaw * near
    y = rx * np.sin(angle) + ry * np.cos(angle) - ry + pose.y + pose.pitch * near
    return float(x), float(y)


_HEAD_RECTANGLE = (474, 106, 332, 434)
_BODY_RECTANGLES = [(300, 420, 174, 300), (806, 420, 174, 300), (474, 540, 332, 180)]
_PIVOT_Y = 470.0  # the head rolls about the neck


class Renderer:
    """Keeps the painted scene; every call is independent and repeats exactly."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        layer = scene.head
        rows, columns = np.mgrid[: layer.pixels.shape[0], : layer.pixels.shape[1]].astype(np.float32)
        x, y = columns / SCALE + layer.x0, rows / SCALE + layer.y0
        side = np.clip(1 - np.abs(x - FACE_X) / 84.0, 0, 1)
        down = np.clip((y - 392.0) / 52.0, 0, 1)
        self._chin = ((side * side * (3 - 2 * side)) * (down * down * (3 - 2 * down))).astype(np.float32)
        self._room: np.ndarray | None = None
        self._heads = [self._with_eyes(level) for level in range(LID_LEVELS)]

    def _with_eyes(self, level: int) -> np.ndarray:
        head = self.scene.head.pixels.copy()
        for side in self.scene.eyes:
            eye = side[level]
            y, x = (eye.y0 - self.scene.head.y0) * SCALE, (eye.x0 - self.scene.head.x0) * SCALE
            high, wide = eye.pixels.shape[:2]
            head[y : y + high, x : x + wide] = eye.pixels
        return head

    def _maps(self, pose: Pose, x0: int, y0: int, wide: int, high: int) -> tuple[np.ndarray, np.ndarray]:
        """For each output sample the picture place it comes from."""
        rows, columns = np.mgrid[: high * SCALE, : wide * SCALE].astype(np.float32)
        x = (columns + 0.5) / SCALE + x0 - pose.x
        y = (rows + 0.5) / SCALE + y0 - pose.y
        c, s = np.cos(np.radians(pose.roll)), np.sin(np.radians(pose.roll))
        dx, dy = x - FACE_X, y - _PIVOT_Y
        x, y = c * dx + s * dy + FACE_X, -s * dx + c * dy + _PIVOT_Y
        near = _depth(x, y)
        return (x - pose.yaw * near).astype(np.float32), (y - pose.pitch * near).astype(np.float32)

    @staticmethod
    def _body_maps(pose: Pose, rectangle: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        x0, y0, wide, high = rectangle
        rows, columns = np.mgrid[: high * SCALE, : wide * SCALE].astype(np.float32)
        return (columns + 0.5) / SCALE + x0, (rows + 0.5) / SCALE + y0 + np.float32(pose.breath * 0.9)

    @staticmethod
    def _take(pixels: np.ndarray, x0: int, y0: int, map_x: np.ndarray, map_y: np.ndarray) -> np.ndarray:
        return cv2.remap(pixels, (map_x - x0) * SCALE - 0.5, (map_y - y0) * SCALE - 0.5, cv2.INTER_LINEAR,
                         borderMode=cv2.BORDER_CONSTANT, borderValue=0)  # fmt: skip

    @staticmethod
    def _over(below: np.ndarray, layer: np.ndarray) -> np.ndarray:
        return layer[..., :3] + below * (1 - layer[..., 3:].astype(np.float32) / 255)

    def still(self, pose: Pose, rectangle: tuple[int, int, int, int]) -> dict[str, Any]:
        """What a pose gives before the mouth: reusable for many mouths. rectangle = x0, y0, width, height."""
        x0, y0, wide, high = rectangle
        scene = self.scene
        under = scene.room[y0 * SCALE : (y0 + high) * SCALE, x0 * SCALE : (x0 + wide) * SCALE].astype(np.float32)
        map_x, map_y = self._maps(pose, x0, y0, wide, high)
        far_x, far_y = self._maps(Pose(pose.x, pose.y, pose.roll), x0, y0, wide, high)
        under = self._over(under, self._take(scene.back_hair.pixels, scene.back_hair.x0, scene.back_hair.y0, far_x, far_y))
        body_x, body_y = self._body_maps(pose, rectangle)
        under = self._over(under, self._take(scene.body.pixels, scene.body.x0, scene.body.y0, body_x, body_y))
        chin = self._take(self._chin, scene.head.x0, scene.head.y0, map_x, map_y)
        return {"under": under, "map_x": map_x, "map_y": map_y, "chin": chin, "x0": x0, "y0": y0}

    def finish(self, pose: Pose, still: dict[str, Any], values: np.ndarray) -> np.ndarray:
        """-> BGR uint8 [height, width, 3] with this mouth."""
        map_x, map_y, head = still["map_x"], still["map_y"], self.scene.head
        drop = CHIN_DROP_PX * min(1.0, mouth.opening_px(values) / 34.0)
        moved_y = map_y - still["chin"] * drop if drop > 0 else map_y
        pixels = self._heads[round(pose.lids * (LID_LEVELS - 1))]
        out = self._over(still["under"], self._take(pixels, head.x0, head.y0, map_x, moved_y))
        high, wide = out.shape[:2]
        dx, dy = mouth_shift(pose)
        left = int((mouth.PATCH_X0 + dx - still["x0"]) * SCALE) - 8
        top = int((mouth.PATCH_Y0 + dy - still["y0"]) * SCALE) - 8
        rows = slice(max(0, top), max(0, top + mouth.PATCH_H * SCALE + 16))
        columns = slice(max(0, left), max(0, left + mouth.PATCH_W * SCALE + 16))
        lips = self._take(mouth.paint(values), mouth.PATCH_X0, mouth.PATCH_Y0, map_x[rows, columns], map_y[rows, columns])
        out[rows, columns] = self._over(out[rows, columns], lips)
        small = cv2.resize(out, (wide // SCALE, high // SCALE), interpolation=cv2.INTER_AREA)
        return np.round(np.clip(small, 0, 255)).astype(np.uint8)

    def _without_head(self, pose: Pose, rectangle: tuple[int, int, int, int]) -> np.ndarray:
        x0, y0, wide, high = rectangle
        body = self.scene.body
        under = self.scene.room[y0 * SCALE : (y0 + high) * SCALE, x0 * SCALE : (x0 + wide) * SCALE].astype(np.float32)
        map_x, map_y = self._body_maps(pose, rectangle)
        out = self._over(under, self._take(body.pixels, body.x0, body.y0, map_x, map_y))
        small = cv2.resize(out, (wide, high), interpolation=cv2.INTER_AREA)
        return np.round(np.clip(small, 0, 255)).astype(np.uint8)

    def frame(self, pose: Pose, values: np.ndarray | None = None) -> np.ndarray:
        """Whole picture, BGR uint8 [720,1280,3]: the room stands still, head and body are drawn where they are."""
        if self._room is None:
            self._room = cv2.resize(self.scene.room, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)
        out = self._room.copy()
        for rectangle in _BODY_RECTANGLES:
            x0, y0, wide, high = rectangle
            out[y0 : y0 + high, x0 : x0 + wide] = self._without_head(pose, rectangle)
        x0, y0, wide, high = _HEAD_RECTANGLE
        head = self.finish(pose, self.still(pose, _HEAD_RECTANGLE), np.zeros(7) if values is None else values)
        out[y0 : y0 + high, x0 : x0 + wide] = head
        return out

    def crops(self, pose: Pose, mouths: list[np.ndarray]) -> list[np.ndarray]:
        """The crop square of a pose with each mouth, BGR uint8 [184,184,3]."""
        x0, y0, x1, y1 = crop_box(pose)
        still = self.still(pose, (x0, y0, x1 - x0, y1 - y0))
        return [self.finish(pose, still, values) for values in mouths]
