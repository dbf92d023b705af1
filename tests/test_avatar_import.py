"""`lipcast avatar`: a SyncTalk_2D folder becomes an avatar that the engine draws as the reference does."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import pickle
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import lab
import numpy as np
import pytest
from lipcast_studio.__main__ import main
from lipcast_studio.find_torch import find_torch
from markers import avatars
from parity import pipeline

find_torch()

import torch  # noqa: E402
from lipcast_studio.networks.made_up import weight  # noqa: E402

GOLDEN = json.loads(
    (lab.ROOT / "python/lipcast_studio/networks/golden.json").read_text()
)
FRAMES = 6
SIZE = (320, 240)


@pytest.fixture(autouse=True)
def python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' Python stands behind `lipcast avatar`."""
    monkeypatch.setenv("LIPCAST_PYTHON", sys.executable)


@functools.cache
def _made_up(network: str) -> dict[str, torch.Tensor]:
    table = GOLDEN[network]["state_dict"]
    return {key: weight(key, shape) for key, shape in table.items()}


def weights(network: str) -> dict[str, torch.Tensor]:
    """A copy of its own, to be changed."""
    return {key: value.clone() for key, value in _made_up(network).items()}


def box(i: int) -> tuple[int, int, int, int]:
    return (60 + i, 50 + i % 2, 60 + i + 171, 50 + i % 2 + 171)


def landmarks(i: int) -> str:
    """110 lines; only 1, 31 and 52 matter, and fractions are cut off."""
    x0, y0, x1, _ = box(i)
    points = np.full((110, 2), 7.5)
    points[1, 0], points[31, 0], points[52, 1] = x0 + 0.9, x1 + 0.4, y0 + 0.7
    return "\n".join(f"{x} {y}" for x, y in points)


def make_training_folder(folder: Path) -> None:
    """Pictures from 1, landmarks from 0, the sound of the video."""
    for name in ("full_body_img", "landmarks"):
        (folder / name).mkdir(parents=True)
    for i in range(FRAMES):
        picture = avatars.draw_frame(i, SIZE, box=box(i), textured=True)
        cv2.imwrite(str(folder / f"full_body_img/{i + 1}.jpg"), picture)
        (folder / f"landmarks/{i}.lms").write_text(landmarks(i))
    lab.write_wav(folder / "aud.wav", lab.speech_like(3.2))


def save_checkpoints(unet: Path, encoder: Path) -> None:
    """Both as training wraps them."""
    for path in (unet, encoder):
        path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(weights("synctalk_unet_160_ave"), unet)
    sound = {"module." + k: v for k, v in weights("synctalk_audio_encoder").items()} | {
        "module.lip_encoder.0.weight": torch.zeros(3)
    }
    torch.save({"state_dict": sound}, encoder)


@pytest.fixture(scope="module")
def trained(session_dir: Path) -> Path:
    """A training folder with its checkpoints."""
    folder = session_dir / "SyncTalk папка"
    make_training_folder(folder)
    save_checkpoints(folder / "checkpoint/195.pth", folder / "audio_visual_encoder.pth")
    return folder


@pytest.fixture(scope="module")
def imported(trained: Path, session_dir: Path) -> Path:
    """The avatar that `lipcast avatar import` makes of it."""
    os.environ["LIPCAST_PYTHON"] = sys.executable
    out = session_dir / "imported"
    run = lab.lipcast("avatar", "import", trained, "-o", out)
    assert "left out of audio_visual_encoder.pth: lip_encoder" in run.stderr
    assert run.stderr.count("ONNX Runtime and PyTorch differ by at most") == 2
    assert "speech.wav: 0.00-3.20 s of aud.wav" in run.stderr
    return out


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Callable[[], Path]:
    def get() -> Path:
        shutil.copytree(trained, tmp_path / "copy")
        return tmp_path / "copy"

    return get


def refused(out: Path, *said: str, flags: tuple[object, ...]) -> None:
    """In this process, where PyTorch is loaded already: exit 3, the reason, nothing left behind."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        code = main(["import", *map(str, flags), "-o", str(out)])
    last = errors.getvalue().splitlines()[-1]
    assert code == 3, errors.getvalue()
    assert last.startswith("lipcast: ") and all(text in last for text in said), last
    assert not out.parent.exists() or not list(out.parent.iterdir())


def test_a_training_folder_becomes_an_avatar_that_inspect_accepts(
    imported: Path,
) -> None:
    manifest = json.loads((imported / "avatar.json").read_text())
    assert manifest["frame_count"] == FRAMES
    assert manifest["generator"]["inner_px"] == 160
    boxes = json.loads((imported / "boxes.json").read_text())["boxes"]
    assert boxes == [list(box(i)) for i in range(FRAMES)]
    lab.lipcast("inspect", imported, "--json")


def test_the_engine_draws_an_imported_avatar_as_the_reference_does(
    imported: Path, speech_wav: Path, tmp_path: Path
) -> None:
    """Within 2 levels in the box, nothing changed outside."""
    wav = tmp_path / "short.wav"
    lab.ffmpeg("-i", speech_wav, "-t", 0.24, "-c:a", "pcm_s16le", wav)
    lab.render(imported, wav, tmp_path / "%06d.png", "--idle", "model")
    avatar = pipeline.open_avatar(imported)
    drawn = [cv2.imread(str(p)) for p in sorted(tmp_path.glob("*.png"))]
    assert len(drawn) == 6
    changed = 0
    for i, (got, want) in enumerate(
        zip(drawn, pipeline.render(imported, wav), strict=True)
    ):
        assert np.abs(got.astype(int) - want).max() <= 2, f"frame {i}"
        source = avatar.frame(pipeline.background_index(i, FRAMES, avatar.order))
        changed += int((got != source).any())
    assert changed == 6


def test_a_328_checkpoint_makes_a_320_px_avatar_that_is_drawn_as_the_reference_does(
    copy: Callable[[], Path], speech_wav: Path, tmp_path: Path
) -> None:
    folder = copy()
    big = tmp_path / "328.pth"
    torch.save(weights("synctalk_unet_328_ave"), big)
    flags = ("--checkpoint", str(big))
    assert main(["import", str(folder), "-o", str(tmp_path / "a"), *flags]) == 0
    generator = json.loads((tmp_path / "a/avatar.json").read_text())["generator"]
    assert generator["inner_px"] == 320
    assert generator["mask"] == {"x": 5, "y": 5, "width": 310, "height": 305}
    lab.lipcast("inspect", tmp_path / "a", "--json")
    wav = tmp_path / "short.wav"
    lab.ffmpeg("-ss", 0.5, "-i", speech_wav, "-t", 0.04, "-c:a", "pcm_s16le", wav)
    drawn = lab.pictures(tmp_path / "a", wav, "--idle", "model")
    assert len(drawn) == 1
    avatar = pipeline.open_avatar(tmp_path / "a")
    wanted = pipeline.render(tmp_path / "a", wav)
    for i, (got, want) in enumerate(zip(drawn, wanted, strict=True)):
        assert np.abs(got.astype(int) - want).max() <= 2, f"frame {i}"
        assert (got != avatar.frame(i)).any(), f"frame {i} is not drawn"


def test_an_onnx_package_is_imported_without_its_models_being_touched(
    trained: Path, imported: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "package"
    shutil.copytree(trained / "full_body_img", folder / "full_body_img")
    for name in ("models", "cache"):
        (folder / name).mkdir()
    for name in ("generator.onnx", "audio_encoder.onnx"):
        shutil.copy(imported / name, folder / "models" / name)
    table = {str(i): {"rect": list(box(i))} for i in range(FRAMES)}
    (folder / "cache/crop_rectangles.json").write_text(json.dumps(table))
    lab.lipcast("avatar", "import", folder, "-o", tmp_path / "a")
    for name in ("generator.onnx", "boxes.json"):
        assert (tmp_path / "a" / name).read_bytes() == (imported / name).read_bytes()
    lab.lipcast("inspect", tmp_path / "a", "--json")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """An ONNX avatar package, with the demo's networks."""
    folder = tmp_path / "package"
    for name in ("models", "cache", "full_body_img"):
        (folder / name).mkdir(parents=True)
    for i in range(FRAMES):
        picture = avatars.draw_frame(i, SIZE, box=box(i), textured=True)
        cv2.imwrite(str(folder / f"full_body_img/{i + 1}.png"), picture)
    for name in ("generator.onnx", "audio_encoder.onnx"):
        shutil.copy(lab.ROOT / "avatars/demo" / name, folder / "models" / name)
    table = {str(i): {"rect": list(box(i))} for i in range(FRAMES)}
    (folder / "cache/crop_rectangles.json").write_text(json.dumps(table))
    return folder


LEFT_ASIDE = "want one rate of 1 to 120; it is left aside"


@pytest.mark.parametrize(
    ("info", "rate", "said"),
    [
        ({"package_version": "2.0", "fps": 30}, "30", ""),
        ({"videos": {"full": {"fps": 29.97002997}, "lips": {}}}, "30000/1001", ""),
        ({"fps": 24, "videos": {"full": {"fps": 24.0}}}, "24", ""),
        ({"package_version": "2.0", "fps": None, "videos": []}, "25", ""),
        ([1], "25", ""),
        ({"fps": 0}, "25", f"fps 0: {LEFT_ASIDE}"),
        ({"fps": 24, "videos": {"a": {"fps": 30}}}, "25", f"fps 24, 30: {LEFT_ASIDE}"),
        ({"fps": float("nan")}, "25", f"fps nan: {LEFT_ASIDE}"),
        ({"fps": ["x" * 99]}, "25", f"fps ['xxxxxxxxxxxxxxxxxx: {LEFT_ASIDE}"),
        ({"fps": 10**400}, "25", f"fps inf: {LEFT_ASIDE}"),
        ({"fps": True}, "25", f"fps True: {LEFT_ASIDE}"),
    ],
)
def test_an_onnx_package_is_shown_at_the_rate_that_it_names(
    info: object,
    rate: str,
    said: str,
    package: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (package / "package_info.json").write_text(json.dumps(info))
    assert main(["import", str(package), "-o", str(tmp_path / "a")]) == 0
    assert lab.rate(lab.read_manifest(tmp_path / "a")["fps"]) == lab.rate(rate)
    told = capsys.readouterr().err
    assert ("package_info.json" in told) == bool(said) and said in told
    if not said:
        lab.lipcast("inspect", tmp_path / "a", "--json")


LISTS: list[Callable[[str, str], object]] = [
    lambda name, sha: {f"models/{name}": sha.upper()},
    lambda name, sha: {"sha256": {name: sha}},
    lambda name, sha: {"models": {name: {"size": 7, "sha256": sha}}},
    lambda name, sha: {"files": [{"path": f"models/{name}", "sha256": sha}, "x"]},
    lambda name, sha: {"onnx": {name.removesuffix(".onnx"): {"sha256": sha}}},
]


@pytest.mark.parametrize("list_of", LISTS)
@pytest.mark.parametrize("name", ["generator.onnx", "audio_encoder.onnx"])
def test_a_model_of_an_onnx_package_is_the_one_whose_hash_is_listed(
    list_of: Callable[[str, str], object],
    name: str,
    package: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    right = hashlib.sha256((package / "models" / name).read_bytes()).hexdigest()
    config = package / "onnx_dist_config.json"
    config.write_text(json.dumps(list_of(name, right)))
    assert main(["import", str(package), "-o", str(tmp_path / "o/a")]) == 0
    told = capsys.readouterr().err
    assert f"onnx_dist_config.json: the sha256 of {name} as listed" in told
    shutil.rmtree(tmp_path / "o")
    config.write_text(json.dumps(list_of(name, "0" * 64)))
    said = f"sha256 = {right}: want {'0' * 64} as in onnx_dist_config.json"
    refused(tmp_path / "o/a", f"models/{name}: {said}", flags=(package,))


def test_a_list_without_the_models_says_nothing_of_them(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = {"lips.onnx": "0" * 64, "generator.onnx": {"sha256": "none", "size": 1}}
    (package / "onnx_dist_config.json").write_text(json.dumps(lists))
    assert main(["import", str(package), "-o", str(tmp_path / "a")]) == 0
    assert "onnx_dist_config" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    ["cache/crop_rectangles.json", "package_info.json", "onnx_dist_config.json"],
)
@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("[" * 100_000, "nested too deep"),
        ("[1", "not JSON"),
        ('"' + "9" * 5000, "not JSON"),
    ],
    ids=["deep", "cut", "long"],
)
def test_a_damaged_table_of_a_package_is_one_line(
    name: str, data: str, said: str, package: Path, tmp_path: Path
) -> None:
    (package / name).write_text(data)
    refused(tmp_path / "o/a", f"{name}: {said}", flags=(package,))


def test_boxes_of_endless_digits_are_no_boxes(package: Path, tmp_path: Path) -> None:
    rows = ", ".join([f"[1{'0' * 400}, 0, 9, 9]", f"[1, 0, 9{'0' * 5000}, 9]"] * 3)
    (package / "cache/crop_rectangles.json").write_text(f"[{rows}]")
    said = "no frame has a usable face box; frame 0: a box is not four numbers"
    refused(tmp_path / "o/a", said, flags=(package,))


def test_the_ending_of_a_network_may_be_in_capitals(
    package: Path, tmp_path: Path
) -> None:
    flags: list[object] = []
    for flag, name in (
        ("--checkpoint", "generator"),
        ("--audio-encoder", "audio_encoder"),
    ):
        (package / f"models/{name}.onnx").rename(tmp_path / f"{name.upper()}.ONNX")
        flags += [flag, tmp_path / f"{name.upper()}.ONNX"]
    assert (
        main(["import", str(package), "-o", str(tmp_path / "a"), *map(str, flags)]) == 0
    )
    lab.lipcast("inspect", tmp_path / "a", "--json")


@pytest.mark.parametrize("flag", ["--checkpoint", "--audio-encoder"])
def test_what_is_no_file_is_not_called_missing(
    flag: str, package: Path, tmp_path: Path
) -> None:
    (tmp_path / "195.pth").mkdir()
    for path, said in (
        (tmp_path / "195.pth", "195.pth: a folder; want a file"),
        (Path("/dev/null"), "/dev/null: not a regular file; want one"),
        (tmp_path / "none.pth", "none.pth: no such file"),
    ):
        refused(tmp_path / "o/a", said, flags=(package, flag, path))
    said = "/dev/null: neither a folder nor a file"
    refused(tmp_path / "o/a", said, flags=("/dev/null",))


def test_frames_without_a_usable_face_are_named_and_stay_untouched(
    copy: Callable[[], Path], imported: Path, tmp_path: Path
) -> None:
    folder = copy()
    for name in ("generator.onnx", "audio_encoder.onnx"):
        shutil.copy(imported / name, folder / name)
    (folder / "landmarks/1.lms").unlink()
    (folder / "landmarks/2.lms").write_text("")
    (folder / "landmarks/3.lms").write_text("nan nan\n" * 60)
    (folder / "landmarks/4.lms").write_text("1 2\n" * 51)
    run = lab.lipcast("avatar", "import", folder, "-o", tmp_path / "a")
    boxes = json.loads((tmp_path / "a/boxes.json").read_text())["boxes"]
    assert [i for i, found in enumerate(boxes) if found is None] == [1, 2, 3, 4]
    for text in (
        "1, 0.04-0.08 s (no landmarks)",
        "2, 0.08-0.12 s (0 landmarks",
        "3, 0.12-0.16 s (a landmark is not a number)",
    ):
        assert text in run.stderr
    lab.lipcast("inspect", tmp_path / "a", "--json")


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_refused_and_never_runs(
    zipped: bool, trained: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.pth"
    trap = {"outc.conv.weight": Trap(tmp_path / "ran")}
    torch.save(trap, bad, _use_new_zipfile_serialization=zipped)
    flags = (trained, "--checkpoint", bad)
    refused(tmp_path / "o/a", "bad.pth", "not unpickled", flags=flags)
    assert not (tmp_path / "ran").exists()


def test_the_containers_that_pytorch_reads_unguarded_are_refused(
    trained: Path, tmp_path: Path
) -> None:
    """tar (read with plain pickle up to PyTorch 2.5) and TorchScript."""
    inside = tmp_path / "pickle"
    inside.write_bytes(pickle.dumps(Trap(tmp_path / "ran")))
    with tarfile.open(tmp_path / "tar.pth", "w") as archive:
        archive.add(inside, "pickle")
    with zipfile.ZipFile(tmp_path / "script.pth", "w") as zipped:
        zipped.writestr("script/constants.pkl", b"")
    for name, said in (("tar.pth", "can carry code"), ("script.pth", "TorchScript")):
        flags = (trained, "--checkpoint", tmp_path / name)
        refused(tmp_path / "o/a", name, said, flags=flags)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("up2.conv.double_conv.1.conv.3.weight"), "up2.conv"),
        (lambda w: w.pop("down1.maxpool_conv.0.double_conv.0.conv.6.weight"), "down1"),
        (lambda w: w.update(extra=torch.zeros(1)), "extra"),
        (lambda w: w.update({"outc.conv.weight": torch.zeros(3, 9, 1, 1)}), "[3, 9, 1"),
        (lambda w: w["outc.conv.bias"].fill_(float("nan")), "outc.conv.bias"),
    ],
)
def test_a_checkpoint_that_does_not_fit_names_its_layers(
    change: Callable[[dict], object], said: str, trained: Path, tmp_path: Path
) -> None:
    table = weights("synctalk_unet_160_ave")
    change(table)
    torch.save(table, tmp_path / "bad.pth")
    flags = (trained, "--checkpoint", tmp_path / "bad.pth")
    refused(tmp_path / "o/a", "bad.pth", said, flags=flags)


def test_a_half_copied_checkpoint_is_refused(trained: Path, tmp_path: Path) -> None:
    data = (trained / "checkpoint/195.pth").read_bytes()
    (tmp_path / "half.pth").write_bytes(data[: len(data) // 2])
    flags = (trained, "--checkpoint", tmp_path / "half.pth")
    refused(tmp_path / "o/a", "half.pth", flags=flags)


def test_nothing_is_overwritten_unless_asked(imported: Path, trained: Path) -> None:
    before = (imported / "avatar.json").stat().st_mtime_ns
    run = lab.lipcast("avatar", "import", trained, "-o", imported, ok=False)
    assert run.code == 4
    lab.refused(run, "exists.*--overwrite")
    assert (imported / "avatar.json").stat().st_mtime_ns == before


def test_a_packed_avatar_loads_and_unpacks_to_the_same_files(
    imported: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "a.zip"
    lab.lipcast("avatar", "pack", imported, "-o", packed)
    lab.lipcast("inspect", packed, "--json")
    lab.lipcast("avatar", "unpack", packed, "-o", tmp_path / "back")
    files = {p.relative_to(imported) for p in imported.rglob("*") if p.is_file()}
    back = {p.relative_to(tmp_path / "back") for p in (tmp_path / "back").rglob("*")}
    assert files <= back
    for name in files:
        assert (imported / name).read_bytes() == (tmp_path / "back" / name).read_bytes()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/avatar.json").write_text("{")
    listed = lab.lipcast("avatar", "list", tmp_path).stdout.decode().splitlines()
    columns = "320x240\t6 frames\tsynctalk 160 px"
    assert listed[0] == f"a\t{columns}\t{packed}"
    assert listed[1] == f"back\t{columns}\t{tmp_path / 'back'}"
    assert listed[2].startswith("broken\t") and "not JSON" in listed[2]


def test_without_python_the_command_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LIPCAST_PYTHON", "/nowhere/python3")
    run = lab.lipcast("avatar", "list", ok=False)
    assert run.code == 5
    lab.refused(run, "/nowhere/python3.*lipcast-studio")


def test_a_wrong_option_is_one_line() -> None:
    run = lab.lipcast("avatar", "import", ok=False)
    assert run.code == 2
    lab.refused(run, "required.*source")
