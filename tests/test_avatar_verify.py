"""`lipcast avatar verify`: the demo avatar passes, and each broken twin fails by its own measure."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import lab
import numpy as np
import onnx
import pytest
from lipcast_studio.__main__ import main
from lipcast_studio.demo import measure
from lipcast_studio.onnx_file import session
from lipcast_studio.optimise.own_feeds import own_feeds
from lipcast_studio.optimise.package import Package
from lipcast_studio.package_files import file_entry
from lipcast_studio.training.picture import of_output
from lipcast_studio.verify import flicker, pictures, verdict
from lipcast_studio.verify import report as report_files
from onnx import helper, numpy_helper

DEMO = lab.ROOT / "avatars/demo"
CLIP = "librivox-0880"


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIPCAST_BIN", str(lab.BINARY))


def verify(*flags: object) -> tuple[int, dict, str]:
    """Exit code, the JSON, standard error; in this process, the real binary renders."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = main(["verify", *map(str, flags), "--json"])
    text = out.getvalue()
    return code, json.loads(text) if text else {}, errors.getvalue()


def failed(report: dict) -> set[str]:
    return {one["name"] for one in report["measures"] if not one["passed"]}


def found(report: dict) -> dict[str, float]:
    return {one["name"]: one["found"] for one in report["measures"]}


def twin(folder: Path, change: Callable[[onnx.ModelProto], None] | None = None) -> Path:
    """The demo avatar with one truth clip, its generator changed."""
    shutil.copytree(DEMO, folder, ignore=shutil.ignore_patterns("truth"))
    (folder / "truth").mkdir()
    for ending in ("json", "wav"):
        shutil.copy(DEMO / f"truth/{CLIP}.{ending}", folder / "truth")
    if change is not None:
        model = onnx.load(folder / "generator.onnx")
        change(model)
        (folder / "generator.onnx").write_bytes(model.SerializeToString())
        manifest = lab.read_manifest(folder)
        data = (folder / "generator.onnx").read_bytes()
        manifest["files"]["generator.onnx"] = file_entry(data)
        (folder / "avatar.json").write_text(json.dumps(manifest))
    return folder


def before_audio(model: onnx.ModelProto, *nodes: onnx.NodeProto) -> None:
    """The nodes make `heard` of `audio`; everything else listens to `heard`."""
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            if name == "audio":
                node.input[i] = "heard"
    for node in reversed(nodes):
        model.graph.node.insert(0, node)


def constant(model: onnx.ModelProto, name: str, values: object, kind: type) -> str:
    array = np.asarray(values, kind)
    model.graph.initializer.append(numpy_helper.from_array(array, name))
    return name


def late(model: onnx.ModelProto) -> None:
    """Five frames: the 16 rows of 512 that make up [N,32,16,16] move down by five."""
    rows = constant(model, "t_rows", [0, 16, 512], np.int64)
    back = constant(model, "t_back", [0, 32, 16, 16], np.int64)
    order = constant(model, "t_order", [0] * 5 + list(range(11)), np.int64)
    before_audio(
        model,
        helper.make_node("Reshape", ["audio", rows], ["t_a"]),
        helper.make_node("Gather", ["t_a", order], ["t_b"], axis=1),
        helper.make_node("Reshape", ["t_b", back], ["heard"]),
    )


def deaf(model: onnx.ModelProto) -> None:
    zero = constant(model, "t_zero", 0.0, np.float32)
    before_audio(model, helper.make_node("Mul", ["audio", zero], ["heard"]))


def after_output(model: onnx.ModelProto, *nodes: onnx.NodeProto) -> None:
    """The nodes make `shade`, which is added to the picture."""
    (output,) = [v.name for v in model.graph.output]
    for node in model.graph.node:
        for i, name in enumerate(node.output):
            if name == output:
                node.output[i] = "t_output"
    model.graph.node.extend(nodes)
    model.graph.node.append(helper.make_node("Add", ["t_output", "shade"], [output]))


def brighter(model: onnx.ModelProto) -> None:
    """Every pixel a shade brighter than its surroundings."""
    constant(model, "shade", 0.04, np.float32)
    after_output(model)


def flickering(model: onnx.ModelProto) -> None:
    """18x44 px of the chin, ten levels up or down from frame to frame; the picture's mean is the dice."""
    patch = np.zeros((1, 3, 160, 160), np.float32)
    patch[:, :, 95:113, 58:102] = 10 / 255
    after_output(
        model,
        helper.make_node("ReduceMean", ["input"], ["t_mean"], axes=[1, 2, 3]),
        helper.make_node(
            "Mul", ["t_mean", constant(model, "t_many", 1e5, np.float32)], ["t_turn"]
        ),
        helper.make_node("Sin", ["t_turn"], ["t_wave"]),
        helper.make_node("Sign", ["t_wave"], ["t_sign"]),
        helper.make_node(
            "Mul", ["t_sign", constant(model, "t_patch", patch, np.float32)], ["shade"]
        ),
    )


@functools.cache
def widest() -> np.ndarray:
    """What it hears at the moment of the demo sentence at which its mouth is darkest [1,32,16,16]."""
    feeds = own_feeds(Package(DEMO), None)
    run = session(DEMO / "generator.onnx")
    names = [value.name for value in run.get_inputs()]
    drawn = [
        run.run(
            None, dict(zip(names, (feeds.pictures[:1], context[None]), strict=True))
        )
        for context in feeds.contexts
    ]
    mouths = [of_output(one[0][0])[measure.ROWS, measure.COLUMNS] for one in drawn]
    skin = float(np.median([mouth[..., 1] for mouth in mouths]))
    dark = [measure.dark_area(mouth, skin) for mouth in mouths]
    return feeds.contexts[int(np.argmax(dark))][None]


def agape(model: onnx.ModelProto) -> None:
    """Hears the widest moment beside the sound, and in silence."""
    wide = constant(model, "t_wide", widest(), np.float32)
    before_audio(model, helper.make_node("Max", ["audio", wide], ["heard"]))


def agape_in_speech(model: onnx.ModelProto) -> None:
    """The same, but where all 16 rows of 512 are one or, beyond the ends, 0: silence."""
    rows = constant(model, "t_rows", [0, 16, 512], np.int64)
    wide = constant(model, "t_wide", widest(), np.float32)
    least = constant(model, "t_least", 0.5, np.float32)
    whole = constant(model, "t_whole", [-1, 1, 1, 1], np.int64)
    before_audio(
        model,
        helper.make_node("Reshape", ["audio", rows], ["t_a"]),
        helper.make_node("ReduceMax", ["t_a"], ["t_high"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["t_high", "t_a"], ["t_below"]),
        helper.make_node("Mul", ["t_a", "t_below"], ["t_between"]),
        helper.make_node("ReduceMax", ["t_between"], ["t_most"], axes=[1, 2]),
        helper.make_node("Reshape", ["t_most", whole], ["t_moves"]),
        helper.make_node("Greater", ["t_moves", least], ["t_speech"]),
        helper.make_node("Max", ["audio", wide], ["t_loud"]),
        helper.make_node("Where", ["t_speech", "t_loud", "audio"], ["heard"]),
    )


def test_the_demo_passes_and_its_report_is_one_page(tmp_path: Path) -> None:
    out = tmp_path / "отчёт"
    code, report, _ = verify(twin(tmp_path / "demo"), "-o", out)
    assert (code, report["passed"], failed(report)) == (0, True, set())
    assert report["compared_with"] == "truth"
    assert json.loads((out / "verify.json").read_text("utf-8")) == report
    page = (out / "report.html").read_text("utf-8")
    assert page.count("data:image/") == 3
    assert "http" not in page and 'src="data:' in page
    assert (out / "report.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in out.iterdir()) == sorted(
        ["report.html", "report.png", "verify.json"]
    )
    code, _, said = verify(tmp_path / "demo", "-o", out)
    assert code == 4 and "exists; --overwrite" in said


def test_the_demo_as_it_ships_passes_on_every_truth_clip() -> None:
    """Each measure within its limit, and those that users see most with room to spare."""
    code, report, _ = verify(DEMO)
    assert (code, report["passed"], failed(report)) == (0, True, set())
    clips = {path.stem for path in (DEMO / "truth").glob("*.json")}
    assert len(clips) == 10
    assert {clip["name"] for clip in report["clips"]} == clips
    assert all(abs(clip["offset_frames"]) <= 1 for clip in report["clips"])
    measured = found(report)
    assert measured["frames lost"] == measured["offset"] == 0
    assert measured["mouth follows"] >= 0.8
    assert measured["seam"] <= 1 and measured["flicker"] <= 1


def test_without_truth_the_loudness_is_followed(tmp_path: Path) -> None:
    folder = twin(tmp_path / "demo")
    sound = folder / f"truth/{CLIP}.wav"
    code, report, _ = verify(folder, "--audio", sound)
    assert (code, failed(report)) == (0, set())
    assert report["compared_with"] == "loudness"


@pytest.mark.parametrize("compared_with", ["truth", "loudness"])
@pytest.mark.parametrize(
    ("change", "fails"),
    [
        (late, "offset"),
        (deaf, "mouth follows"),
        (brighter, "seam"),
        (agape, "silence closed"),
    ],
)
def test_a_broken_avatar_fails_by_the_measure_that_is_made_for_it(
    change: Callable[[onnx.ModelProto], None],
    fails: str,
    compared_with: str,
    tmp_path: Path,
) -> None:
    folder = twin(tmp_path / "demo", change)
    sound = folder / f"truth/{CLIP}.wav"
    flags = ("--audio", sound) if compared_with == "loudness" else ()
    code, report, _ = verify(folder, *flags)
    assert report["compared_with"] == compared_with
    assert code == 1 and not report["passed"]
    assert fails in failed(report), report["measures"]
    if change is late:
        assert found(report)["offset"] == 5


def test_a_chin_that_flashes_fails_as_flicker_and_as_nothing_else(
    tmp_path: Path,
) -> None:
    """A patch that is a fiftieth of what is redrawn: no mean over all of it shows that."""
    out = tmp_path / "report"
    code, report, _ = verify(twin(tmp_path / "demo", flickering), "-o", out)
    assert (code, failed(report)) == (1, {"flicker"})
    assert report["failed"] == ["flicker"]
    assert 15 < found(report)["flicker"] < 25
    page = (out / "report.html").read_text("utf-8")
    assert "where the network flickers most" in page
    assert page.count("data:image/") == 4


def test_a_mouth_that_is_shut_in_silence_alone_fails_on_m_b_p(tmp_path: Path) -> None:
    code, report, _ = verify(twin(tmp_path / "demo", agape_in_speech))
    assert code == 1 and "lips shut on m b p" in failed(report)
    assert "silence closed" not in failed(report)


@pytest.mark.parametrize(
    ("how", "fails", "how_many"),
    [
        ('{real} "$@" | tail -c +{second_frame}', "frames lost", 1),
        ('{real} "$@" $idle', "silence redrawn", 75),
    ],
    ids=["first frame swallowed", "silence drawn"],
)
def test_an_engine_that_breaks_a_promise_fails_by_it(
    how: str, fails: str, how_many: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, folder = tmp_path / "lipcast", twin(tmp_path / "demo")
    size, real = 1280 * 720 * 3, shlex.quote(str(lab.BINARY))
    render = how.format(real=real, second_frame=size + 1)
    engine.write_text(
        f"""#!/bin/sh
case "$*" in
inspect*) exec {real} "$@" ;;
*--idle*) idle= ;;
*) idle="--idle model" ;;
esac
{render}
"""
    )
    engine.chmod(0o755)
    monkeypatch.setenv("LIPCAST_BIN", str(engine))
    code, report, said = verify(folder, "-o", tmp_path / "report")
    assert code == 1 and fails in failed(report), said
    assert found(report)[fails] == how_many


def test_flicker_is_what_is_added_and_neither_noise_nor_motion_of_the_source() -> None:
    dice = np.random.default_rng(7)
    smooth = cv2.GaussianBlur(dice.uniform(40, 220, (200, 200, 3)), (0, 0), 5)
    nodding = [
        np.roll(smooth, round(4 * np.sin(i / 3)), 0)[:160, :160] for i in range(60)
    ]
    noisy = [frame + dice.normal(0, 6, frame.shape) for frame in nodding]
    still, source = (
        [np.clip(frame, 0, 255).astype(np.uint8) for frame in frames]
        for frames in (nodding, noisy)
    )
    whole = (slice(5, 150), slice(5, 155))
    assert flicker.added(still, still, whole) == 0
    assert flicker.added(still, source, whole) == 0
    flashed = [frame.copy() for frame in still]
    for frame in flashed[::5]:
        frame[95:113, 58:102] += 8
    assert flicker.added(flashed, still, whole) > verdict.FLICKER_LEVELS
    for frame, own in zip(flashed[::5], still[::5], strict=True):
        frame[95:113, 58:102] = own[95:113, 58:102] + 2
    assert 0 < flicker.added(flashed, still, whole) < verdict.FLICKER_LEVELS


@pytest.mark.parametrize(("letters", "whole"), [(40, True), (100, True), (900, False)])
def test_words_of_any_length_end_in_the_picture_of_the_report(
    letters: int, whole: bool
) -> None:
    """Smaller first, then cut, never beyond the edge; those that fit stay as they are."""
    picture = pictures.paper(60)
    words, size = pictures._fitted("m" * letters, 0.62, pictures.WIDTH_PX - 40)
    assert (words == "m" * letters) == whole and size <= 0.62
    assert letters > 40 or size == 0.62
    pictures.text(picture, "m" * letters, (40, 40), 0.62)
    columns = np.flatnonzero((picture != 255).any(axis=(0, 2)))
    assert 500 < columns.max() < pictures.WIDTH_PX - 1


def test_frames_are_compared_with_a_folder_of_references(tmp_path: Path) -> None:
    """Its own frames are equal; one that is not is found, with its number."""
    folder, sound = twin(tmp_path / "demo"), DEMO / f"truth/{CLIP}.wav"
    frames = tmp_path / "frames"
    frames.mkdir()
    flags = ("--idle", "model", "--edges", "reference")
    lab.render(folder, sound, frames / "%d.png", *flags)
    shutil.copy(sound, frames)
    (frames / "7.png").write_bytes((frames / "20.png").read_bytes())
    code, report, _ = verify(folder, "--against", frames, "-o", tmp_path / "report")
    assert code == 1
    assert failed(report) == {"reference, worst", "reference, levels"}
    (worst,) = [m for m in report["measures"] if m["name"] == "reference, worst"]
    assert "frame 7," in worst["about"]
    (frames / "9.png").unlink()
    code, _, said = verify(folder, "--against", frames)
    assert code == 3 and "picture 9 is missing" in said.splitlines()[-1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with one truth clip, unchanged."""
    return twin(tmp_path_factory.mktemp("verify") / "demo")


def refused_at_once(code: int, *flags: object) -> str:
    """No frame is rendered: the first line that is said is the last."""
    got, report, said = verify(*flags)
    assert (got, report) == (code, {}) and len(said.splitlines()) == 1, said
    return said


def test_a_place_that_takes_no_report_is_refused_before_any_rendering(
    whole: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "o/report.html").mkdir(parents=True)
    for place, wanted in (
        ("/proc/x", "/proc/x: No such file or directory; want a folder that takes"),
        (tmp_path / "file", "file: is not a folder"),
        (tmp_path / "file/x", "file/x: Not a directory; want a folder that takes"),
        (tmp_path / ("n" * 300), "File name too long; want a folder that takes"),
    ):
        assert wanted in refused_at_once(4, whole, "-o", place)
    said = refused_at_once(4, whole, "-o", tmp_path / "o", "--overwrite")
    assert "report.html: is a folder" in said


def test_no_folder_is_left_where_no_report_came(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError),
        report_files.claimed(tmp_path / "a/b", overwrite=False),
    ):
        assert (tmp_path / "a/b").is_dir()
        raise RuntimeError
    assert not (tmp_path / "a").exists()
    with report_files.claimed(tmp_path / "a/b", overwrite=False):
        (tmp_path / "a/b/report.html").write_text("")
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["report.html"]


def test_references_that_cannot_fit_are_refused_before_any_rendering(
    whole: Path, tmp_path: Path
) -> None:
    frames, sound = tmp_path / "frames", DEMO / f"truth/{CLIP}.wav"
    flags = (whole, "--audio", sound, "--against", frames)
    assert "frames: no such folder" in refused_at_once(3, *flags)
    frames.mkdir()
    blank = cv2.imencode(".png", np.zeros((720, 1280, 3), np.uint8))[1].tobytes()
    for i in range(76):
        (frames / f"{i}.png").write_bytes(blank)
    said = refused_at_once(3, *flags)
    assert f"76 pictures, and {CLIP}.wav gives 75 frames: not the same sound" in said
    (frames / "75.png").unlink()
    (frames / "74.png").write_bytes(blank[: len(blank) // 3])
    assert "74.png: not a whole picture" in refused_at_once(3, *flags)
    cv2.imwrite(str(frames / "74.png"), np.zeros((360, 640, 3), np.uint8))
    said = refused_at_once(3, *flags)
    assert "74.png: 640x360: want 1280x720 as the avatar" in said
    (frames / "74.png").write_bytes(blank)
    short = lab.write_wav(frames / "short.wav", lab.speech_like(1.5))
    said = refused_at_once(3, whole, "--audio", short, "--against", frames)
    assert "short.wav: 1.52 s: want at least 2 s of speech" in said


def test_a_silent_sound_is_refused_and_not_the_avatars_fault(tmp_path: Path) -> None:
    folder = twin(tmp_path / "demo")
    sound = lab.write_wav(tmp_path / "quiet.wav", np.zeros(40_000, np.float32))
    code, report, said = verify(folder, "--audio", sound)
    assert (code, report) == (3, {})
    assert "quiet.wav: silent, or of one loudness throughout" in said.splitlines()[-1]


def test_an_avatar_that_does_not_load_says_so_in_one_line(tmp_path: Path) -> None:
    folder = twin(tmp_path / "demo")
    (folder / "generator.onnx").write_bytes(b"half")
    code, report, said = verify(folder)
    assert (code, report) == (3, {})
    assert "generator.onnx" in said and len(said.splitlines()) == 1


def test_info_adds_the_networks_to_what_inspect_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LIPCAST_PYTHON", sys.executable)
    report = lab.lipcast("avatar", "info", DEMO, "--json").report
    said = lab.lipcast("inspect", DEMO, "--json").report
    assert {key: report[key] for key in said} == said
    generator = report["networks"]["generator.onnx"]
    assert generator["inputs"]["audio"][1:] == [32, 16, 16]
    assert generator["bytes"] == (DEMO / "generator.onnx").stat().st_size
    run = lab.lipcast("avatar", "info", lab.ROOT / "tests", ok=False)
    assert run.code == 3
    lab.refused(run, "avatar.json: no such file")
