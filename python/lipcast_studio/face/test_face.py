"""Points of a face, the box that follows it, the mouth's values; on the demo avatar's painted face."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from lipcast_studio.errors import EXIT_UNAVAILABLE, StudioError
from lipcast_studio.face import landmarks
from lipcast_studio.face.boxes import RIGID, box_track, in_inner, smooth
from lipcast_studio.face.compose import similarity, with_mouth_of
from lipcast_studio.face.landmarks import FaceFinder, Points, roi_of_detection
from lipcast_studio.face.mouth import OPEN, measures, rest_of, scale_of
from lipcast_studio.face.speech_check import loudness_db, sound_lag, speech_frames, still_mouth
from lipcast_studio.face.track import BLURRED, CUT_OFF, JUMP, ON_ITS_SIDE, REASONS, SEVERAL_FACES, USABLE, Track, follow, runs
from lipcast_studio.face.whole_face import face_boxes
from lipcast_studio.training.picture import inner_picture

DEMO = Path(__file__).resolve().parents[3] / "avatars/demo"
BOX = json.loads((DEMO / "boxes.json").read_text())["boxes"][0]


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return cv2.imread(str(DEMO / "preview.jpg"))


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder()


@pytest.fixture(scope="module")
def points(picture: np.ndarray, finder: FaceFinder) -> Points:
    (face,) = finder.detect(picture)
    found = finder.mesh(picture, roi_of_detection(face))
    assert found is not None
    return found


def test_the_mouth_is_where_the_painter_put_it(points: Points) -> None:
    x0, y0, x1, y1 = BOX
    mouth = (points[13] + points[14]) / 2
    assert x0 + 0.4 * (x1 - x0) < mouth[0] < x0 + 0.6 * (x1 - x0)
    assert y0 + 0.2 * (y1 - y0) < mouth[1] < y0 + 0.55 * (y1 - y0)
    assert points[61, 0] < points[291, 0]
    assert np.linalg.norm(points[13, :2] - points[14, :2]) < 6  # closed


def test_a_turned_face_has_the_same_points(picture: np.ndarray, finder: FaceFinder, points: Points) -> None:
    turn = cv2.getRotationMatrix2D((640, 330), 12, 1.0)
    turned = cv2.warpAffine(picture, turn, (1280, 720), borderMode=cv2.BORDER_REPLICATE)
    (face,) = finder.detect(turned)
    found = finder.mesh(turned, roi_of_detection(face))
    assert found is not None
    want = points[:, :2] @ turn[:, :2].T + turn[:, 2]
    assert np.linalg.norm(found[RIGID, :2] - want[RIGID], axis=1).max() < 12


def test_a_small_face_beside_the_middle_is_found(picture: np.ndarray, finder: FaceFinder) -> None:
    small = np.full((360, 1280, 3), 120, np.uint8)
    small[120:300, 40:360] = cv2.resize(picture, (320, 180), interpolation=cv2.INTER_AREA)
    faces = finder.detect(small, thorough=True)
    assert len(faces) == 1
    assert np.abs(faces[0].centre - (200, 205)).max() < 12
    assert not finder.detect(np.full((360, 640, 3), 120, np.uint8))


def test_a_picture_with_a_cut_face_at_the_edge_of_a_part_has_one_face(picture: np.ndarray, finder: FaceFinder) -> None:
    for shift in (-300, -150, 0, 150, 300):
        moved = np.roll(picture, shift, 1)
        assert len(finder.detect(moved, thorough=True)) == 1, shift


def test_without_the_models_the_command_to_install_them_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landmarks.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StudioError, match=r"mediapipe is missing.*pip install --no-deps mediapipe") as caught:
        FaceFinder()
    assert caught.value.code == EXIT_UNAVAILABLE


def track_of(points: list[Points | None], width: int = 1280, height: int = 720) -> Track:
    empty = np.full((468, 3), np.nan)
    status = np.array([USABLE if p is not None else 1 for p in points])
    return Track(np.stack([empty if p is None else p for p in points]), np.ones(len(points)), status, width, height)


def test_a_box_is_a_square_that_follows_the_head_and_holds_the_chin(points: Points) -> None:
    moves = [points + np.array([2.0 * i, 0, 0]) for i in range(40)]
    boxes = box_track(track_of(moves))
    for p, box in zip(moves, boxes, strict=True):
        assert box is not None
        x0, y0, x1, y1 = box
        assert x1 - x0 == y1 - y0
        inner = in_inner(p, box, 160)
        assert 115 < inner[152, 1] < 145  # the chin is inside the mask
        assert 60 < inner[13, 0] < 100
    steps = np.diff([box[0] for box in boxes if box])[5:-5]
    assert set(steps) <= {1, 2, 3}
    assert steps.mean() == pytest.approx(2, abs=0.1)


def test_the_jaw_does_not_move_the_box(points: Points) -> None:
    jaws = []
    for i in range(40):
        moved = points.copy()
        moved[[152, 148, 377, 17, 14], 1] += 10 * (i % 2)
        jaws.append(moved)
    boxes = box_track(track_of(jaws))
    assert len(set(boxes)) == 1


def test_a_face_that_leaves_the_picture_is_cut_off(points: Points) -> None:
    track = track_of([points + np.array([20.0 * i, 0, 0]) for i in range(40)])
    boxes = box_track(track)
    assert track.status[0] == USABLE
    assert track.status[-1] == CUT_OFF
    assert boxes[-1] is None
    assert all(box[2] <= 1280 for box in boxes if box)


def test_smoothing_is_not_drawn_over_a_gap() -> None:
    values = np.full((30, 1), 5.0)
    values[10:20] = np.nan
    out = smooth(values, 2.0)
    assert np.isnan(out[10:20]).all()
    np.testing.assert_allclose(out[:10], 5.0)
    np.testing.assert_allclose(smooth(np.arange(30.0)[:, None], 1.0)[10:20, 0], np.arange(10.0, 20.0))


def test_the_values_of_a_mouth_do_not_change_with_size_and_turn(points: Points) -> None:
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    near = 1.7 * points @ turn.T + 40
    np.testing.assert_allclose(measures(near[None]), measures(points[None]), rtol=1e-9)


def test_an_opening_mouth_goes_from_0_to_1_and_noise_stays_small(points: Points) -> None:
    frames = []
    for i in range(50):
        moved = points.copy()
        moved[[14, 87, 317], 1] += 0.5 * i
        frames.append(moved)
    measured = measures(np.stack(frames))
    values = scale_of(measured).values(measured)
    assert np.all(np.diff(values[:, OPEN]) >= 0)
    assert (values[0, OPEN], values[-1, OPEN]) == (0, 1)
    assert rest_of(values)[OPEN] < 0.1
    still = measures(np.stack([points + 0.01 * (i % 2) for i in range(50)]))
    assert np.ptp(scale_of(still).values(still)[:, OPEN]) < 0.2


def test_another_mouth_is_joined_without_touching_the_rest(picture: np.ndarray, points: Points) -> None:
    box = box_track(track_of([points]))[0]
    assert box is not None
    inner, inner_points = inner_picture(picture, box), in_inner(points, box, 160)
    other = inner.copy()
    x, y = inner_points[[13, 14]].mean(0).astype(int)
    cv2.ellipse(other, (int(x), int(y)), (22, 10), 0, 0, 360, (10, 10, 60), -1)
    made = with_mouth_of(inner, inner_points, other, inner_points)
    assert np.abs(made[y, x].astype(int) - (10, 10, 60)).max() < 8
    assert np.array_equal(made[:20], inner[:20])
    same = with_mouth_of(inner, inner_points, inner, inner_points)
    assert np.abs(same.astype(int) - inner).max() <= 1
    moved = inner_points + np.array([3.0, -2.0])
    matrix = similarity(inner_points[RIGID], moved[RIGID])
    np.testing.assert_allclose(matrix, [[1, 0, 3], [0, 1, -2]], atol=1e-9)


def test_runs_are_first_and_last() -> None:
    assert runs(np.array([1, 1, 0, 1, 0, 0, 1], bool)) == [(0, 1), (3, 3), (6, 6)]
    assert runs(np.zeros(4, bool)) == []


def test_a_track_is_kept_and_read_back(tmp_path: Path, picture: np.ndarray, finder: FaceFinder) -> None:
    blank = np.full_like(picture, 90)
    track = follow([picture, blank, picture], 4, 1280, 720, finder)  # the fourth frame is missing
    assert list(track.usable) == [True, False, True, False]
    track.save(tmp_path / "faces.npz")
    back = Track.load(tmp_path / "faces.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["faces.npz"]
    assert (back.width, back.height, list(back.status)) == (1280, 720, list(track.status))
    np.testing.assert_allclose(back.points, track.points, atol=1e-3)


@pytest.mark.parametrize("turn", [cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_90_COUNTERCLOCKWISE])
def test_a_recording_that_was_never_turned_upright_says_so(picture: np.ndarray, finder: FaceFinder, turn: int) -> None:
    """Not that the face is cut off, or that there is none: its user sees one."""
    turned = np.asarray(cv2.rotate(picture, turn), np.uint8)
    track = follow([turned] * 2, 2, turned.shape[1], turned.shape[0], finder)
    assert list(track.status) == [ON_ITS_SIDE] * 2, [REASONS.get(int(code)) for code in track.status]
    assert box_track(track) == [None, None]
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    assert follow([mirrored], 1, 1280, 720, finder).usable.all()


def speech(frames: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Sound whose loudness is an opening."""
    rng = np.random.default_rng(4)
    opening = np.clip(smooth(rng.random((frames, 1)), 2.0)[:, 0] * 3 - 1, 0.02, 1)
    wave = np.repeat(opening, 640) * rng.normal(0, 0.1, frames * 640)
    return wave.astype(np.float32), opening


def test_a_sound_that_is_early_or_late_is_noticed() -> None:
    wave, opening = speech()
    usable = np.ones(500, bool)
    for shift in (-6, 0, 6):
        lag, r = sound_lag(loudness_db(wave, 500), np.roll(opening, shift), usable)
        assert (lag, r > 0.8) == (shift, True)


def test_silence_is_no_speech_and_speech_over_a_still_mouth_is_told() -> None:
    wave, opening = speech()
    wave[100 * 640 : 150 * 640] = 0
    spoken = speech_frames(loudness_db(wave, 500))
    assert not spoken[100:150].any()
    assert spoken[:100].mean() > 0.9
    assert not speech_frames(loudness_db(np.zeros(64_000, np.float32), 100)).any()
    opening[300:380] = 0.1
    still = np.flatnonzero(still_mouth(spoken, opening))
    assert 300 <= still.min() <= 310
    assert 365 <= still.max() < 380


def faces(*shifts: float | None, status: int = USABLE) -> Track:
    """A track of one square of points, 100 px wide, moved along the picture; None: no face."""
    square = np.zeros((468, 3))
    square[:, :2] = np.random.default_rng(6).uniform(0, 100, (468, 2))
    square[:2, :2] = (0, 0), (100, 100)
    points = [None if x is None else square + (50 + x, 60, 0) for x in shifts]
    track = track_of(points, 640, 360)
    track.status[track.usable] = status
    return track


def test_the_box_of_a_whole_face_has_pads_and_is_smoothed_over_five_frames() -> None:
    moved = face_boxes(faces(0, 0, 0, 10, 0, 0, 0), (0, 10, 0, 0))
    assert moved[0] == [50, 60, 150, 170]
    assert [box[0] - 50 for box in moved] == [0, 2, 2, 2, 2, 2, 0]
    assert face_boxes(faces(0), (3, -5, 200, 1000)) == [[0, 57, 640, 155]]


def test_a_whole_face_is_smoothed_over_no_gap_and_no_cut() -> None:
    assert face_boxes(faces(0, None, 30), (0, 0, 0, 0)) == [[50, 60, 150, 160], "no face", [80, 60, 180, 160]]
    track = faces(0, 0, 0, 200, 200, 200)
    track.status[3] = JUMP
    assert [box[0] for box in face_boxes(track, (0, 0, 0, 0))] == [50, 50, 50, 250, 250, 250]


def test_a_whole_face_is_not_asked_to_be_sharp_but_to_be_the_only_one_and_inside() -> None:
    assert face_boxes(faces(0, status=BLURRED), (0, 0, 0, 0)) == [[50, 60, 150, 160]]
    assert face_boxes(faces(0, 0, status=SEVERAL_FACES), (0, 0, 0, 0)) == ["several faces"] * 2
    assert face_boxes(faces(-55), (0, 0, 0, 0)) == [[0, 60, 95, 160]]
    assert face_boxes(faces(-65), (0, 0, 0, 0)) == ["face cut off"]
    assert face_boxes(faces(550), (0, 0, 0, 0)) == ["face cut off"]


def test_a_mouth_that_is_hidden_for_half_of_two_seconds_is_not_called_still() -> None:
    _, opening = speech()
    spoken = np.ones(500, bool)
    opening[320:345] = 0.1  # a second: no more than a long vowel beside a gap
    opening[295:320] = np.nan
    assert not still_mouth(spoken, opening)[290:350].any()
    opening[320:370] = 0.1
    assert still_mouth(spoken, opening)[320:370].all()
