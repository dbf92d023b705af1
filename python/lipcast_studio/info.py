"""`lipcast avatar info DIR`: what `lipcast inspect` says, and the networks with what was measured of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .archive import read_manifest
from .engine import inspect
from .onnx_file import session
from .package_files import read_json


def _network(path: Path) -> dict[str, Any]:
    found = session(path)
    inputs = {value.name: value.shape for value in found.get_inputs()}
    outputs = {value.name: value.shape for value in found.get_outputs()}
    return {"bytes": path.stat().st_size, "inputs": inputs, "outputs": outputs}


def info(folder: Path) -> dict[str, Any]:
    """Every check of the loader is made first; StudioError with its line."""
    manifest = read_manifest(folder)
    report = inspect(folder.absolute())
    report["path"] = str(folder)
    names = [name for name in manifest["files"] if name.endswith(".onnx")]
    report["networks"] = {name: _network(folder / name) for name in names}
    report["split"] = manifest["generator"].get("split")
    figures: dict[str, Any] = {}
    for path in (folder / name for name in manifest["files"] if name.endswith(".json") and name != manifest["boxes"]):
        figures[path.name] = read_json(path)
    report["figures"] = figures
    return report


def lines(report: dict[str, Any]) -> list[str]:
    """For a terminal."""
    told = []
    for key, value in report.items():
        rows = [f"{k}: {json.dumps(v)}" for k, v in value.items()] if isinstance(value, dict) else value
        for row in rows if isinstance(rows, list) else [rows]:
            told.append(f"{key:<16} {row}")
    return told
