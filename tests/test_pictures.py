"""Boxes, masks, seams, colours and sizes. Cases 59, 61, 62, 64, 65, 67; contract section 3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import lab
import numpy as np
import pytest
from markers import avatars, models

ONE = ("--idle", "model")


@pytest.fixture
def half_second(tmp_path: Path) -> Path:
    """12 or 13 frames of speech-like sound."""
    return lab.write_wav(tmp_path / "half.wav", lab.speech_like(0.5))


def test_the_paste_of_m1_is_invisible(m1: Path, half_second: Path) -> None:
    """Case 59: outside the inner square equal bit for bit, inside within 1 level."""
    frames = lab.pictures(m1, half_second, *ONE)
    x0, y0, x1, _ = lab.box_of(m1)
    assert x1 - x0 == 168, "the box has the network's own size, so nothing is resized"
    inner = (slice(y0 + 4, y0 + 164), slice(x0 + 4, x0 + 164))
    for frame, source in zip(frames, lab.backgrounds(m1), strict=False):
        difference = np.abs(frame.astype(int) - source)
        assert difference.max() <= 1
        difference[inner] = 0
        assert difference.max() == 0


@pytest.mark.parametrize("feather", [0, 8])
def test_no_seam_shows_on_a_box_that_is_resized(
    feather: int, tmp_path: Path, half_second: Path
) -> None:
    """Case 59: a flat face stays flat to the level, whatever the size of its box."""
    boxes = [(30, 20, 31 + 2 * i + 90, 21 + 2 * i + 90) for i in range(12)]
    face = avatars.make_avatar(
        tmp_path / "a",
        frames=12,
        boxes=boxes,
        feather=feather,
        paint=lambda _, frame: frame.__setitem__(slice(17, None), avatars.SKIN),
    )
    sources = lab.backgrounds(face)
    for frame, source in zip(
        lab.pictures(face, half_second, *ONE), sources, strict=False
    ):
        assert np.abs(frame.astype(int) - source).max() <= 1


@pytest.mark.parametrize("border", [0, 4, 10])
@pytest.mark.parametrize("inner", [96, 160])
def test_border_and_mask_come_from_the_manifest(
    border: int, inner: int, tmp_path: Path, half_second: Path
) -> None:
    """Case 61: a stripe just above the mask stays; M2 paints exactly the mask."""
    side = inner + 2 * border
    box = (40, 30, 40 + side, 30 + side)
    mask = (20, inner // 2, inner - 40, inner // 3)
    top = box[1] + border + mask[1]

    def stripe(_: int, frame: lab.Bgr) -> None:
        frame[top - 6 : top - 2, box[0] : box[2]] = (10, 200, 30)

    face = avatars.make_avatar(
        tmp_path / "a",
        frames=13,
        model="M2",
        inner=inner,
        border=border,
        mask=mask,
        boxes=[box] * 13,
        paint=stripe,
    )
    left = box[0] + border + mask[0]
    rows, columns = slice(top, top + mask[3]), slice(left, left + mask[2])
    for frame, source in zip(
        lab.pictures(face, half_second, *ONE), lab.backgrounds(face), strict=True
    ):
        painted = frame[rows, columns]
        assert np.ptp(painted.astype(int)) == 0
        rest, want = frame.copy(), source.copy()
        rest[rows, columns] = want[rows, columns] = 0
        assert np.abs(rest.astype(int) - want).max() <= 1


def test_the_box_may_move_and_change_from_frame_to_frame(
    tmp_path: Path, half_second: Path
) -> None:
    """Contract 3: each frame has its own box; the paint follows it."""
    boxes = [(10 + 7 * i, 20 + 3 * i, 90 + 8 * i, 100 + 4 * i) for i in range(13)]
    face = avatars.make_avatar(tmp_path / "a", frames=13, model="M2", boxes=boxes)
    frames = lab.pictures(face, half_second, *ONE)
    for frame, source, (x0, y0, x1, y1) in zip(
        frames, lab.backgrounds(face), boxes, strict=True
    ):
        changed = np.argwhere((frame != source).any(axis=2))
        assert len(changed) > 2000
        low, high = changed.min(axis=0), changed.max(axis=0)
        assert (low >= (y0, x0)).all()
        assert (high < (y1, x1)).all()
        assert high[1] - low[1] > 0.8 * (x1 - x0)


@pytest.mark.parametrize("where", ["edges", "outside", "too few", "empty"])
def test_boxes_at_the_edge_are_drawn_and_beyond_it_refused(
    where: str, tmp_path: Path, half_second: Path
) -> None:
    """Case 62: at load, with the number of the box and the limit."""
    boxes: list = [(0, 72, 168, 240), (152, 72, 320, 240), (152, 0, 320, 168)]
    if where == "outside":
        boxes[1] = (200, 72, 368, 240)
    if where == "empty":
        boxes[1] = (200, 72, 200, 240)
    face = avatars.make_avatar(tmp_path / "a", frames=3, model="M2", boxes=boxes)
    if where == "too few":
        (face / "boxes.json").write_text(
            '{"schema_version": 1, "boxes": [[0,72,168,240]]}'
        )
        avatars.reseal(face)
    if where == "edges":
        assert len(lab.pictures(face, half_second, *ONE)) == 13
        return
    run = lab.render(face, half_second, "-", lab.PIXELS, "bgr", ok=False)
    lab.refused(
        run, "boxes", {"outside": r"320x240", "empty": "x0 < x1", "too few": "3"}[where]
    )


def test_frames_without_a_face_pass_untouched(
    avatar: Callable[..., Path], speech_wav: Path
) -> None:
    """Case 62: frames 10 to 20 show no face; the run of minutes goes on."""
    face = avatar("gaps", model="M2", frames=25, no_face=range(10, 21), textured=True)
    frames, sources = lab.pictures(face, speech_wav, *ONE), lab.backgrounds(face)
    same = [(frame == sources[i % 25]).all() for i, frame in enumerate(frames)]
    for i, untouched in enumerate(same):
        assert untouched == (10 <= i % 25 <= 20), i


def test_inspect_lists_the_frames_without_a_face(avatar: Callable[..., Path]) -> None:
    """Case 62: they are named."""
    face = avatar("gaps", model="M2", frames=25, no_face=range(10, 21), textured=True)
    assert "10-20" in lab.lipcast("inspect", face).stdout.decode()


# Rotation -------------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_rotation_tag_gives_upright_frames(
    degrees: int, tmp_path: Path, half_second: Path
) -> None:
    """Case 64: stored 640x360, shown 360x640."""
    width, height = (360, 640) if degrees != 180 else (640, 360)
    box = (80, 100, 248, 268)
    upright = [avatars.draw_frame(i, (width, height), box=box) for i in range(13)]
    face = avatars.make_avatar(
        tmp_path / "a",
        frames=13,
        size=(width, height),
        boxes=[box] * 13,
        images="video",
    )
    want = lab.decode(face / "frames.mp4")
    # What ffmpeg 5.1 writes for rotate=90 it shows turned counterclockwise; it is the ruler here.
    turn = {
        90: cv2.ROTATE_90_CLOCKWISE,
        180: cv2.ROTATE_180,
        270: cv2.ROTATE_90_COUNTERCLOCKWISE,
    }
    stored = [
        np.ascontiguousarray(cv2.rotate(frame, turn[degrees])) for frame in upright
    ]
    plain, tagged, shown = (
        tmp_path / "stored.mp4",
        face / "frames.mp4",
        tmp_path / "shown.png",
    )
    avatars.write_video(plain, stored, (25, 1))
    assert lab.decode(plain).shape[1:3] == (360, 640)
    lab.ffmpeg(
        "-i", plain, "-c", "copy", "-metadata:s:v:0", f"rotate={degrees}", tagged
    )
    lab.ffmpeg("-i", tagged, "-frames:v", 1, "-update", 1, shown)
    assert avatars.read_barcode(cv2.imread(str(shown))) == 0
    avatars.reseal(face)
    frames = lab.pictures(face, half_second)
    assert [avatars.read_barcode(frame) for frame in frames] == list(range(13))
    outside = lab.outside_box(np.stack(want), face).astype(int)
    assert np.abs(lab.outside_box(frames, face) - outside).mean() < 2


def test_a_manifest_with_the_stored_size_of_a_turned_video_is_refused(
    tmp_path: Path, half_second: Path
) -> None:
    """Case 64: the size in the manifest is that of upright frames; both sizes are named."""
    face = avatars.make_avatar(
        tmp_path / "a", frames=13, size=(640, 360), images="video"
    )
    tagged = tmp_path / "tagged.mp4"
    lab.ffmpeg(
        "-i", face / "frames.mp4", "-c", "copy", "-metadata:s:v:0", "rotate=90", tagged
    )
    (face / "frames.mp4").write_bytes(tagged.read_bytes())
    avatars.reseal(face)
    run = lab.render(face, half_second, "-", lab.PIXELS, "bgr", ok=False)
    lab.refused(run, "640x360", "360x640")


# Sizes ----------------------------------------------------------------------------------------


def test_an_odd_size_is_padded_to_even_and_said_aloud(
    tmp_path: Path, half_second: Path
) -> None:
    """Case 65: 641x361 into H.264."""
    face = avatars.make_avatar(tmp_path / "a", frames=5, size=(641, 361))
    report = lab.report(face, half_second, tmp_path / "out.mp4")
    stream = lab.probe(tmp_path / "out.mp4")
    # Shown cropped to the true size, or padded by one.
    assert (stream["width"], stream["height"]) in ((641, 361), (642, 362))
    assert any("641" in warning for warning in report["warnings"])
    frames = lab.decode(tmp_path / "out.mp4")
    assert avatars.read_barcode(frames[3]) == 3
    source = lab.backgrounds(face)[3]
    assert np.abs(frames[3, :361, :641].astype(int) - source).mean() < 4


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (17, 33), (8191, 16), (16, 8191)])
def test_extreme_sizes_go_through_every_output(
    size: tuple[int, int], tmp_path: Path
) -> None:
    """Case 65: 1x1 and 8191 wide; no face in them, so the frames are the sources."""
    wav = lab.write_wav(tmp_path / "a.wav", lab.speech_like(0.1))
    face = avatars.make_avatar(
        tmp_path / "a",
        frames=2,
        size=size,
        boxes=[None, None],
        inner=16,
        border=2,
        textured=True,
    )
    sources = lab.backgrounds(face)
    frames = lab.pictures(face, wav)
    assert (frames == np.stack([sources[i % 2] for i in range(3)])).all()
    lab.render(face, wav, tmp_path / "png/%06d.png")
    assert (np.stack(lab.read_folder(tmp_path / "png")) == frames).all()
    lab.render(face, wav, tmp_path / "jpg/%06d.jpg")
    assert lab.read_folder(tmp_path / "jpg", "jpg")[0].shape == sources[0].shape
    told = lab.report(face, wav, tmp_path / "out.mp4")
    stream = lab.probe(tmp_path / "out.mp4")
    assert int(stream["nb_read_packets"]) == 3
    even = tuple(side + side % 2 for side in size)
    assert (stream["width"], stream["height"]) == even
    assert any("even" in warning for warning in told["warnings"]) == (even != size)


@pytest.mark.parametrize("size", ["160x120", "641x361", "1280x720"])
def test_an_asked_size_is_the_size_of_the_output(
    size: str, m1: Path, half_second: Path
) -> None:
    """The whole frame is scaled after it was drawn."""
    width, height = map(int, size.split("x"))
    data = lab.render(m1, half_second, "-", lab.PIXELS, "bgr", "--size", size).stdout
    frames = np.frombuffer(data, np.uint8).reshape(-1, height, width, 3)
    assert len(frames) == 13
    want = cv2.resize(
        lab.backgrounds(m1)[6], (width, height), interpolation=cv2.INTER_CUBIC
    )
    assert np.abs(frames[6].astype(int) - want).max() <= 4


@pytest.mark.parametrize(
    "size", ["0x10", "10x", "x", "9000x10", "-4x4", "abc", "10x10x10"]
)
def test_a_size_out_of_range_is_refused(size: str, m1: Path, half_second: Path) -> None:
    """Case 65: with the value and what is wanted."""
    run = lab.render(
        m1, half_second, "-", lab.PIXELS, "bgr", f"--size={size}", ok=False
    )
    lab.refused(run, "size|width|height|side")


# Colours --------------------------------------------------------------------------------------


@pytest.mark.parametrize("images", ["png", "video"])
@pytest.mark.parametrize("name", ["red", "blue"])
def test_a_colour_stays_itself_through_every_output(
    name: str, images: str, avatar: Callable[..., Path], tmp_path: Path
) -> None:
    """Case 67: channel order, matrix and range, from both kinds of source."""
    colour = {"red": avatars.RED, "blue": avatars.BLUE}[name]
    face = avatar(f"{name}_{images}", colour=colour, frames=5, images=images)
    wav = lab.write_wav(tmp_path / "a.wav", lab.speech_like(0.2))
    point = (slice(220, 236), slice(280, 316))  # flat, outside the box
    found: dict[str, lab.Bgr] = {"bgr": lab.pictures(face, wav)[0]}
    for ending in ("png", "jpg"):
        lab.render(face, wav, tmp_path / ending / f"%06d.{ending}")
        found[ending] = lab.read_folder(tmp_path / ending, ending)[0]
    for ending in ("mp4", "mkv", "y4m"):
        lab.render(face, wav, tmp_path / f"o.{ending}")
        extra = ("-vf", "scale=in_color_matrix=bt709:in_range=tv,format=bgr24")
        data = lab.ffmpeg("-i", tmp_path / f"o.{ending}", *extra, "-f", "rawvideo", "-")
        found[ending] = np.frombuffer(data, np.uint8).reshape(-1, 240, 320, 3)[0]
    planes = lab.render(face, wav, "-", lab.PIXELS, "i420").stdout
    frame = 320 * 240 * 3 // 2
    assert len(planes) == 5 * frame
    raw = tmp_path / "raw.i420"
    raw.write_bytes(planes)
    layout = ("-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "320x240", "-i", raw)
    data = lab.ffmpeg(*layout, *extra, "-f", "rawvideo", "-")
    found["i420"] = np.frombuffer(data, np.uint8).reshape(-1, 240, 320, 3)[0]
    for output, picture in found.items():
        mean = picture[point].reshape(-1, 3).mean(axis=0)
        assert np.abs(mean - colour).max() <= 6, f"{output}: {mean} is not {colour}"
        inside = picture[60:80, 150:170].reshape(-1, 3).mean(axis=0)
        assert np.abs(inside - colour).max() <= 8, f"{output}, in the box: {inside}"


def test_a_video_file_says_which_colours_it_holds(m1: Path, tmp_path: Path) -> None:
    """Case 67: tagged BT.709, limited range."""
    wav = lab.write_wav(tmp_path / "a.wav", lab.speech_like(0.2))
    for ending in ("mp4", "mkv"):
        lab.render(m1, wav, tmp_path / f"o.{ending}")
        stream = lab.probe(tmp_path / f"o.{ending}")
        assert stream["color_space"] == "bt709"
        assert stream.get("color_range") == "tv"
        assert stream["pix_fmt"] == "yuv420p"


def test_png_frames_are_the_raw_frames(
    m1: Path, half_second: Path, tmp_path: Path
) -> None:
    """A picture folder is lossless."""
    lab.render(m1, half_second, tmp_path / "f/%06d.png")
    assert (
        np.stack(lab.read_folder(tmp_path / "f")) == lab.pictures(m1, half_second)
    ).all()


def test_y4m_is_the_i420_frames_with_their_headers(m1: Path, half_second: Path) -> None:
    """Rate, size and colour in the head; one FRAME line before each picture."""
    planes = lab.render(m1, half_second, "-", lab.PIXELS, "i420").stdout
    data = lab.render(m1, half_second, "-", lab.PIXELS, "y4m").stdout
    head, rest = data.split(b"\n", 1)
    assert head.startswith(b"YUV4MPEG2 W320 H240 F25:1")
    frame, pieces = 320 * 240 * 3 // 2, []
    while rest:
        line, rest = rest.split(b"\n", 1)
        assert line.startswith(b"FRAME")
        pieces.append(rest[:frame])
        rest = rest[frame:]
    assert b"".join(pieces) == planes


def test_quality_flags_change_the_size_of_the_files(m1: Path, tmp_path: Path) -> None:
    """--crf and --quality reach their encoders."""
    wav = lab.write_wav(tmp_path / "a.wav", lab.speech_like(0.5))
    sizes = []
    for crf in (10, 40):
        lab.render(m1, wav, tmp_path / f"{crf}.mkv", "--crf", crf)
        sizes.append((tmp_path / f"{crf}.mkv").stat().st_size)
    assert sizes[0] > 1.5 * sizes[1]
    for quality in (95, 30):
        lab.render(m1, wav, tmp_path / f"q{quality}/%06d.jpg", "--quality", quality)
    big, small = (
        sum(p.stat().st_size for p in (tmp_path / name).iterdir())
        for name in ("q95", "q30")
    )
    assert big > 1.5 * small


@pytest.mark.parametrize(
    "flag",
    [
        ("--crf", 60),
        ("--quality", 0),
        ("--batch", 0),
        ("--batch", 33),
        ("--threads", -1),
        ("--idle", "x"),
        ("--edges", "x"),
        ("--nonsense", 1),
    ],
)
def test_an_option_out_of_range_is_refused(
    flag: tuple[str, object], m1: Path, half_second: Path, tmp_path: Path
) -> None:
    """Each by name, before anything is written."""
    run = lab.render(m1, half_second, tmp_path / "o.mp4", *flag, ok=False)
    lab.refused(
        run, flag[0].strip("-") if flag[0] != "--threads" else "threads|workers"
    )
    assert not (tmp_path / "o.mp4").exists()


def test_m2_levels_are_the_loudness_the_encoder_saw(m2: Path, tmp_path: Path) -> None:
    """Sync readable from pixels: level = mean of the frame's own four mel columns."""
    wav = lab.write_wav(tmp_path / "a.wav", lab.speech_like(1))
    dump = tmp_path / "w.npy"
    frames = lab.pictures(m2, wav, *ONE, "--dump", f"windows={dump}")
    windows = np.load(dump)[: len(frames)]
    want = (windows[:, :, :4].mean(axis=(1, 2)) + 4) / 8 * 255
    assert np.abs(lab.mouth_levels(frames, m2) - np.floor(want)).max() <= 1
    assert models.CENTRE_ROW == 9
