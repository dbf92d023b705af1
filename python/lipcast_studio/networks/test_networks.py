"""Each definition equals the published one: its keys, shapes and values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lipcast_studio.networks.audio_encoder import AudioEncoder
from lipcast_studio.networks.made_up import network_input, weight
from lipcast_studio.networks.unet import UNet, UNetShape
from lipcast_studio.networks.wav2lip import Wav2Lip

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden.json").read_text())


def build(name: str, weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    if "unet" in name:
        return UNet(UNetShape.of(weights))
    return Wav2Lip() if name == "wav2lip_96" else AudioEncoder()


@pytest.mark.parametrize("name", GOLDEN)
def test_a_definition_reproduces_the_published_keys_shapes_and_values(name: str) -> None:
    golden = GOLDEN[name]
    weights = {key: weight(key, shape) for key, shape in golden["state_dict"].items()}
    network = build(name, weights)
    assert {k: list(v.shape) for k, v in network.state_dict().items()} == golden["state_dict"]
    network.load_state_dict(weights)
    network.eval()
    with torch.no_grad():
        output = network(*[network_input(*given) for given in golden["inputs"]])
    assert list(output.shape) == golden["output_shape"]
    np.testing.assert_allclose(output.flatten().numpy()[golden["index"]], golden["value"], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("name", "inner", "sound"), [
    ("synctalk_unet_160_ave", 160, (32, 16, 16)),
    ("synctalk_unet_328_ave", 320, (32, 16, 16)),
    ("ultralight_unet_160_hubert", 160, (16, 32, 32)),
    ("ultralight_unet_160_wenet", 160, (128, 16, 32)),
])  # fmt: skip
def test_the_sizes_of_a_unet_are_read_from_its_weights(name: str, inner: int, sound: tuple[int, ...]) -> None:
    shape = UNetShape.of({key: torch.empty(size) for key, size in GOLDEN[name]["state_dict"].items()})
    assert shape.inner_px == inner
    assert shape.audio_shape == sound
