"""The still layers: room, jacket, hair behind, head with hair in front, and the eyes at nine lid positions.

All shapes are our own; everything random is seeded. Coordinates are picture pixels (1280x720).
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .paint import SCALE, Canvas, Points, mirror, smooth, strands

FACE_X, FACE_Y = 640.0, 318.0  # centre of the face ellipsoid
FACE_RX, FACE_RY, CHIN_Y = 103.0, 150.0, 459.0
EYE_Y, EYE_DX = 303.0, 44.0
LID_LEVELS = 9

_SKIN = np.array((233, 188, 160), np.float32)
_HAIR = [(58, 34, 24), (92, 56, 38), (126, 80, 54), (156, 104, 72)]


@dataclass(frozen=True)
class Layer:
    """Premultiplied BGRA uint8 [H,W,4], two samples per pixel, its corner at picture pixel (x0, y0)."""

    x0: int
    y0: int
    pixels: np.ndarray


@dataclass(frozen=True)
class Scene:
    room: np.ndarray  # BGR uint8 [1440,2560,3]
    back_hair: Layer
    body: Layer
    head: Layer
    eyes: list[list[Layer]]  # [left, right][lid level]: opaque where it covers


def _room(rng: np.random.Generator) -> np.ndarray:
    c = Canvas(0, 0, 1280, 720)
    c.alpha[:] = 1
    wall = np.array((203, 208, 205), np.float32)
    c.rgb[:] = wall
    c.tint((232, 226, 212), c.spot(210, 240, 420, 420), 0.8)
    c.tint((150, 165, 172), c.spot(1240, 760, 560, 420), 0.75)
    # a window with daylight and far trees
    frame = [(48, -20), (402, -20), (402, 540), (48, 540)]
    c.tint((240, 238, 230), c.fill(frame, 2.0))
    for x0, x1, y0, y1 in ((66, 220, -20, 262), (232, 386, -20, 262), (66, 220, 276, 524), (232, 386, 276, 524)):
        pane = c.fill([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], 1.2)
        sky = np.clip((c.y - 40) / 460, 0, 1)[..., None]
        c.tint(np.array((206, 227, 240)) * (1 - sky) + np.array((246, 240, 222)) * sky, pane)
        c.tint((150, 178, 136), pane * np.clip((c.y - 330 - 18 * np.sin(c.x / 37) - 9 * np.sin(c.x / 15)) / 120, 0, 1), 0.75)
    panes = c.fill([(66, -20), (386, -20), (386, 524), (66, 524)])
    for _ in range(70):
        x, y = rng.uniform(50, 400), 540 - abs(rng.normal(0, 95))
        r = rng.uniform(8, 30)
        green = np.array((126, 162, 112)) + rng.uniform(-26, 34)
        c.tint(green, c.disc(x, y, r, r * 0.9, 10) * panes, rng.uniform(0.15, 0.45))
    c.tint((240, 238, 230), c.fill([(220, -20), (232, -20), (232, 524), (220, 524)], 1.0))
    c.tint((240, 238, 230), c.fill([(66, 262), (386, 262), (386, 276), (66, 276)], 1.0))
    c.tint((214, 206, 192), c.fill([(30, 536), (420, 536), (428, 560), (24, 560)], 1.0))
    # shelves with books and a plant
    for y, left, right in ((232, 905, 1215), (398, 905, 1215)):
        c.tint((120, 128, 130), c.fill([(left, y + 16), (right + 6, y + 16), (right + 6, y + 38), (left, y + 38)], 9), 0.5)
        c.tint((158, 116, 84), c.fill([(left, y), (right, y), (right, y + 13), (left, y + 13)], 0.8))
        c.tint((188, 146, 110), c.fill([(left, y), (right, y), (right, y + 4), (left, y + 4)], 0.8))
    palette = [(64, 104, 116), (198, 132, 96), (226, 196, 136), (92, 122, 150), (152, 84, 76), (122, 146, 118), (228, 220, 206)]
    x = 922.0
    while x < 1075:
        wide, high = rng.uniform(13, 23), rng.uniform(76, 122)
        colour = np.array(palette[rng.integers(len(palette))], np.float32)
        book = c.fill([(x, 398 - high), (x + wide, 398 - high), (x + wide, 398), (x, 398)], 0.6)
        c.tint(colour * (0.86 + 0.2 * np.clip((c.x - x) / wide, 0, 1))[..., None], book)
        c.tint(
            colour * 1.25,
            c.fill([(x, 398 - high + 14), (x + wide, 398 - high + 14), (x + wide, 398 - high + 19), (x, 398 - high + 19)]),
            0.7,
        )
        x += wide + 1.5
    pot = smooth([(1118, 340), (1182, 340), (1174, 398), (1126, 398)], steps=6)
    c.tint((206, 122, 92), c.fill(pot, 0.6))
    c.tint((236, 160, 126), c.fill(pot, 0.6) * c.spot(1136, 366, 12, 30), 0.6)
    for k in range(34):
        turn = rng.uniform(-1.25, 1.25)
        length = rng.uniform(46, 108)
        tip = (1150 + np.sin(turn) * length, 338 - np.cos(turn) * length + abs(turn) * 26)
        middle = (1150 + np.sin(turn) * length * 0.5, 340 - np.cos(turn) * length * 0.62)
        side = rng.uniform(4, 8)
        leaf = smooth([(1150, 344), (middle[0] - side, middle[1]), tip, (middle[0] + side, middle[1])], steps=6)
        shade = 0.72 + 0.45 * k / 34
        c.tint(np.array((82, 138, 92)) * shade, c.fill(leaf, 0.6), 0.95)
    frame_art = [(936, 70), (1064, 70), (1064, 178), (936, 178)]
    c.tint((96, 104, 108), c.fill([(x + 6, y + 10) for x, y in frame_art], 7), 0.4)
    c.tint((244, 240, 232), c.fill(frame_art, 0.6))
    art = c.fill([(950, 84), (1050, 84), (1050, 164), (950, 164)], 0.5)
    c.tint((226, 214, 190), art)
    c.tint((214, 142, 104), art * c.disc(1018, 116, 22, 22, 1.0))
    c.tint((98, 136, 142), art * c.fill(smooth([(940, 160), (970, 128), (1000, 142), (1034, 124), (1070, 170), (940, 190)]), 0.5))
    c.tint((146, 92, 62), c.fill([(1128, 232), (1148, 232), (1142, 196), (1134, 196)], 0.5))
    c.tint((255, 236, 196), c.fill([(1104, 198), (1172, 198), (1156, 142), (1120, 142)], 1.0))
    soft = cv2.GaussianBlur(c.rgb, (0, 0), 7 * SCALE)
    glow = Canvas(0, 0, 1280, 720)
    for x, y, radius, strength in ((1138, 170, 120, 0.45), (220, 200, 300, 0.22)):
        spot = glow.spot(x, y, radius, radius)[..., None] * strength
        soft = soft * (1 - spot) + np.array((255, 240, 210)) * spot
    vignette = 1 - 0.20 * (((glow.x - 640) / 800) ** 2 + ((glow.y - 330) / 560) ** 2)
    soft = soft * np.clip(vignette, 0.6, 1)[..., None]
    soft += rng.normal(0, 0.6, soft.shape[:2])[..., None]  # hides banding
    return np.clip(np.round(soft[..., ::-1]), 0, 255).astype(np.uint8)


def _body(rng: np.random.Generator) -> Layer:
    c = Canvas(300, 420, 680, 310)
    neck_half: Points = [(588, 420), (589, 462), (583, 488), (560, 506), (528, 520), (530, 640), (640, 700)]
    neck = c.fill(smooth(mirror(neck_half), steps=10), 0.4)
    c.over(_SKIN * 0.93, neck)
    side = np.clip(np.abs(c.x - 640) / 62, 0, 1.3)
    c.tint((186, 128, 104), neck * np.clip(side - 0.35, 0, 1) ** 1.4, 0.75)
    c.tint(
        (150, 92, 74),
        c.fill(smooth([(548, 400), (640, 470), (732, 400), (722, 452), (676, 492), (640, 500), (604, 492), (558, 452)]), 9),
        0.78,
    )
    for sign in (-1, 1):  # muscles and collar bones
        muscle = smooth([(640 + sign * 44, 478), (640 + sign * 24, 520), (640 + sign * 9, 548)], closed=False)
        c.tint((178, 122, 98), c.line(muscle, 4, 4), 0.42)
        bone = smooth([(640 + sign * 16, 553), (640 + sign * 46, 548), (640 + sign * 84, 536)], closed=False)
        c.tint((250, 212, 184), c.line(bone, 4, 3), 0.4)
        c.tint((176, 120, 98), c.line(bone + (0, 7), 4, 4), 0.35)
    c.tint((172, 116, 94), c.spot(640, 556, 7, 8), 0.4)
    # blouse
    blouse = c.fill(smooth([(556, 530), (586, 566), (640, 594), (694, 566), (724, 530), (760, 740), (520, 740)], steps=10), 0.3)
    c.over((240, 234, 222), blouse)
    c.tint((188, 176, 166), blouse * c.relief(blouse, 6).clip(-1, 0) * -1, 0.6)
    edge = smooth([(556, 530), (586, 566), (640, 594), (694, 566), (724, 530)], closed=False)
    c.tint((255, 252, 244), c.line(edge + (0, 4), 4, 0.8) * blouse, 0.8)
    c.tint((176, 158, 146), c.line(edge + (0, 8), 1.6, 0.8) * blouse, 0.55)
    for _ in range(7):
        x = rng.uniform(600, 680)
        fold = smooth([(x, 590), (x + rng.uniform(-8, 8), 650), (640 + (x - 640) * 0.6, 725)], closed=False)
        c.tint((206, 194, 182), c.line(fold, 3, 3.5) * blouse, 0.5)
    # jacket: two halves, lapels on top
    navy = np.array((46, 66, 92), np.float32)
    for sign in (-1, 1):

        def at(points: Points, s: int = sign) -> Points:
            return [(640 + s * (x - 640), y) for x, y in points]

        half = c.fill(
            smooth(
                at([(716, 508), (770, 530), (832, 552), (878, 590), (908, 660), (924, 760), (640, 760), (648, 716), (686, 640)]),
                steps=12,
            ),
            0.3,
        )
        c.over(navy, half)
        light = c.relief(half, 16)
        c.tint((96, 122, 152), half * light.clip(0, 1), 0.75)
        c.tint((20, 30, 46), half * (-light).clip(0, 1), 0.7)
        arm = smooth(at([(826, 600), (818, 660), (822, 740)]), closed=False)
        c.tint((22, 34, 52), c.line(arm, 4, 5) * half, 0.55)
        c.tint((84, 110, 140), c.line(arm + (sign * 10, 0), 6, 7) * half, 0.35)
        crease = smooth(at([(740, 590), (720, 660), (716, 740)]), closed=False)
        c.tint((26, 40, 60), c.line(crease, 4, 6) * half, 0.4)
        lapel_points = at(
            [
                (716, 506),
                (742, 528),
                (752, 566),
                (734, 574),
                (752, 596),
                (716, 660),
                (668, 736),
                (655, 720),
                (690, 630),
                (708, 556),
            ]
        )
        lapel = c.fill(np.array(lapel_points), 0.3)
        c.tint((14, 20, 32), c.fill(np.array(lapel_points) + (sign * 4, 5), 4) * half, 0.5)
        c.over(navy * 1.13, lapel)
        rim = c.relief(lapel, 2.2)
        c.tint((126, 152, 182), lapel * rim.clip(0, 1), 0.5)
        c.tint((18, 28, 44), lapel * (-rim).clip(0, 1), 0.5)
        c.tint((30, 44, 66), lapel * c.spot(640 + sign * 96, 540, 30, 22), 0.35)
    grain = cv2.GaussianBlur(rng.normal(0, 1, c.alpha.shape).astype(np.float32), (0, 0), 1.0)
    c.shade(1 + 0.035 * grain * (c.y > 560))
    return Layer(c.x0, c.y0, c.premultiplied())


def _hair_guides(sign: int) -> tuple[np.ndarray, np.ndarray]:
    """Outer and inner edge of one side's front hair, from the parting to the tips, [n,2] each."""
    if sign < 0:  # viewer's left: the short side of the parting
        outer = [(676, 127), (616, 121), (550, 152), (513, 222), (503, 308), (500, 390), (506, 456), (538, 512)]
        inner = [(666, 178), (630, 194), (588, 222), (560, 262), (549, 318), (547, 380), (556, 436), (574, 494)]
    else:
        outer = [(658, 125), (712, 127), (758, 168), (778, 238), (782, 318), (785, 394), (778, 458), (744, 512)]
        inner = [(664, 178), (690, 196), (716, 226), (728, 264), (734, 320), (735, 382), (728, 438), (708, 494)]
    return smooth(outer, closed=False), smooth(inner, closed=False)


def _back_hair(rng: np.random.Generator) -> Layer:
    c = Canvas(470, 110, 340, 430)
    shape = c.fill(smooth([(648, 123), (566, 146), (512, 270), (504, 380), (510, 462), (546, 514), (600, 500), (640, 470),
                           (680, 500), (738, 514), (776, 462), (781, 380), (774, 270), (728, 144)]), 0.4)  # fmt: skip
    c.over((58, 35, 26), shape)
    left = smooth([(520, 240), (512, 330), (512, 420), (536, 500)], closed=False)
    right = smooth([(762, 240), (770, 330), (770, 420), (746, 500)], closed=False)
    middle = smooth([(640, 240), (640, 330), (640, 420), (640, 490)], closed=False)
    strands(c, left, middle, 150, _HAIR[:3], shape, rng)
    strands(c, right, middle, 150, _HAIR[:3], shape, rng)
    c.tint((28, 16, 12), shape * c.spot(640, 440, 70, 90), 0.8)
    return Layer(c.x0, c.y0, c.premultiplied())


def face_outline() -> np.ndarray:
    half: Points = [
        (640, 176),
        (592, 186),
        (556, 222),
        (541, 276),
        (541, 326),
        (549, 372),
        (566, 412),
        (594, 442),
        (620, 456),
        (640, CHIN_Y),
    ]
    return smooth(mirror(half), steps=12)


def _skin(c: Canvas) -> np.ndarray:
    """Face colour with light from the upper left; returns the face mask."""
    face = c.fill(face_outline(), 0.35)
    nx = np.clip((c.x - FACE_X) / (FACE_RX * 1.06), -1, 1)
    ny = np.clip((c.y - FACE_Y) / (FACE_RY * 1.03), -1, 1)
    nz = np.sqrt(np.clip(1 - nx**2 - ny**2, 0.02, 1))
    light = np.clip(-0.38 * nx - 0.34 * ny + 0.86 * nz, 0, 1)
    tone = np.clip((light - 0.25) / 0.72, 0, 1)[..., None]
    deep, warm = np.array((198, 138, 112), np.float32), np.array((247, 210, 183), np.float32)
    skin = deep * (1 - tone) ** 1.5 + warm * (1 - (1 - tone) ** 1.5)
    c.over(skin, face)
    rim = np.clip(1 - c.blur(face, 7), 0, 1) * face
    c.tint((196, 130, 106), rim, 0.5)
    for sign in (-1, 1):
        c.tint((238, 150, 132), face * c.spot(640 + sign * 58, 352, 22, 16, sign * -12), 0.26)  # blush
        c.tint((178, 116, 96), face * c.spot(640 + sign * 25, 294, 9, 13), 0.34)  # beside the bridge
        c.tint((190, 128, 106), face * c.spot(640 + sign * EYE_DX, 291, 24, 9, sign * 6), 0.34)  # under the brow
        c.tint((255, 226, 204), face * c.spot(640 + sign * 52 - 4, 334, 17, 9, sign * -18), 0.42)  # cheek bone
        c.tint((196, 136, 116), face * c.spot(640 + sign * EYE_DX, 322, 20, 5, sign * 5), 0.24)  # under the eye
    c.tint((255, 230, 210), face * c.spot(628, 238, 36, 20), 0.36)  # forehead
    return face


def _nose(c: Canvas, face: np.ndarray) -> None:
    c.tint((255, 232, 214), face * c.spot(638, 318, 4.5, 24), 0.5)
    c.tint((186, 120, 98), face * c.spot(650, 326, 5, 20, -5), 0.26)
    c.tint((255, 236, 220), face * c.spot(637, 345, 6.5, 5.5), 0.6)
    c.tint((198, 126, 106), face * c.spot(640, 359, 15, 4.5), 0.5)
    for sign in (-1, 1):
        c.tint((188, 118, 98), face * c.spot(640 + sign * 17, 351, 3.2, 7, sign * -14), 0.42)
        wing = smooth(
            [(640 + sign * 14, 343), (640 + sign * 18.5, 350), (640 + sign * 15, 357), (640 + sign * 10, 356)], closed=False
        )
        c.tint((158, 92, 78), face * c.line(wing, 1.3, 1.2), 0.5)
        c.tint((112, 56, 50), face * c.blur(c.disc(640 + sign * 8.2, 356.8, 4.6, 2.3), 0.7), 0.72)
    c.tint((206, 138, 118), face * c.spot(640, 370, 4, 6), 0.30)  # philtrum
    c.tint((206, 142, 120), face * c.spot(640, 418, 20, 4.5), 0.22)
    c.tint((255, 226, 204), face * c.spot(637, 437, 17, 9), 0.34)  # chin


def _brows(c: Canvas, rng: np.random.Generator) -> None:
    for sign in (-1, 1):

        def x(dx: float, s: int = sign) -> float:
            return 640 + s * dx

        shape = smooth(
            [(x(23), 275), (x(26), 269), (x(46), 262), (x(62), 265), (x(73), 275), (x(60), 270), (x(44), 269), (x(28), 277)]
        )
        mask = c.fill(shape, 1.0)
        c.tint((92, 58, 42), mask, 0.62)
        hairs = np.zeros_like(mask)
        for _ in range(70):
            along = rng.uniform(0, 1)
            px, py = 24 + 46 * along, 274 - 9 * np.sin(along * 2.3) + rng.uniform(-2, 2)
            tip = (x(px + 5 + 3 * along), py - 4 + 6 * along)
            hairs = np.maximum(hairs, c.line(np.array([(x(px), py), tip]), 0.5) * rng.uniform(0.4, 1))
        c.tint((66, 40, 30), hairs * c.blur(mask, 1), 0.8)


def _head(rng: np.random.Generator) -> Layer:
    c = Canvas(470, 110, 340, 420)
    face = _skin(c)
    _nose(c, face)
    _brows(c, rng)
    for sign in (-1, 1):
        outer, inner = _hair_guides(sign)
        shape = np.concatenate([outer, inner[::-1]])
        hair = c.fill(shape, 0.4)
        c.tint((120, 66, 50), c.fill(shape + (-sign * 7, 7), 7) * face, 0.62)  # shadow on the skin
        c.over((84, 50, 35), hair)
        light = c.relief(hair, 10)
        c.tint((34, 20, 15), hair * (-light).clip(0, 1), 0.75)
        c.tint((150, 98, 66), hair * light.clip(0, 1), 0.45)
        strands(c, outer, inner, 240, _HAIR, hair, rng, opacity=0.42)
        shine = c.spot(640 + sign * 86, 222, 20, 44, sign * -24) + 0.8 * c.spot(640 + sign * 118, 372, 9, 52)
        c.tint((206, 152, 112), hair * shine, 0.34)
        fine = np.zeros_like(hair)
        for _ in range(60):
            share = rng.uniform(0, 1) + rng.uniform(-0.05, 0.05) * np.linspace(0, 1, len(outer))[:, None]
            fine = np.maximum(fine, c.line(outer * (1 - share) + inner * share, 0.6) * rng.uniform(0.3, 1))
        c.tint((222, 170, 128), fine * hair * np.clip(shine, 0, 1), 0.5)
    parting = smooth([(663, 144), (662, 160), (665, 179)], closed=False)
    c.tint((58, 34, 25), c.line(parting, 1.4, 1.0), 0.5)
    return Layer(c.x0, c.y0, c.premultiplied())


def _eye(head: Layer, sign: int, level: int) -> Layer:
    """One eye, lid position 0 (open) .. LID_LEVELS - 1 (shut), painted over the head's own skin."""
    shut = level / (LID_LEVELS - 1)
    x0, y0, wide, high = int(640 + sign * EYE_DX) - 36, int(EYE_Y) - 24, 72, 48
    c = Canvas(x0, y0, wide, high)
    sx, sy = (x0 - head.x0) * SCALE, (y0 - head.y0) * SCALE
    skin = head.pixels[sy : sy + high * SCALE, sx : sx + wide * SCALE].astype(np.float32)
    c.rgb, c.alpha = skin[..., 2::-1].copy(), np.ones_like(c.alpha)

    def at(dx: float, dy: float) -> tuple[float, float]:
        return 640 + sign * (EYE_DX + 1.1 * dx), EYE_Y + 1.12 * dy

    top, low = -10.4, 7.4
    lid = top + shut * (low - top) * 0.92
    upper = [at(-20, 3.2), at(-12, 3.2 + (lid - 3.2) * 0.72), at(-1, lid), at(11, lid * 0.86 + 0.3), at(22, -1.5 + 2.6 * shut)]
    lower = [at(14, 5.4), at(2, low), at(-11, 6.2)]
    opening = c.fill(smooth(upper + lower, steps=10), 0.25)
    full = c.fill(smooth([at(-20, 3.2), at(-12, -6.3), at(-1, top), at(11, -8.3), at(22, -1.5), *lower], steps=10), 0.3)
    # the lid itself, then what it leaves free
    c.tint((226, 176, 150), c.blur(full, 0.6) * (1 if shut > 0 else 0), 0.95)
    c.tint((196, 138, 116), c.blur(full, 0.6) * np.clip((c.y - (EYE_Y + lid - 7)) / 9, 0, 1), 0.5 * shut)
    white = np.array((246, 241, 236), np.float32) * (1 - 0.22 * np.clip((EYE_Y - 1 - c.y) / 9, 0, 1))[..., None]
    c.tint(white, opening)
    c.tint((214, 176, 164), opening * (c.spot(*at(-18, 3), 5, 4) + 0.7 * c.spot(*at(20, 1), 5, 4)), 0.55)
    ix, iy, r = 640 + sign * EYE_DX + 0.3, EYE_Y - 1.6, 10.8
    iris = c.disc(ix, iy, r, r) * opening
    away = np.sqrt((c.x - ix) ** 2 + (c.y - iy) ** 2) / r
    turn = np.arctan2(c.y - iy, c.x - ix)
    fibres = 0.07 * np.sin(turn * 23) + 0.05 * np.sin(turn * 41 + 1)
    glow = np.clip(0.55 + 0.55 * (c.y - iy) / r + fibres, 0, 1.2)[..., None]
    c.tint(np.array((62, 84, 84)) * (1 - glow * 0.6) + np.array((150, 168, 140)) * glow * 0.6, iris)
    c.tint((34, 44, 46), iris * np.clip((away - 0.74) * 4.5, 0, 1), 0.85)
    c.tint((16, 16, 20), c.disc(ix, iy, 4.7, 4.7, 1.0) * opening)
    shadow = np.clip(1 - (c.y - (EYE_Y + lid)) / 6.5, 0, 1)
    c.tint((70, 58, 62), opening * shadow, 0.42)
    c.tint((255, 255, 255), c.disc(ix - 3.4, iy - 3.6, 2.5, 2.3) * opening, 0.95)
    c.tint((255, 255, 255), c.disc(ix + 3.4, iy + 3.8, 1.2, 1.2) * opening, 0.6)
    # lashes
    lash = smooth(upper, closed=False)
    for k in range(len(lash) - 1):
        share = k / (len(lash) - 1)
        c.tint((44, 26, 24), c.line(lash[k : k + 2], 1.0 + 1.5 * share), 0.9)
    flick = smooth([at(14, lid * 0.75 + 1.2 * shut), at(22, -1.6 + 2.6 * shut), at(24.6, -3.4 + 4.6 * shut)], closed=False)
    c.tint((44, 26, 24), c.line(flick, 1.3, 0.4), 0.8)
    c.tint((150, 92, 80), c.line(smooth([upper[-1], *lower, upper[0]], closed=False), 0.9, 0.5), 0.5)
    crease = smooth([at(-17, -4.5), at(-6, -12.4), at(8, -12.4), at(21, -5.6)], closed=False)
    c.tint((150, 96, 80), c.line(crease, 1.2, 0.7), 0.55 * (1 - 0.5 * shut))
    return Layer(x0, y0, c.premultiplied())


def build(seed: int = 5) -> Scene:
    """About ten seconds of painting."""
    rng = np.random.default_rng(seed)
    room, body, back, head = _room(rng), _body(rng), _back_hair(rng), _head(rng)
    eyes = [[_eye(head, sign, level) for level in range(LID_LEVELS)] for sign in (-1, 1)]
    return Scene(room, back, body, head, eyes)


def load_or_build(work: Path) -> Scene:
    """The scene, painted once and kept in work/scene.pkl."""
    path = work / "scene.pkl"
    if not path.exists():
        path.write_bytes(pickle.dumps(build()))
    return pickle.loads(path.read_bytes())
