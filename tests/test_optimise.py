"""The generator in two parts: what optimise makes, and that the engine draws the same with it."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import lab
import numpy as np
import onnx
import pytest
from lipcast_studio.__main__ import main
from lipcast_studio.find_torch import find_torch
from lipcast_studio.onnx_file import session
from lipcast_studio.optimise import algebra, choose
from lipcast_studio.optimise.optimise_package import (
    AUDIO_FILE,
    FIGURES_FILE,
    IMAGE_FILE,
)
from lipcast_studio.optimise.own_feeds import own_feeds
from lipcast_studio.optimise.package import Package
from lipcast_studio.optimise.simplify import simplify
from lipcast_studio.optimise.split import (
    RefusedError,
    largest_difference,
    random_inputs,
    session_of,
    split,
)
from markers import avatars, models, synctalk
from onnx import helper

DEMO = lab.ROOT / "avatars/demo"
# Which variant an avatar names for itself is a matter of time measured, which no test may hang on.
SPLIT = ("--variant", "split")


def demo_network() -> onnx.ModelProto:
    """The trained one."""
    return onnx.load(str(DEMO / "generator.onnx"))


@functools.cache
def made_up_network(name: str) -> onnx.ModelProto:
    """At full size and as `lipcast avatar import` exports it: wav2lip, ultralight_unet_160_hubert."""
    find_torch()
    import torch
    from lipcast_studio import onnx_export
    from lipcast_studio.networks import made_up, unet, wav2lip

    golden = json.loads((Path(made_up.__file__).parent / "golden.json").read_text())
    if name == "wav2lip":
        network: torch.nn.Module = wav2lip.Wav2Lip()
        table = {key: value.shape for key, value in network.state_dict().items()}
        inputs = {"mel": (2, 1, 80, 16), "picture": (2, 6, 96, 96)}
        weights = {key: made_up.weight(key, shape) for key, shape in table.items()}
    else:
        table = golden[name]["state_dict"]
        weights = {key: made_up.weight(key, shape) for key, shape in table.items()}
        shape = unet.UNetShape.of(weights)
        network = unet.UNet(shape)
        inputs = {"input": (2, 6, 160, 160), "audio": (2, *shape.audio_shape)}
    network.load_state_dict(weights)
    network.eval()
    values = [made_up.network_input(key, dims) for key, dims in inputs.items()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        onnx_export.export(network, values, list(inputs), "output", path)
        return onnx.load(str(path))


@pytest.mark.parametrize(
    "network",
    [
        demo_network,
        lambda: synctalk.unet(160)[0],
        lambda: synctalk.unet(320)[0],
        lambda: made_up_network("wav2lip"),
        lambda: made_up_network("ultralight_unet_160_hubert"),
        lambda: models.generator("random", inner_px=64),
        lambda: models.generator("random", inner_px=64, batch=1),
        lambda: models.half_precision(models.generator("random", inner_px=64)),
    ],
    ids=[
        *("demo", "synctalk160", "synctalk320", "wav2lip", "ultralight"),
        *("random", "fixed batch", "half"),
    ],
)
def test_the_two_parts_equal_the_whole_to_the_bit(
    network: Callable[[], onnx.ModelProto],
) -> None:
    model = network()
    parts = split(model)
    assert largest_difference(model, parts) == 0.0
    assert parts.image_nodes > 3
    # Weights stand in one part each, but for constants that both use.
    sizes = [len(m.SerializeToString()) for m in (model, parts.image, parts.audio)]
    assert sizes[1] + sizes[2] < 1.05 * sizes[0]


def test_a_synctalk_network_is_cut_at_its_skips_and_its_bottleneck() -> None:
    parts = split(synctalk.unet(160)[0])
    assert {cut.dims for cut in parts.cuts} == {
        (32, 160, 160),
        (64, 80, 80),
        (128, 40, 40),
        (256, 20, 20),
        (512, 10, 10),
    }
    assert [i.name for i in session_of(parts.image).get_inputs()] == ["input"]


def _edited(
    edit: Callable[[models.Graph], None],
    audio: tuple[object, ...] = ("N", 32, 16, 16),
    batch: object = "N",
) -> onnx.ModelProto:
    g = models.Graph()
    edit(g)
    return g.model(
        {"input": [batch, 6, 16, 16], "audio": list(audio)},
        {"output": [batch, 3, 16, 16]},
    )


def _sound(g: models.Graph) -> str:
    return g.node("ReduceMean", "audio", axes=[1, 2, 3], keepdims=1)


def _thirds(g: models.Graph, value: str) -> str:
    return g.node("Conv", value, g.constant(np.ones((3, 6, 1, 1))))


def test_sizes_read_from_the_picture_path_are_computed_again() -> None:
    def network(g: models.Graph) -> None:
        inner = g.node("Relu", _thirds(g, "input"))
        small = g.node("MaxPool", inner, kernel_shape=[2, 2], strides=[2, 2])
        deep = g.node("Add", small, _sound(g))
        size = g.node("Shape", inner)
        empty = g.constant(np.zeros(0))
        grown = g.node("Resize", deep, empty, empty, size, mode="nearest")
        g.node("Add", grown, inner, output="output")

    model = _edited(network)
    parts = split(model)
    assert len(parts.cuts) == 2
    assert largest_difference(model, parts) == 0.0


def test_a_picture_that_the_last_layer_takes_is_kept_too() -> None:
    def network(g: models.Graph) -> None:
        inner = g.node("Relu", _thirds(g, "input"))
        louder = g.node("Mul", g.node("Mul", inner, _sound(g)), g.constant(0.5))
        joined = g.node("Concat", louder, "input", axis=1)
        weight = g.constant(np.full((3, 9, 1, 1), 0.1))
        g.node("Conv", joined, weight, output="output")

    model = _edited(network)
    parts = split(model)
    assert {cut.name for cut in parts.cuts} == {"v1", "input_kept"}
    assert largest_difference(model, parts) == 0.0


def test_what_a_branch_reads_from_outside_counts() -> None:
    def network(g: models.Graph) -> None:
        inner = g.node("Relu", _thirds(g, "input"))
        loud = g.node("Greater", _sound(g), g.constant(0.5))
        branch = [
            helper.make_graph(
                [helper.make_node(kind, [inner], [f"out_{kind}"])],
                kind,
                [],
                [helper.make_tensor_value_info(f"out_{kind}", 1, None)],
            )
            for kind in ("Neg", "Sqrt")
        ]
        once = g.node("ReduceMax", g.node("Cast", loud, to=1), keepdims=0)
        g.node(
            "If",
            g.node("Cast", once, to=9),
            then_branch=branch[0],
            else_branch=branch[1],
            output="output",
        )

    model = _edited(network)
    parts = split(model)
    assert [cut.dims for cut in parts.cuts] == [(3, 16, 16)]
    assert largest_difference(model, parts) == 0.0


REFUSED = {
    "first layer": (
        lambda: _edited(
            lambda g: g.node(
                "Add",
                g.node("Mul", _thirds_of_both(g), _sound(g)),
                _sound(g),
                output="output",
            )
        ),
        r"the sound meets the picture at its first layer",
    ),
    "deaf": (lambda: models.generator("M1"), "depends on the picture alone"),
    "batch": (
        lambda: models.generator("random", inner_px=32, batch=8),
        r"input \[8,6,32,32\]: want a free batch or 1",
    ),
    "channels last": (
        lambda: models.channels_last(models.generator("random", inner_px=32)),
        r"want exactly one picture \[N,6,S,S\]",
    ),
    "two pictures": (
        lambda: _edited(
            lambda g: g.node(
                "Conv",
                g.node("Add", "input", "audio"),
                g.constant(np.ones((3, 6, 1, 1))),
                output="output",
            ),
            audio=("N", 6, 16, 16),
        ),
        r"want exactly one picture \[N,6,S,S\]",
    ),
    "encoder": (models.encoder, r"has inputs mel \[N,1,80,16\] and 1 outputs"),
}


def _thirds_of_both(g: models.Graph) -> str:
    """The sound is added to the raw picture."""
    return _thirds(g, g.node("Add", "input", _sound(g)))


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_what_cannot_be_split_with_the_reason(case: str) -> None:
    network, reason = REFUSED[case]
    with pytest.raises(RefusedError, match=reason) as caught:
        split(network())
    assert "\n" not in str(caught.value)


def small_unet(side: int = 32) -> onnx.ModelProto:
    """Two levels of the SyncTalk kind: its blocks, its ups, its bottleneck."""
    net = synctalk._Network(3)
    g = net.graph
    top = net.residual_block(("input", 6, side), 8)
    bottom = net.double(top, 16, stride=2)
    heard = g.node("ReduceMean", "audio", axes=[2, 3], keepdims=1)
    ones = g.constant(np.ones((1, 1, side // 2, side // 2)))
    joined = g.node("Concat", bottom[0], g.node("Mul", heard, ones), axis=1)
    value = net.up(net.double((joined, 48, side // 2), 16), top, 8)
    quiet = g.node("Mul", value[0], g.constant(0.1))
    g.node("Sigmoid", net.conv(quiet, (8, side, side), 3, 1), output="output")
    return g.model(
        {"input": ["N", 6, side, side], "audio": ["N", 32, 16, 16]},
        {"output": ["N", 3, side, side]},
    )


def test_convolutions_over_both_halves_are_taken_apart() -> None:
    model = small_unet()
    found = algebra.sites(model)
    assert [site.before_resize for site in found] == [False, True]
    for moved in (False, True):
        chosen = {site.conv: moved and site.before_resize for site in found}
        parts = split(algebra.rewrite(model, chosen))
        # The picture's shares are kept in place of the picture's own features.
        assert sorted(cut.dims for cut in parts.cuts) == [(48, 32, 32), (96, 16, 16)]
        assert largest_difference(model, parts) <= 1e-4
        kinds = [node.op_type for node in parts.audio.graph.node]
        at = kinds.index("Resize")
        assert (kinds[at + 1] == "Add") == moved


def test_a_convolution_that_sees_its_neighbours_is_left_alone() -> None:
    assert algebra.sites(demo_network()) == []
    assert algebra.sites(models.generator("random", inner_px=32)) == []


def test_rewrites_are_taken_only_where_they_pay_and_never_with_exact() -> None:
    model = small_unet()
    exact = choose.choose(model, exact=True)
    assert exact.difference == 0.0
    assert exact.figures["convolutions_taken_apart"] == 0
    free = choose.choose(model, exact=False)
    tried = free.figures["tried"]
    assert len(tried) == 2
    assert free.figures["convolutions_taken_apart"] == sum(t["taken"] for t in tried)
    assert free.difference <= 1e-4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo avatar, optimised."""
    folder = tmp_path_factory.mktemp("optimised") / "demo"
    shutil.copytree(DEMO, folder)
    assert main(["optimise", str(folder)]) == 0
    return folder


def test_lists_the_parts_with_hashes_in_the_manifest(folder: Path) -> None:
    manifest = json.loads((folder / "avatar.json").read_text())
    assert manifest["generator"]["split"] == {
        "image": IMAGE_FILE,
        "audio": AUDIO_FILE,
        "source_sha256": manifest["files"]["generator.onnx"]["sha256"],
    }
    for name in (IMAGE_FILE, AUDIO_FILE, FIGURES_FILE):
        data = (folder / name).read_bytes()
        entry = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        assert manifest["files"][name] == entry
    assert not [p.name for p in folder.iterdir() if p.name.startswith(".")]


def _parts(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in (IMAGE_FILE, AUDIO_FILE)]


def test_overwrites_only_when_asked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _parts(folder)
    assert main(["optimise", str(folder)]) == 3
    assert f"{IMAGE_FILE} exists; --overwrite replaces it\n" in capsys.readouterr().err
    assert main(["optimise", str(folder), "--overwrite"]) == 0
    assert _parts(folder) == before


def test_a_package_that_was_changed_by_hand_is_refused_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["optimise", str(tmp_path)]) == 3
    assert "no avatar.json in it" in capsys.readouterr().err
    (tmp_path / "avatar.json").write_text("{}")
    assert main(["optimise", str(tmp_path)]) == 3
    assert "not a manifest of an avatar package" in capsys.readouterr().err
    shutil.copy(DEMO / "avatar.json", tmp_path)
    (tmp_path / "generator.onnx").write_bytes(b"other")
    assert main(["optimise", str(tmp_path)]) == 3
    assert "generator.onnx: sha256 = " in capsys.readouterr().err
    assert not (tmp_path / IMAGE_FILE).exists()


def _wordy(g: models.Graph) -> None:
    """Copies of an input, of a weight and of the output; dropout; constants of constants; what nobody uses."""
    stored = onnx.numpy_helper.from_array(np.float32([[0.3]]))
    scale = g.node("Mul", g.node("Constant", value=stored), g.constant(0.7))
    scale = g.node("Reshape", scale, g.constant([1, 1, 1, 1], np.int64))
    weight = g.constant(np.random.default_rng(1).normal(size=(3, 6, 1, 1)))
    shown = g.node("Identity", g.node("Identity", "input"))
    inner = g.node("Conv", shown, g.node("Identity", weight))
    never = g.constant(False, bool)
    inner = g.node("Dropout", inner, g.constant(0.5), never)
    always = g.node("Not", never)
    kept = g.node("Identity", inner)
    branches = {
        name: helper.make_graph(
            [helper.make_node(kind, [kept], [f"out_{name}"])],
            name,
            [],
            [helper.make_tensor_value_info(f"out_{name}", 1, None)],
        )
        for name, kind in (("then_branch", "Neg"), ("else_branch", "Abs"))
    }
    chosen = g.node("If", always, **branches)
    size = g.constant([1, 3, 300, 300], np.int64)
    large = g.node("ReduceSum", g.node("ConstantOfShape", size), keepdims=1)
    g.node("Relu", g.node("Conv", "input", g.constant(np.ones((9, 6, 1, 1)))))
    louder = g.node("Mul", g.node("Mul", chosen, scale), _sound(g))
    quiet = g.node("Identity", g.node("Add", louder, large))
    g.node("Identity", quiet, output="output")


def _drawn_to_the_bit(a: onnx.ModelProto, b: onnx.ModelProto) -> None:
    sessions = [session_of(model) for model in (a, b)]
    for seed in range(3):
        feed = random_inputs(a, 1, seed)
        wanted, got = (one.run(None, feed)[0] for one in sessions)
        np.testing.assert_array_equal(got, wanted)


def test_simplifying_leaves_what_a_frame_needs_and_every_bit() -> None:
    model = _edited(_wordy)
    simple = simplify(model)
    _drawn_to_the_bit(model, simple)
    kinds = [node.op_type for node in simple.graph.node]
    # The sum over a large constant stays: stored, the constant would make the file grow.
    left = ["Conv", "If", "ConstantOfShape", "ReduceSum", "ReduceMean", "Mul", "Mul", "Add"]  # fmt: skip
    assert sorted(kinds) == sorted(left)
    used = {name for node in simple.graph.node for name in node.input}
    assert {tensor.name for tensor in simple.graph.initializer} <= used
    assert simplify(simple) == simple


def test_simplifying_keeps_dropout_that_trains_and_what_is_random() -> None:
    def network(g: models.Graph) -> None:
        inner = g.node("Dropout", _thirds(g, "input"), g.constant(0.5), g.constant(True, bool))  # fmt: skip
        noise = g.node("RandomNormal", shape=[1, 3, 16, 16])
        g.node("Add", g.node("Add", inner, noise), _sound(g), output="output")

    model = _edited(network)
    kinds = [node.op_type for node in model.graph.node]
    assert [node.op_type for node in simplify(model).graph.node] == kinds


def test_simplifying_a_network_whose_weights_stand_among_its_inputs() -> None:
    """As exporters wrote them before ONNX's IR 4."""
    model = models.generator("random", inner_px=32)
    for tensor in model.graph.initializer:
        value = helper.make_tensor_value_info(
            tensor.name, tensor.data_type, tensor.dims
        )
        model.graph.input.append(value)  # fmt: skip
    model.ir_version = 3
    onnx.checker.check_model(model)
    simple = simplify(model)
    assert [value.name for value in simple.graph.input] == ["input", "audio"]
    _drawn_to_the_bit(model, simple)
    assert largest_difference(model, split(simple)) == 0.0


def test_the_parts_are_simplified_and_it_is_said(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a"
    shutil.copytree(small, folder)
    (folder / "generator.onnx").write_bytes(demo_network().SerializeToString())
    avatars.reseal(folder)
    assert main(["optimise", str(folder), "--exact"]) == 0
    figures = json.loads((folder / FIGURES_FILE).read_text())
    whole, simple = figures["nodes"]["network"], figures["nodes"]["simplified"]
    assert (whole, figures["largest_difference"]) == (len(demo_network().graph.node), 0)
    said = f"simplified: {whole - simple} of {whole} nodes"
    assert said in capsys.readouterr().out
    parts = [onnx.load(str(folder / name)) for name in (IMAGE_FILE, AUDIO_FILE)]
    kinds = {node.op_type for part in parts for node in part.graph.node}
    assert "Constant" not in kinds and len(kinds) > 5
    assert sum(len(part.graph.node) for part in parts) <= simple


def _without(*keys: str) -> Callable[[dict], None]:
    """Takes a field out of the manifest."""

    def edit(manifest: dict) -> None:
        *path, last = keys
        for key in path:
            manifest = manifest[key]
        del manifest[last]

    return edit


NOT_AS_EXPECTED: dict[str, tuple[Callable[[dict], object], str | None, str]] = {
    "mask null": (lambda m: m["generator"].update(mask=None), None, "generator.mask = null"),
    "no mask": (_without("generator", "mask"), None, "generator.mask: missing"),
    "no audio": (_without("audio"), None, "audio: missing"),
    "no audio model": (_without("audio", "model"), None, "audio.model: missing"),
    "frames null": (lambda m: m.update(frames=None), None, "frames = null"),
    "boxes empty": (lambda m: None, "", "boxes.json: "),
    "boxes 5": (lambda m: None, '{"schema_version":1,"boxes":5}', "boxes.json: boxes = 5: want a list"),
    "box outside": (
        lambda m: None, '{"schema_version":1,"boxes":[[0,0,900,90],null,[0,0,90,90]]}', "boxes[0] = [0,0,900,90]: want it inside 320x240",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, sentence: lab.Samples) -> Path:
    """A random network's avatar of three frames, with speech."""
    folder = tmp_path_factory.mktemp("small") / "a"
    avatars.make_avatar(folder, frames=3, model="random", encoder="random")
    lab.write_wav(folder / "speech.wav", sentence)
    return folder


@pytest.mark.parametrize("case", NOT_AS_EXPECTED)
def test_a_package_that_the_loader_refuses_is_refused_with_its_line(
    case: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit, boxes, said = NOT_AS_EXPECTED[case]
    folder = tmp_path / "a"
    shutil.copytree(small, folder)
    if boxes is not None:
        (folder / "boxes.json").write_text(boxes)
    avatars.reseal(folder, edit)  # type: ignore[arg-type]
    before = {path.name for path in folder.iterdir()}
    assert main(["optimise", str(folder), "--require-psnr", "40"]) == 3
    told = capsys.readouterr().err
    assert said in told, told
    assert str(folder) in told
    assert told.count("\n") == 1
    assert {path.name for path in folder.iterdir()} == before


def test_overwrite_mends_what_an_earlier_run_made_and_tells_of_other_faults(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a"
    shutil.copytree(small, folder)
    assert main(["optimise", str(folder), "--exact"]) == 0
    (folder / IMAGE_FILE).write_bytes(b"damaged")
    (folder / AUDIO_FILE).unlink()
    assert lab.lipcast("inspect", folder, ok=False).code == 3
    assert main(["optimise", str(folder), "--exact", "--overwrite"]) == 0
    assert lab.lipcast("inspect", folder).code == 0
    before = {path.name: path.read_bytes() for path in folder.glob("*.*")}
    (folder / "boxes.json").write_text("{}")
    capsys.readouterr()
    assert main(["optimise", str(folder), "--exact", "--overwrite"]) == 3
    told = capsys.readouterr().err
    assert told.startswith(f"lipcast: avatar '{folder}': boxes.json: ")
    assert told.count("\n") == 1
    (folder / "boxes.json").write_bytes(before["boxes.json"])
    assert {path.name: path.read_bytes() for path in folder.glob("*.*")} == before
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.fixture(scope="module")
def sound(sentence: lab.Samples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of the spoken sentence."""
    path = tmp_path_factory.mktemp("sound") / "short.wav"
    return lab.write_wav(path, sentence[8_000:24_000])


def _drawn(folder: Path, sound: Path, *flags: object) -> list[str]:
    return lab.hashes(folder, sound, "--idle", "model", *flags)


def test_the_engine_draws_the_same_frames_with_the_parts_in_full(
    folder: Path, sound: Path
) -> None:
    whole = _drawn(DEMO, sound)
    assert len(set(whole)) == 25
    assert _drawn(folder, sound, "--variant", "full") == whole
    full = (*SPLIT, "--feature-precision", "full")
    assert _drawn(folder, sound, *full) == whole
    assert _drawn(folder, sound, *full, "--batch", 8, "--threads", 8) == whole
    # Four frames fit: most are computed again and again.
    assert _drawn(folder, sound, *full, "--feature-cache-mb", 6) == whole
    assert _drawn(folder, sound, *SPLIT, "--feature-cache-mb", 0) == whole


def test_the_engine_draws_the_same_frames_with_wav2lips_parts_in_full(
    sound: Path, tmp_path: Path
) -> None:
    folder = avatars.make_avatar(
        tmp_path / "a", frames=6, audio="mel", inner=96, border=0, textured=True,
        model=made_up_network("wav2lip"),
    )  # fmt: skip
    whole = _drawn(folder, sound)
    assert len(set(whole)) == 25
    assert main(["optimise", str(folder), "--exact"]) == 0
    assert _drawn(folder, sound, *SPLIT, "--feature-precision", "full") == whole
    assert _drawn(folder, sound, *SPLIT) != whole, "nothing kept was rounded: no parts"


def test_frames_in_half_do_not_depend_on_what_is_kept(
    folder: Path, sound: Path
) -> None:
    half = _drawn(folder, sound, *SPLIT)
    assert _drawn(folder, sound, *SPLIT, "--feature-cache-mb", 3) == half
    assert _drawn(folder, sound, *SPLIT, "--batch", 8, "--threads", 8) == half


def test_frames_in_half_are_within_two_levels(folder: Path, sound: Path) -> None:
    """One where the network's output is cut to levels, one more in scaling and colour."""
    wanted = lab.pictures(DEMO, sound, "--idle", "model")
    got = lab.pictures(folder, sound, "--idle", "model", *SPLIT)
    difference = cv2.absdiff(np.concatenate(got), np.concatenate(wanted))
    assert difference.max() <= 2
    # Levels that the network copies stand right on a step: those are the ones that change.
    assert (difference > 0).mean() < 0.03


def as_kept(features: dict) -> dict:
    """What the engine's half precision makes of one frame's: the smallest, up to a sixteenth of all, stay."""
    kept, floats = {}, 0
    limit = sum(tensor.size for tensor in features.values()) // 16
    for name, tensor in sorted(features.items(), key=lambda one: one[1].size):
        floats += tensor.size
        half = tensor.astype(np.float16).astype(np.float32)
        kept[name] = tensor if floats <= limit else half
    return kept


def test_half_moves_what_the_demo_network_draws_by_a_tenth_of_a_level_at_most(
    folder: Path,
) -> None:
    """Pictures and sounds of the avatar's own, each with others than those it came with."""
    feeds = own_feeds(Package(DEMO), None, count=60)
    image, audio = session(folder / IMAGE_FILE), session(folder / AUDIO_FILE)
    names = [value.name for value in image.get_outputs()]
    random, worst = np.random.default_rng(0), 0.0
    for picture in feeds.pictures:
        features = image.run(None, {"input": picture[None]})
        features = dict(zip(names, features, strict=True))
        half = as_kept(features)
        for i in random.choice(len(feeds.contexts), 6, replace=False):
            sound = feeds.contexts[i][None]
            drawn, moved = (
                audio.run(None, {**part, "audio": sound})[0]
                for part in (features, half)
            )
            worst = max(worst, 255 * float(np.abs(drawn - moved).max()))
    print(f"\nmost: {worst:.3f} of a level")
    assert 0 < worst <= 0.1


def test_the_report_says_what_drew(folder: Path, sound: Path) -> None:
    def cache(avatar: Path, *flags: object) -> dict | None:
        run = lab.lipcast(
            "render",
            sound,
            "-a",
            avatar,
            "-o",
            "-",
            "--json",
            *flags,
            keep_stdout=False,
        )
        return json.loads(run.stderr)["feature_cache"]

    assert cache(DEMO) is None
    assert cache(folder, *SPLIT, "--feature-cache-mb", 0) is None
    kept = cache(folder, *SPLIT, "--idle", "model")
    assert kept["misses"] >= kept["frames"] == 25
    frame_mb = 2 * (344_000 + 11_200) / 2**20  # the deepest tensor stays in full
    assert kept["mb"] == pytest.approx(25 * frame_mb)
    boxes = json.loads((folder / "boxes.json").read_text())["boxes"]
    needed = sum(box is not None for box in boxes) * frame_mb
    assert kept["needed_mb"] == kept["budget_mb"] == pytest.approx(needed)
    fixed = cache(folder, *SPLIT, "--idle", "model", "--feature-cache-mb", 3)
    assert (fixed["budget_mb"], fixed["needed_mb"]) == (3, kept["needed_mb"])
    assert fixed["mb"] <= 3
    assert "image features have 3 MB" in str(_warnings(folder, sound))


def _warnings(folder: Path, sound: Path) -> list[str]:
    flags = ("--json", *SPLIT, "--feature-cache-mb", 3)
    run = lab.lipcast(
        "render", sound, "-a", folder, "-o", "-", *flags, keep_stdout=False
    )
    return json.loads(run.stderr)["warnings"]


def test_a_budget_is_auto_or_a_number(folder: Path, sound: Path) -> None:
    for wrong in ("much", "-1", "1.5"):
        run = lab.lipcast("bench", "-a", folder, "--feature-cache-mb", wrong, ok=False)
        assert run.code == 2
        assert "--feature-cache-mb" in run.stderr


def test_bench_does_not_count_its_warm_up(folder: Path) -> None:
    run = lab.lipcast("bench", "-a", folder, "--frames", 9, "--warm-up", 4, "--json")
    told = json.loads(run.stdout)
    assert (told["frames"], told["warm_up_frames"]) == (9, 4)
    assert told["fps"] > 5 / told["wall_s"]
    run = lab.lipcast("bench", "-a", folder, "--frames", 9, "--warm-up", 9, ok=False)
    assert run.code == 2
    assert "--warm-up = 9: want less than --frames = 9" in run.stderr


def test_a_damaged_network_that_does_not_draw_refuses_nobody_but_is_found(
    folder: Path, sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "demo"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("truth"))
    data = bytearray((copy / AUDIO_FILE).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / AUDIO_FILE).write_bytes(data)
    whole = _drawn(copy, sound, "--variant", "full")
    assert whole == _drawn(DEMO, sound)
    wrong = f"{AUDIO_FILE}: sha256 = "
    for command in (
        ("render", sound, "-a", copy, "-o", "-", *SPLIT),
        ("inspect", copy),
    ):
        run = lab.lipcast(*command, keep_stdout=False, ok=False)
        assert run.code == 3, command
        assert wrong in run.stderr
        assert run.stderr.count("\n") == 1
    assert main(["verify", str(copy)]) == 3
    assert wrong in capsys.readouterr().err


def test_the_engine_refuses_parts_of_another_network(
    folder: Path, sound: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "demo"
    shutil.copytree(folder, broken)
    manifest = json.loads((broken / "avatar.json").read_text())
    manifest["generator"]["split"]["source_sha256"] = "0" * 64
    (broken / "avatar.json").write_text(json.dumps(manifest))
    run = lab.lipcast("render", sound, "-a", broken, "-o", "-", ok=False)
    assert run.code != 0
    assert "generator.split.source_sha256 = 000" in run.lines[-1]
