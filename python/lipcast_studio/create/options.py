"""What a user can choose, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..archive import find_avatar
from ..errors import EXIT_USAGE, StudioError

# Training steps of the audio and the image stage.
_STEPS = {"s": (3000, 12000), "m": (3000, 16000), "l": (3000, 16000)}
_FAST_STEPS = (1200, 4000)


@dataclass(frozen=True)
class Options:
    """size: s, m or l. fast: size s, the base's encoder as it is, few steps. base: the avatar whose hearing is the start."""

    size: str = "m"
    fast: bool = False
    audio_steps: int | None = None
    image_steps: int | None = None
    base: Path | None = None
    device: str = "auto"
    threads: int = 0

    @property
    def steps(self) -> tuple[int, int]:
        """Of the audio and of the image stage."""
        audio, image = _FAST_STEPS if self.fast else _STEPS[self.size]
        return self.audio_steps or audio, self.image_steps or image


def options_of(size: str | None, fast: bool, audio_steps: int | None, image_steps: int | None, base: str | None, device: str,
               threads: int) -> Options:  # fmt: skip
    """StudioError for values that do not go together or are out of range."""
    if fast and size not in (None, "s"):
        raise StudioError(f"--fast with --size {size}: --fast trains size s", EXIT_USAGE)
    for name, steps in (("--audio-steps", audio_steps), ("--image-steps", image_steps)):
        if steps is not None and not 1 <= steps <= 10_000_000:
            raise StudioError(f"{name} {steps}: want 1 to 10000000", EXIT_USAGE)
    if not 0 <= threads <= 1024:
        raise StudioError(f"--threads {threads}: want 0 (one a core) to 1024", EXIT_USAGE)
    return Options(size or ("s" if fast else "m"), fast, audio_steps, image_steps, find_base(base), device, threads)


def find_base(wanted: str | None) -> Path | None:
    """The avatar to learn hearing from: the one named, or the demo where it is found; None for "none"."""
    if wanted == "none":
        return None
    if wanted is not None:
        folder = find_avatar(Path(wanted))
        if not (folder / "avatar.json").is_file():
            raise StudioError(f"--base {wanted}: no avatar in it")
        return folder
    folder = Path(__file__).resolve().parents[3] / "avatars/demo"  # of the source tree, or of share/lipcast
    return folder if (folder / "avatar.json").is_file() else None
