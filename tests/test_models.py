"""Models as people bring them: fixed batches, other names, broken files. Cases 68, 69, 70."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import lab
import numpy as np
import onnx
import pytest
from markers import avatars, models

SMALL = {"size": (160, 140), "inner": 64, "frames": 10, "textured": True}
RAW = ("-", lab.PIXELS, "bgr")


@pytest.fixture(scope="module")
def wanted(avatar: Callable[..., Path], speech_wav: Path) -> list[str]:
    """What the dynamic twin draws."""
    face = avatar("dynamic", model="random", encoder="random", **SMALL)
    return lab.hashes(face, speech_wav, "--idle", "model")


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """25 frames of speech-like sound."""
    return lab.write_wav(tmp_path / "second.wav", lab.speech_like(1))


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("asked", [1, 5, 32])
def test_a_fixed_batch_draws_what_the_dynamic_model_draws(
    batch: int,
    asked: int,
    avatar: Callable[..., Path],
    speech_wav: Path,
    wanted: list[str],
) -> None:
    """Case 68: looped or padded, also for the last, shorter batch. Within float rounding."""
    face = avatar(
        f"fixed{batch}", model="random", encoder="random", batch=batch, **SMALL
    )
    got = lab.hashes(face, speech_wav, "--idle", "model", "--batch", asked)
    assert len(got) == len(wanted)
    if batch == 1:
        assert got == wanted
        return
    twin = avatar("dynamic", model="random", encoder="random", **SMALL)
    a = lab.pictures(face, speech_wav, "--idle", "model", "--batch", asked)
    b = lab.pictures(twin, speech_wav, "--idle", "model")
    assert np.abs(a.astype(int) - b).max() <= 1


def test_tensor_names_are_read_from_the_file(
    avatar: Callable[..., Path], speech_wav: Path, wanted: list[str]
) -> None:
    """Case 68: other names than input, audio, output, mel, features."""
    face = avatar(
        "names",
        model=models.generator(
            "random", inner_px=64, names=("face", "voice", "picture")
        ),
        encoder=models.encoder("random", names=("mel_spectrogram", "audio_features")),
        **SMALL,
    )
    assert lab.hashes(face, speech_wav, "--idle", "model") == wanted


AUDIO = sorted(avatars.FAMILIES)  # what the families hear


def heard(audio: str, kind: str = "M1", batch: int | None = None) -> onnx.ModelProto:
    """A marker of 64 px for that family."""
    sound = models.SOUNDS[audio]
    return models.generator(kind, inner_px=64, batch=batch, sound=sound)


def drawn(
    folder: Path, wav: Path, model: onnx.ModelProto, audio: str, batch: int | None
) -> np.ndarray:
    """Its frames, five at a time."""
    face = avatars.make_avatar(folder, model=model, audio=audio, batch=batch, **SMALL)
    return lab.pictures(face, wav, "--idle", "model", "--batch", 5).astype(int)


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """13 frames of speech-like sound."""
    return lab.write_wav(tmp_path / "short.wav", lab.speech_like(0.5))


@pytest.mark.parametrize("audio", AUDIO)
def test_half_precision_inputs_are_drawn_as_those_in_full(
    audio: str, tmp_path: Path, short: Path
) -> None:
    """Case 68: within the two levels that fp16 has no numbers for."""
    full = heard(audio, "random")
    half = models.half_precision(full)
    want = drawn(tmp_path / "full", short, full, audio, None)
    got = drawn(tmp_path / "half", short, half, audio, None)
    assert len(got) == len(want) == 13
    assert np.abs(got - want).max() <= 2


@pytest.mark.parametrize("audio", AUDIO)
def test_channels_last_are_refused_with_both_shapes(
    audio: str, tmp_path: Path, second: Path
) -> None:
    """Case 68: never drawn wrong."""
    model = models.channels_last(heard(audio))
    face = avatars.make_avatar(tmp_path / "a", model=model, audio=audio, **SMALL)
    run = lab.render(face, second, *RAW, ok=False)
    lab.refused(run, r"generator\.onnx", "N,64,64,6", "N,6,64,64")


@pytest.mark.parametrize("audio", AUDIO)
def test_every_family_takes_a_fixed_batch(
    audio: str, tmp_path: Path, short: Path
) -> None:
    """Case 68: as the dynamic twin draws, whatever is asked for; 13 frames fill no batch of 8."""
    want = drawn(tmp_path / "free", short, heard(audio, "random"), audio, None)
    assert len(want) == 13
    for batch in (1, 8):
        model = heard(audio, "random", batch)
        got = drawn(tmp_path / f"fixed{batch}", short, model, audio, batch)
        assert np.abs(got - want).max() <= 1, batch


@pytest.mark.parametrize("inner", [48, 160])
def test_a_model_of_another_size_is_refused_with_both_shapes(
    inner: int, tmp_path: Path, second: Path
) -> None:
    """Case 68: the manifest says 64, the file another."""
    model = models.generator("M1", inner_px=inner)
    face = avatars.make_avatar(tmp_path / "a", model=model, **SMALL)
    lab.refused(
        lab.render(face, second, *RAW, ok=False), r"generator\.onnx", str(inner), "64"
    )


def whole() -> onnx.ModelProto:
    """A generator whose weights are worth cutting."""
    return models.generator("random", inner_px=64)


BROKEN: dict[str, Callable[[], bytes]] = {
    "half": lambda: whole().SerializeToString()[: whole().ByteSize() // 2],
    "zero": lambda: b"",
    "text": lambda: b"<html>404 not found</html>\n" * 40,
    "future opset": lambda: models.future_opset(models.generator("M1", inner_px=64)),
    "own op": lambda: models.self_made_op(models.generator("M1", inner_px=64)),
    "an encoder": lambda: models.encoder().SerializeToString(),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
@pytest.mark.parametrize("file", ["generator.onnx", "audio_encoder.onnx"])
def test_a_broken_model_is_refused_at_load_by_its_name(
    name: str, file: str, tmp_path: Path, second: Path
) -> None:
    """Case 70: one line with the file; nothing under the final name."""
    if (name, file) == ("an encoder", "audio_encoder.onnx"):
        data = models.generator("M1", inner_px=64).SerializeToString()
    else:
        data = BROKEN[name]()
    face = avatars.make_avatar(tmp_path / "a", **SMALL)
    (face / file).write_bytes(data)
    avatars.reseal(face)
    out = tmp_path / "out.mp4"
    lab.refused(lab.render(face, second, out, ok=False), file.replace(".", r"\."))
    assert not out.exists()


def test_a_half_copied_model_is_told_by_its_hash(tmp_path: Path, second: Path) -> None:
    """Case 70: the manifest knows how long it was."""
    face = avatars.make_avatar(tmp_path / "a", model=whole(), **SMALL)
    path = face / "generator.onnx"
    path.write_bytes(path.read_bytes()[:-100])
    lab.refused(
        lab.render(face, second, *RAW, ok=False), r"generator\.onnx", "bytes|sha256"
    )
    path.write_bytes(path.read_bytes() + b"x" * 100)
    lab.refused(lab.render(face, second, *RAW, ok=False), r"generator\.onnx", "sha256")


def test_swapped_models_are_called_swapped(tmp_path: Path, second: Path) -> None:
    """Case 70: encoder and generator under each other's names."""
    face = avatars.make_avatar(tmp_path / "a", **SMALL)
    a, b = face / "generator.onnx", face / "audio_encoder.onnx"
    first, other = a.read_bytes(), b.read_bytes()
    a.write_bytes(other)
    b.write_bytes(first)
    avatars.reseal(face)
    lab.refused(lab.render(face, second, *RAW, ok=False), "swapped")


def test_missing_external_weights_are_named(tmp_path: Path, second: Path) -> None:
    """Case 70: the .onnx is there, its .data is not."""
    face = avatars.make_avatar(tmp_path / "a", **SMALL)
    models.external_data(whole(), face, "generator.onnx")
    avatars.reseal(face)
    lab.refused(
        lab.render(face, second, *RAW, ok=False), r"generator\.onnx", "data|external"
    )


@pytest.mark.parametrize("file", ["generator.onnx", "audio_encoder.onnx", "boxes.json"])
def test_a_missing_file_of_a_package_is_named(
    file: str, tmp_path: Path, second: Path
) -> None:
    """Case 70: a missing encoder is an error and not a warning."""
    face = avatars.make_avatar(tmp_path / "a", **SMALL)
    (face / file).unlink()
    lab.refused(lab.render(face, second, *RAW, ok=False), file.replace(".", r"\."))


# NaN and friends ------------------------------------------------------------------------------


@pytest.mark.parametrize("emit", ["nan", "inf", "-inf"])
def test_values_that_are_not_finite_show_the_source_and_are_counted(
    emit: str, tmp_path: Path
) -> None:
    """Contract 3: NaN or Inf never reach a pixel; M3 emits them where the sound is loud."""
    loud = lab.tone(0.4)
    sound = np.concatenate([loud * np.float32(0.002), loud, loud * np.float32(0.002)])
    wav = lab.write_wav(tmp_path / "a.wav", sound, kind="FLOAT")
    probe = avatars.make_avatar(tmp_path / "m2", model="M2", encoder="onset", frames=30)
    level = lab.mouth_levels(lab.pictures(probe, wav, "--idle", "model"), probe)
    above = (level[:8].max() + level[14:16].min()) / 2 / 255
    m3 = models.generator("M3", emit=emit, above=above)
    face = avatars.make_avatar(
        tmp_path / "m3", model=m3, encoder="onset", frames=30, textured=True
    )
    frames, sources = lab.pictures(face, wav, "--idle", "model"), lab.backgrounds(face)
    report = lab.report(face, wav, tmp_path / "o.mkv", "--idle", "model")
    loud_frames = [i for i in range(30) if level[i] > above * 255 + 1]
    assert len(loud_frames) >= 9
    assert abs(report["not_finite_frames"] - len(loud_frames)) <= 1
    assert report["warnings"]
    for i in loud_frames:
        assert (frames[i] == sources[i]).all()
    # The quiet frames were drawn: M1's truncation shows somewhere.
    assert np.abs(frames.astype(int) - np.stack(sources)).max() <= 1


@pytest.mark.parametrize(("emit", "level"), [("-1", 0), ("2", 255)])
def test_values_out_of_range_are_clamped(
    emit: str, level: int, tmp_path: Path, second: Path
) -> None:
    """Contract 3: -1 is black and 2 is white; neither wraps."""
    face = avatars.make_avatar(
        tmp_path / "a", model=models.generator("M3", emit=emit), frames=25
    )
    levels = lab.mouth_levels(lab.pictures(face, second, "--idle", "model"), face)
    assert (levels == level).all()


# Providers ------------------------------------------------------------------------------------


def cuda_works() -> bool:
    """Whether this machine has the GPU that the next tests must not have."""
    run = lab.lipcast("doctor", "--json", ok=False)
    return b'"cuda"' in run.stdout and Path("/dev/nvidia0").exists()


def test_a_provider_that_is_required_and_missing_is_an_error(
    tiny: Path, second: Path, tmp_path: Path
) -> None:
    """Case 69: no silent CPU run."""
    if cuda_works():
        pytest.skip("a GPU is present")
    flags = ("--provider", "cuda", "--provider-policy", "require")
    lab.refused(lab.render(tiny, second, tmp_path / "o.mp4", *flags, ok=False), "cuda")
    assert not (tmp_path / "o.mp4").exists()


def test_a_provider_that_is_preferred_and_missing_is_said(
    tiny: Path, second: Path, tmp_path: Path
) -> None:
    """Case 69: it runs on the CPU and every report says so."""
    if cuda_works():
        pytest.skip("a GPU is present")
    flags = ("--provider", "cuda", "--provider-policy", "prefer")
    report = lab.report(tiny, second, tmp_path / "o.mkv", *flags)
    assert report["provider"].lower() == "cpu"
    assert any("cuda" in warning.lower() for warning in report["warnings"])
    run = lab.render(tiny, second, tmp_path / "p.mkv", *flags)
    assert "cuda" in run.stderr.lower()


@pytest.mark.parametrize("command", ["render", "avatar info"])
def test_nobody_is_told_what_is_run_and_nothing_is_kept_of_the_machine(
    command: str,
    tiny: Path,
    second: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ONNX Runtime's telemetry begins with an id below ~/.cache and a file in the temporary folder."""
    for name in [*os.environ]:  # on a machine that only builds it is off by itself
        if name.startswith(("CI", "ORT_", "GITHUB_", "GITLAB_", "JENKINS_", "TF_")):
            monkeypatch.delenv(name)
    places = {name: tmp_path / name for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR")}
    for name, place in places.items():
        place.mkdir()
        monkeypatch.setenv(name, str(place))
    if command == "render":
        lab.render(tiny, second, tmp_path / "out.mp4")
    else:
        lab.lipcast("avatar", "info", tiny)
    left = [path for place in places.values() for path in place.rglob("*")]
    assert left == []


def test_an_unknown_provider_is_refused(tiny: Path, second: Path) -> None:
    """Case 69: with the names there are."""
    lab.refused(
        lab.render(tiny, second, *RAW, "--provider", "tpu", ok=False), "tpu", "cpu"
    )
