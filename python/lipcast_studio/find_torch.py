"""Makes `import torch` work where Debian's python3-torch is installed but a virtual environment hides it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from .errors import EXIT_UNAVAILABLE, StudioError

_DEBIAN = Path("/usr/lib/python3/dist-packages")


def find_torch() -> None:
    """Raises StudioError where there is no PyTorch. Debian's folder goes last, so nothing else changes its version."""
    if importlib.util.find_spec("torch") is None and (_DEBIAN / "torch").is_dir():
        sys.path.append(str(_DEBIAN))
        importlib.invalidate_caches()
    if importlib.util.find_spec("torch") is None:
        raise StudioError(
            "PyTorch is needed to read a .pth: apt-get install python3-torch, or pip install torch", EXIT_UNAVAILABLE
        )
