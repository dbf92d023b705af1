"""The twin in 8 bits: what optimise makes and says of it, when it is used, and that the demo loses next to nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import wave
from pathlib import Path

import cv2
import lab
import numpy as np
import onnx
import pytest
import truth
from lipcast_studio.__main__ import main
from lipcast_studio.demo import measure
from lipcast_studio.errors import StudioError
from lipcast_studio.optimise import int8
from lipcast_studio.optimise.choose import Choice, Feeds, choose
from lipcast_studio.optimise.optimise_package import (
    AUDIO_FILE,
    FIGURES_FILE,
    IMAGE_FILE,
    INT8_FILE,
    Wishes,
    _decide,
)
from lipcast_studio.optimise.own_feeds import network_input, own_feeds, read_sound
from lipcast_studio.optimise.own_sounds import own_sound
from lipcast_studio.optimise.package import Package
from lipcast_studio.optimise.split import RefusedError, session_of
from lipcast_studio.package_files import file_entry, manifest_bytes
from lipcast_studio.training import agreement
from lipcast_studio.training.picture import of_output
from markers import avatars, models

DEMO = truth.DEMO
INT8 = ("--variant", "int8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo avatar, optimised, with its twin allowed."""
    folder = tmp_path_factory.mktemp("int8") / "demo"
    shutil.copytree(DEMO, folder)
    assert main(["optimise", str(folder), "--require-psnr", "40"]) == 0
    return folder


def _manifest(folder: Path) -> dict:
    return json.loads((folder / "avatar.json").read_text())


def _figures(folder: Path) -> dict:
    return json.loads((folder / FIGURES_FILE).read_text())


def test_the_twin_is_listed_with_its_hash_its_image_part_and_its_loss(
    folder: Path,
) -> None:
    manifest, figures = _manifest(folder), _figures(folder)
    assert manifest["generator"]["int8"] == {
        "model": INT8_FILE,
        "image": IMAGE_FILE,
        "source_sha256": manifest["files"]["generator.onnx"]["sha256"],
    }
    data = (folder / INT8_FILE).read_bytes()
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    assert manifest["files"][INT8_FILE] == entry
    assert len(data) < 0.5 * (folder / AUDIO_FILE).stat().st_size
    assert manifest["generator"]["variant"] == figures["variant"]
    assert figures["int8"]["calibrated_on"] == figures["judged_on"] == "speech.wav"
    loss = figures["int8"]["loss"]
    assert loss["psnr_db"] >= 45
    assert loss["ssim"] >= 0.99
    assert 0 <= loss["mouth_opening"] <= 0.01
    assert {"full", "split", "int8"} <= set(figures["ms_a_frame_one_thread"])


def test_the_heavy_layers_compute_in_8_bits(folder: Path) -> None:
    twin = onnx.load(str(folder / INT8_FILE))
    made = {name: node for node in twin.graph.node for name in node.output}
    convs = [node for node in twin.graph.node if node.op_type == "Conv"]
    kept = set(_figures(folder)["int8"]["in_full"])
    assert len(convs) > 5
    for conv in convs:
        quantised = all(made[n].op_type == "DequantizeLinear" for n in conv.input[:2])
        assert quantised == (conv.name not in kept), conv.name
    # Seven bits of weights: eight overflow in processors without VNNI.
    weights = [onnx.numpy_helper.to_array(t) for t in twin.graph.initializer]
    small = [w for w in weights if w.dtype == np.int8 and w.ndim > 1]
    assert small
    assert max(int(np.abs(w.astype(int)).max()) for w in small) <= 64


def test_the_engine_draws_with_the_twin_and_says_so(
    folder: Path, sentence: lab.Samples, tmp_path: Path
) -> None:
    sound = lab.write_wav(tmp_path / "short.wav", sentence[8_000:24_000])
    drawn = {
        name: lab.pictures(folder, sound, "--idle", "model", "--variant", name)
        for name in ("full", "split", "int8")
    }
    assert len(drawn["int8"]) == 25
    loss = [
        np.abs(np.stack(drawn[name]).astype(int) - np.stack(drawn["full"]))
        for name in ("split", "int8")
    ]
    assert loss[0].max() <= 2 < loss[1].max()
    boxes = truth.Engine().boxes
    inside = [
        loss[1][i, y0:y1, x0:x1].ravel()
        for i, (x0, y0, x1, y1) in enumerate(boxes[:25])
    ]
    error = np.mean(np.concatenate(inside).astype(float) ** 2)
    assert 10 * np.log10(255**2 / error) >= 40, "what --require-psnr asked for"
    one = lab.hashes(folder, sound, "--idle", "model", *INT8)
    assert (
        lab.hashes(
            folder, sound, "--idle", "model", *INT8, "--batch", 8, "--threads", 8
        )
        == one
    )

    def report(*flags: object) -> dict:
        run = lab.lipcast(
            "render", sound, "-a", folder, "-o", "-", "--json", *flags, keep_stdout=False
        )  # fmt: skip
        return json.loads(run.stderr)

    assert report()["variant"] == _manifest(folder)["generator"]["variant"]
    assert report(*INT8)["variant"] == "int8"
    # Without a budget there are no parts to draw with: the whole network, and it says so.
    assert report(*INT8, "--feature-cache-mb", 0)["variant"] == "full"
    shown = json.loads(lab.lipcast("inspect", folder, "--json").stdout)
    assert shown["variants"] == ["full", "split", "int8"]
    assert shown["variant"] == _manifest(folder)["generator"]["variant"]
    bench = lab.lipcast("bench", "-a", folder, "--frames", 5, "--json", *INT8)
    assert json.loads(bench.stdout)["variant"] == "int8"


def test_a_variant_that_an_avatar_has_not_is_refused() -> None:
    run = lab.lipcast("bench", "-a", DEMO, "--frames", 1, *INT8, ok=False)
    assert run.code == 3
    want = "variant int8: want generator.int8 in avatar.json"
    assert want in run.lines[-1]
    assert "(lipcast avatar optimise makes it)" in run.lines[-1]


@pytest.mark.parametrize("name", ["flite-rms-1", "espeak-seen-1", "librivox-0890"])
def test_the_mouth_opens_as_without_the_twin(name: str, folder: Path) -> None:
    """Of the correlation with the true opening at most .01 is lost; librivox-0890 loses most of all ten clips.

    Of the frames of m, b and p one at most no longer shows closed lips.
    """
    (clip,) = [clip for clip in truth.clips() if clip.name == name]
    areas = [
        truth.Engine(("--variant", variant), folder).areas(clip.wav)
        for variant in ("full", "int8")
    ]
    full, twin = (truth.scores(clip, area) for area in areas)
    assert full["r"] - twin["r"] <= 0.01
    assert twin["lag"] == full["lag"]
    pressed = np.count_nonzero(clip.press > measure.PRESSED)
    assert (full["closed"] - twin["closed"]) * pressed < 1.5
    assert agreement.correlation(*areas) >= 0.99


def _choice(**times: float) -> Choice:
    """With a twin of 48.5 dB and these times."""
    loss = int8.Loss(48.5, 0.998, 0.0)
    model = models.generator("random", inner_px=32)
    twin = type("Int8", (), {"loss": loss, "image": None})()
    return Choice(model, twin, 0.0, {"ms_a_frame_one_thread": times})  # type: ignore[arg-type]


def test_what_loses_is_used_only_where_its_loss_was_allowed() -> None:
    fast = _choice(full=9, split=7, int8=4)
    assert _decide(fast, Wishes())[0] == "split"
    assert _decide(fast, Wishes(require_psnr_db=48.5))[0] == "int8"
    assert _decide(_choice(full=9, split=7, int8=8), Wishes(require_psnr_db=40))[0] == "split"  # fmt: skip
    assert _decide(_choice(full=6, split=7, int8=8), Wishes())[0] == "full"
    variant, why = _decide(fast, Wishes(require_psnr_db=60))
    assert variant == "split"
    assert why == "int8 is not used: 48.5 dB on held-out frames: want 60 or more"


def test_a_run_without_the_twin_takes_an_earlier_one_away(
    folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "demo"
    shutil.copytree(folder, copy)
    assert main(["optimise", str(copy), "--exact", "--overwrite"]) == 0
    manifest = _manifest(copy)
    assert "int8" not in manifest["generator"]
    assert INT8_FILE not in manifest["files"]
    assert not (copy / INT8_FILE).exists()
    assert lab.lipcast("inspect", copy).code == 0


def test_a_failure_while_writing_leaves_the_old_package(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "demo"
    shutil.copytree(folder, copy)
    before = {path.name: path.read_bytes() for path in copy.glob("*.*")}
    package = Package(copy)
    package.drop([INT8_FILE])
    package.add(IMAGE_FILE, b"new")
    package.add(AUDIO_FILE, b"new")
    write, left = Path.write_bytes, [1]

    def full_disk(path: Path, data: bytes) -> int:
        if not left:
            raise OSError(28, "No space left on device")
        left.pop()
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(StudioError, match="No space"):
        package.save()
    assert {path.name: path.read_bytes() for path in copy.glob("*.*")} == before
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_network_that_cannot_be_split_gets_a_twin_of_the_whole() -> None:
    g = models.Graph()
    loud = g.node("ReduceMean", "audio", axes=[1, 2, 3], keepdims=1)
    both = g.node("Add", "input", loud)
    g.node("Conv", both, g.constant(np.ones((3, 6, 1, 1)) / 6), output="output")
    model = g.model(
        {"input": ["N", 6, 160, 160], "audio": ["N", 32, 16, 16]},
        {"output": ["N", 3, 160, 160]},
    )
    package = Package(DEMO)
    feeds = Feeds.own(model, own_feeds(package, None), package.generator["mask"])
    choice = choose(model, exact=False, feeds=feeds)
    assert "the sound meets the picture at its first layer" in choice.unsplit
    assert choice.parts is None
    assert choice.int8 is not None
    assert choice.int8.image is None
    assert choice.int8.loss.psnr_db > 25
    twin = session_of(choice.int8.twin.model)
    assert [value.name for value in twin.get_inputs()] == ["input", "audio"]


@pytest.fixture(scope="module")
def unsplittable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An avatar whose network adds the sound to the picture first, and draws the gray of both."""
    g = models.Graph()
    loud = g.node("ReduceMean", "audio", axes=[1, 2, 3], keepdims=1)
    both = g.node("Add", "input", loud)
    hidden = g.node("Conv", both, g.constant(_weights(32, 6)), pads=[1, 1, 1, 1])
    hidden = g.node("Relu", hidden)
    for _ in range(2):
        wide = g.constant(_weights(32, 32))
        hidden = g.node("Relu", g.node("Conv", hidden, wide, pads=[1, 1, 1, 1]))
    drawn = g.node("Conv", hidden, g.constant(_weights(3, 32)), pads=[1, 1, 1, 1])
    g.node("Sigmoid", drawn, output="output")
    model = g.model(
        {"input": ["N", 6, 160, 160], "audio": ["N", 32, 16, 16]},
        {"output": ["N", 3, 160, 160]},
    )
    folder = tmp_path_factory.mktemp("unsplittable") / "demo"
    shutil.copytree(DEMO, folder, ignore=shutil.ignore_patterns("truth"))
    data = model.SerializeToString()
    (folder / "generator.onnx").write_bytes(data)
    manifest = _manifest(folder)
    manifest["files"]["generator.onnx"] = file_entry(data)
    (folder / "avatar.json").write_bytes(manifest_bytes(manifest))
    return folder


def _weights(outputs: int, inputs: int) -> np.ndarray:
    """Of a 3x3 convolution that keeps the size of its values."""
    noise = np.random.default_rng(outputs + inputs).normal(size=(outputs, inputs, 3, 3))
    return (noise * (2 / (9 * inputs)) ** 0.5).astype(np.float32)


def test_a_network_that_cannot_be_split_is_served_by_its_twin_under_the_same_gates(
    unsplittable: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = unsplittable
    before = (folder / "avatar.json").read_bytes()
    assert main(["optimise", str(folder), "--exact"]) == 3
    refused = capsys.readouterr().err
    assert "the sound meets the picture at its first layer" in refused
    assert refused.count("\n") == 1
    assert (folder / "avatar.json").read_bytes() == before

    assert main(["optimise", str(folder), "--require-psnr", "99"]) == 0
    said = capsys.readouterr().out
    assert "not split: " in said
    assert "int8 is not used: " in said
    generator, figures = _manifest(folder)["generator"], _figures(folder)
    assert "split" not in generator
    assert "image" not in generator["int8"]
    assert generator["variant"] == "full"
    assert set(figures["ms_a_frame_one_thread"]) == {"full", "int8"}
    assert set(figures["int8"]["loss"]) == {"psnr_db", "ssim", "mouth_opening"}

    found = int(figures["int8"]["loss"]["psnr_db"])
    assert (
        main(["optimise", str(folder), "--overwrite", "--require-psnr", str(found)])
        == 0
    )
    times = _figures(folder)["ms_a_frame_one_thread"]
    fastest = min(times, key=times.__getitem__)
    assert _manifest(folder)["generator"]["variant"] == fastest

    sound = tmp_path / "short.wav"
    with wave.open(str(DEMO / "speech.wav")) as file:
        data = np.frombuffer(file.readframes(file.getframerate() // 2), "<i2")
    sound = _wav(sound, data)
    drawn = {
        name: np.stack(
            lab.pictures(folder, sound, "--idle", "model", "--variant", name)
        ).astype(np.float64)
        for name in ("full", "int8")
    }
    assert not np.array_equal(drawn["full"], drawn["int8"])
    assert np.abs(drawn["full"] - drawn["int8"]).mean() < 1
    whole = lab.hashes(folder, sound, "--idle", "model", *INT8)
    assert lab.hashes(folder, sound, "--idle", "model", *INT8, "--threads", 4) == whole


def _wav(path: Path, samples: np.ndarray, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(16_000)
        file.writeframes(samples.astype(np.int16 if width == 2 else np.uint8).tobytes())
    return path


BOX = (90, 40, 230, 220)


def _made_up(folder: Path, kind: str, **how: object) -> Path:
    """An avatar that hears that kind of sound, its weights random, its pictures lossless."""
    inner, border = (96, 0) if kind == "mel" else (160, 4)
    box = (90, 40, 230, 180) if kind != "mel" else BOX
    rate = (20, 1) if kind == "wenet" else (25, 1)
    return avatars.make_avatar(
        folder, audio=kind, model="random", encoder="random", inner=inner, border=border,
        boxes=[box] * 7, frames=7, textured=True, fps=rate, **how,
    )  # fmt: skip


def _reflected(manifest: dict) -> None:
    manifest["audio"]["padding"] = "reflect"


EIGHT_ROWS = (16, 32, 32)


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("ave", {}),
        ("ave", {"edit": _reflected}),
        ("ave", {"batch": 2}),
        ("mel", {}),
        ("hubert", {}),
        ("hubert", {"sound": EIGHT_ROWS}),
        ("wenet", {}),
    ],
    ids=["ave", "reflected", "batch 2", "mel", "hubert", "hubert, 8", "wenet"],
)
def test_own_feeds_are_what_the_engine_draws_from(
    kind: str, how: dict, sentence: lab.Samples, tmp_path: Path
) -> None:
    """What the network draws of them is the engine's frame within 2 levels, at the beginning, inside and at the end."""
    folder = _made_up(tmp_path / "a", kind, **how)
    wav = lab.write_wav(tmp_path / "a.wav", sentence[5_000:38_000])
    drawn = lab.pictures(folder, wav, "--idle", "model")
    package = Package(folder)
    sound = own_sound(package, read_sound(wav))
    assert sound.frames == len(drawn)
    network = session_of(package.network())
    names = [value.name for value in network.get_inputs()]
    border = package.generator["border_px"]
    inside = slice(border, -border or None)
    x0, y0, x1, y1 = box = _boxes(folder)[0]
    kernel = cv2.INTER_CUBIC if kind == "ave" else cv2.INTER_LINEAR
    moments = [sound.first, sound.first + 1, len(drawn) // 2, len(drawn) - 1]
    for moment, context in zip(moments, sound.contexts(moments), strict=True):
        frame = cv2.imread(str(folder / f"frames/{moment % 7:06d}.png"))
        fed = np.repeat(network_input(package, frame, box)[None], 2, axis=0)
        feed = dict(zip(names, (fed, np.stack([context] * 2)), strict=True))
        mouth = of_output(network.run(None, feed)[0][0])
        side = len(mouth) + 2 * border
        square = cv2.resize(frame[y0:y1, x0:x1], (side, side), interpolation=kernel)
        square[inside, inside] = mouth
        want = cv2.resize(square, (x1 - x0, y1 - y0), interpolation=kernel)
        levels = np.abs(drawn[moment][y0:y1, x0:x1].astype(int) - want)
        assert levels.max() <= 2, f"frame {moment}"
        assert (drawn[moment] != frame).any(), f"frame {moment} is not drawn"


def test_an_avatar_of_one_picture_gets_a_twin_judged_on_other_sounds(
    sentence: lab.Samples, tmp_path: Path
) -> None:
    folder = _made_up(tmp_path / "a", "mel")
    for path in sorted(folder.glob("frames/*"))[1:]:
        path.unlink()
    (folder / "boxes.json").write_text(f'{{"schema_version":1,"boxes":[{list(BOX)}]}}')
    alone = {"frame_count": 1, "idle": {"first": 0, "count": 1}}
    avatars.reseal(folder, lambda manifest: manifest.update(alone))
    wav = lab.write_wav(tmp_path / "a.wav", sentence[5_000:45_000])
    feeds = own_feeds(Package(folder), wav)
    assert np.unique(feeds.pictures, axis=0).shape == (1, 6, 96, 96)
    assert len(feeds.contexts) == 40
    assert len(feeds.held_contexts) == len(feeds.held_pictures) == 10
    both = np.concatenate([feeds.contexts, feeds.held_contexts])
    assert len(np.unique(feeds.held_contexts, axis=0)) == 10
    assert len(np.unique(both, axis=0)) == len(np.unique(feeds.contexts, axis=0)) + 10
    assert main(["optimise", str(folder), "--audio", str(wav)]) == 0
    assert _figures(folder)["int8"]["loss"]["psnr_db"] > 25


def test_a_network_that_is_not_of_this_kind_is_refused_by_its_name(
    sentence: lab.Samples, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _made_up(tmp_path / "a", "hubert", batch=8)
    lab.write_wav(folder / "speech.wav", sentence[5_000:45_000])
    for flags in ((), ("--require-psnr", "40"), ("--exact",)):
        assert main(["optimise", str(folder), *flags]) == 3
        said = capsys.readouterr().err
        want = (
            f"lipcast: {folder}/generator.onnx: input [8,6,160,160]: want a free batch"
        )
        assert said.startswith(want)  # fmt: skip
        assert said.count("\n") == 1


def _boxes(folder: Path) -> list[list[int]]:
    return json.loads((folder / "boxes.json").read_text())["boxes"]


@pytest.mark.parametrize("kind", ["mel", "hubert", "wenet"])
def test_wav2lip_and_ultralight_get_a_twin_under_the_same_gates(
    kind: str, sentence: lab.Samples, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _made_up(tmp_path / "a", kind)
    lab.write_wav(folder / "speech.wav", sentence[5_000:45_000])
    assert main(["optimise", str(folder), "--require-psnr", "99.9"]) == 0
    assert "draws with int8" not in capsys.readouterr().out
    figures, generator = _figures(folder), _manifest(folder)["generator"]
    assert figures["judged_on"] == figures["int8"]["calibrated_on"] == "speech.wav"
    assert set(figures["int8"]["loss"]) == {"psnr_db", "ssim", "mouth_opening"}
    assert figures["int8"]["loss"]["psnr_db"] > 25
    assert generator["int8"]["model"] == INT8_FILE
    assert generator["variant"] != "int8"
    assert figures["why"].startswith("int8 is not used: ")

    found = str(int(figures["int8"]["loss"]["psnr_db"]))
    assert main(["optimise", str(folder), "--overwrite", "--require-psnr", found]) == 0
    times = _figures(folder)["ms_a_frame_one_thread"]
    fastest = min(("full", "split", "int8"), key=times.__getitem__)
    assert _manifest(folder)["generator"]["variant"] == fastest
    assert lab.lipcast("inspect", folder).code == 0
    wav = lab.write_wav(tmp_path / "a.wav", sentence[8_000:16_000])
    drawn = {
        name: lab.pictures(folder, wav, "--idle", "model", "--variant", name)
        for name in ("full", "int8")
    }
    assert 0 < np.abs(drawn["int8"].astype(int) - drawn["full"]).mean() < 2


NOISE = np.random.default_rng(2).normal(0, 3000, 48_000)
SOUNDS = {
    "short": (NOISE[:8000], 2, r"0\.50 s of sound: want 2 s or more"),
    "silent": (np.zeros(48_000), 2, "silent: want speech"),
    "8 bit": (np.abs(NOISE) % 256, 1, "8-bit samples: want a 16-bit WAV"),
}


@pytest.mark.parametrize("case", SOUNDS)
def test_a_sound_that_cannot_calibrate_is_refused(case: str, tmp_path: Path) -> None:
    samples, width, reason = SOUNDS[case]
    sound = _wav(tmp_path / "a.wav", samples, width)
    with pytest.raises(RefusedError, match=reason) as caught:
        own_feeds(Package(DEMO), sound)
    assert "\n" not in str(caught.value)


def test_exact_with_a_twin_asked_for_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["optimise", str(tmp_path), "--exact", "--require-psnr", "40"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("lipcast: --exact with --require-psnr 40: want one of them")
    assert said.count("\n") == 1


def test_without_a_sound_the_parts_are_made_and_it_says_why_no_twin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "demo"
    shutil.copytree(DEMO, folder, ignore=shutil.ignore_patterns("*.wav"))
    assert main(["optimise", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "no twin in 8 bits: " in said
    assert "--audio FILE.wav names the person's speech" in said
    assert "int8" not in _manifest(folder)["generator"]
    assert main(["optimise", str(folder), "--overwrite", "--require-psnr", "40"]) == 3
    assert "no .wav in it to calibrate with" in capsys.readouterr().err
    assert main(["optimise", str(folder), "--require-psnr", "0"]) == 2
    assert "want more than 0 and at most 100 dB" in capsys.readouterr().err
