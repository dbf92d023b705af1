"""Reading .pth files as data: no code in them is ever run."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .errors import StudioError
from .find_torch import find_torch
from .package_files import check_is_file

find_torch()

import torch  # noqa: E402

_LISTS = ("state_dict", "model_state_dict", "model", "net", "params")
_WRAPPERS = ("module.", "model.")


def _first_names(names: Iterable[str], limit: int = 3) -> str:
    listed = sorted(names)
    return ", ".join(listed[:limit]) + (f" and {len(listed) - limit} more" if len(listed) > limit else "")


def _load(path: Path) -> Any:
    check_is_file(path)
    # PyTorch reads these two without its weights-only guard (tar up to 2.5, TorchScript in all).
    if tarfile.is_tarfile(path):
        raise StudioError(f"{path}: a tar checkpoint can carry code; want one written by torch.save")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                raise StudioError(f"{path}: a TorchScript program; want the weights, torch.save(model.state_dict(), ..)")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        text = str(error)
        if "Unsupported" in text or "Weights only" in text or "weights_only" in text:
            raise StudioError(
                f"{path}: holds Python objects besides weights and is not unpickled; "
                "want weights alone, torch.save(model.state_dict(), ..)"
            ) from None
        raise StudioError(f"{path}: not a whole PyTorch checkpoint ({text.splitlines()[0] if text else 'empty'})") from None


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Layer name -> tensor, without the wrappers that training adds (state_dict entries, "module.").

    StudioError where the file is broken, carries code, or holds no tensors.
    """
    found = _load(path)
    for name in _LISTS:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping):
        raise StudioError(f"{path}: holds a {type(found).__name__}, want a state dict")
    weights = {str(key): value for key, value in found.items() if isinstance(value, torch.Tensor)}
    if not weights:
        raise StudioError(f"{path}: no weights in it, want a state dict")
    for wrapper in _WRAPPERS:
        while all(key.startswith(wrapper) for key in weights):
            weights = {key.removeprefix(wrapper): value for key, value in weights.items()}
    return weights


def fill(network: torch.nn.Module, weights: Mapping[str, torch.Tensor], what: str, path: Path) -> torch.nn.Module:
    """Puts the weights into the network, which comes back in eval mode.

    StudioError naming the layers that are missing, unknown, of another shape, or not finite.
    num_batches_tracked may be absent: only training reads it.
    """
    wanted = network.state_dict()
    optional = {key for key in wanted if key.endswith("num_batches_tracked")}
    missing = wanted.keys() - weights.keys() - optional
    unknown = weights.keys() - wanted.keys()
    shapes = [
        f"{key} {list(weights[key].shape)}, want {list(wanted[key].shape)}"
        for key in wanted
        if key in weights and weights[key].shape != wanted[key].shape
    ]
    faults = []
    if missing:
        faults.append(f"missing {_first_names(missing)}")
    if unknown:
        faults.append(f"unknown {_first_names(unknown)}")
    if shapes:
        faults.append(f"of another shape: {_first_names(shapes)}")
    if faults:
        raise StudioError(f"{path}: not {what}: layers {'; '.join(faults)}")
    broken = [key for key, value in weights.items() if not torch.isfinite(value).all()]
    if broken:
        raise StudioError(f"{path}: weights that are not finite in {_first_names(broken)}")
    network.load_state_dict({**{key: wanted[key] for key in optional}, **weights})
    return network.eval()
