"""One training loop for every stage: steps that repeat exactly, checkpoints, progress, early stopping.

Step n draws all it draws from a generator seeded with (seed, n), so a run that was stopped and goes on gives the
weights of one that was not. A checkpoint is written beside its name and renamed: a killed run leaves the last whole one.
"""

from __future__ import annotations

import copy
import io
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import EXIT_INTERRUPTED, EXIT_OUTPUT, StudioError
from ..find_torch import find_torch

find_torch()

import torch  # noqa: E402

Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """How a stage is trained. Times are in seconds."""

    steps: int
    rate: float  # the largest learning rate: reached after warm_steps, then a cosine down to almost 0
    warm_steps: int = 100
    weight_decay: float = 1e-4
    seed: int = 1
    average: bool = False  # a running mean of the weights is what is judged and kept
    judge_every: int = 250  # steps between looks at the held-out part
    patience: int = 12  # looks without a better one after which the stage ends
    save_every_s: float = 30.0
    say_every_s: float = 15.0


class Stage(Protocol):
    """What is trained: a module, its loss on a fresh batch, and how good it is on the held-out part."""

    name: str
    model: torch.nn.Module

    def loss(self, rng: np.random.Generator) -> tuple[torch.Tensor, Mapping[str, float]]:
        """Loss of one batch, and figures to show."""

    def judge(self, model: torch.nn.Module) -> float | None:
        """Error of a model on the held-out part, smaller is better; None where there is no such part."""

    def preview(self, model: torch.nn.Module, path: Path) -> None:
        """Writes a picture of what the model does, if the stage has one."""


@dataclass(frozen=True)
class Trained:
    """The weights to keep, the steps made, and (step, error on the held-out part) of every look."""

    weights: dict[str, torch.Tensor]
    steps: int
    history: list[tuple[int, float]]


def _packed(value: Any) -> Any:
    """Floats as tensors of one double: the weights-only reader of PyTorch 1.13 knows no others."""
    if isinstance(value, float):
        return torch.tensor(value, dtype=torch.float64)
    if isinstance(value, Mapping):
        return {key: _packed(part) for key, part in value.items()}
    return [_packed(part) for part in value] if isinstance(value, list | tuple) else value


def _unpacked(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.item() if value.dtype == torch.float64 and value.dim() == 0 else value
    if isinstance(value, dict):
        return {key: _unpacked(part) for key, part in value.items()}
    return [_unpacked(part) for part in value] if isinstance(value, list) else value


def save_whole(path: Path, state: Mapping[str, Any]) -> None:
    """Writes a checkpoint so that its name always holds a whole one. StudioError where that fails (a full disk)."""
    part = path.with_name(path.name + ".part")
    data = io.BytesIO()
    torch.save(_packed(state), data)  # not to the file: PyTorch's writer ends the process when a disk is full
    try:
        with part.open("wb") as file:
            file.write(data.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise StudioError(f"{path}: the checkpoint cannot be written: {error.strerror}", EXIT_OUTPUT) from None


def load_whole(path: Path) -> dict[str, Any]:
    """What save_whole wrote; StudioError where it is something else."""
    try:
        return dict(_unpacked(torch.load(path, map_location="cpu", weights_only=True)))
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        raise StudioError(f"{path}: not a whole checkpoint ({first}); delete it to train this stage anew") from None


def finished_weights(path: Path) -> dict[str, torch.Tensor] | None:
    """The weights of a stage that has ended; None while it has not, or was never begun."""
    state = load_whole(path) if path.exists() else {}
    return dict(state["best"]) if state.get("finished") else None


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _average(mean: torch.nn.Module, model: torch.nn.Module, keep: float) -> None:
    with torch.no_grad():
        for a, b in zip(mean.state_dict().values(), model.state_dict().values(), strict=True):
            if a.dtype.is_floating_point:
                a.mul_(keep).add_(b, alpha=1 - keep)
            else:
                a.copy_(b)


def _weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.detach().cpu().clone() for key, value in model.state_dict().items()}


class _Run:
    """The state of one stage's training, as it is kept in the checkpoint."""

    def __init__(self, stage: Stage, settings: Settings) -> None:
        self.stage, self.settings = stage, settings
        self.mean = copy.deepcopy(stage.model) if settings.average else stage.model
        wanted = [p for p in stage.model.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(wanted, lr=settings.rate, weight_decay=settings.weight_decay)
        self.step = 0
        self.finished = False
        self.history: list[tuple[int, float]] = []
        self.best: dict[str, torch.Tensor] = {}
        self.best_error, self.looks_since = math.inf, 0

    def save(self, path: Path) -> None:
        state = {
            "model": self.stage.model.state_dict(), "mean": self.mean.state_dict(), "optimiser": self.optimiser.state_dict(),
            "step": self.step, "finished": self.finished, "history": self.history,
            "best": self.best, "best_error": self.best_error, "looks_since": self.looks_since,
        }  # fmt: skip
        save_whole(path, state)

    def load(self, path: Path) -> None:
        state = load_whole(path)
        try:
            self.stage.model.load_state_dict(state["model"])
            self.mean.load_state_dict(state["mean"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.finished, self.best = int(state["step"]), bool(state["finished"]), dict(state["best"])
            self.best_error, self.looks_since = float(state["best_error"]), int(state["looks_since"])
            self.history = [(int(step), float(error)) for step, error in state["history"]]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise StudioError(f"{path}: of another network ({str(error).splitlines()[0]}); delete it") from None

    def train_step(self) -> Mapping[str, float]:
        settings, step = self.settings, self.step
        torch.manual_seed(settings.seed * 1_000_003 + step)
        rng = np.random.default_rng([settings.seed, step])
        turn = 0.5 + 0.5 * math.cos(math.pi * step / settings.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = settings.rate * min(1.0, (step + 1) / settings.warm_steps) * turn + 1e-6
        self.stage.model.train()
        loss, figures = self.stage.loss(rng)
        if not torch.isfinite(loss):
            raise StudioError(f"{self.stage.name}: the loss is {loss.item()} at step {step + 1}, want a finite number", 1)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.stage.model.parameters(), 1.0)
        self.optimiser.step()
        if settings.average:
            _average(self.mean, self.stage.model, min(0.998, (step + 1) / (step + 20)))
        self.step += 1
        return figures

    def look(self) -> float | None:
        """Judges the held-out part; keeps the best weights."""
        self.mean.eval()
        with torch.no_grad():
            error = self.stage.judge(self.mean)
        if error is None:
            self.best = _weights(self.mean)
            return None
        self.history.append((self.step, error))
        self.looks_since += 1
        if error < self.best_error * 0.999 or not self.best:
            self.best, self.best_error, self.looks_since = _weights(self.mean), error, 0
        return error


def run(stage: Stage, settings: Settings, checkpoint: Path, say: Say, *, stop: Callable[[], bool] = lambda: False,
        previews: Path | None = None) -> Trained:  # fmt: skip
    """Trains to the end, to early stopping, or until `stop()`: then StudioError, and the same call goes on later."""
    state = _Run(stage, settings)
    if checkpoint.exists():
        state.load(checkpoint)
        if not state.finished:
            say(f"{stage.name}: goes on at step {state.step} of {settings.steps}")
    began, first = time.monotonic(), state.step
    saved = said = began
    figures: Mapping[str, float] = {}
    while not state.finished:
        if stop():
            state.save(checkpoint)
            raise StudioError(f"stopped at step {state.step} of {settings.steps} of {stage.name}; "
                              "the same command goes on from there", EXIT_INTERRUPTED)  # fmt: skip
        figures = state.train_step()
        error = None
        last = state.step >= settings.steps
        if last or state.step % settings.judge_every == 0:
            error = state.look()
            if previews is not None:
                state.mean.eval()
                with torch.no_grad():
                    stage.preview(state.mean, previews / f"{stage.name}-{state.step:06d}.jpg")
        state.finished = last or state.looks_since >= settings.patience
        now = time.monotonic()
        if state.finished or error is not None or now - said >= settings.say_every_s:
            pace = (now - began) / (state.step - first)
            shown = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
            held_out = "" if error is None else f"; held out {error:.4f} (best {state.best_error:.4f})"
            left = "" if state.finished else f"; {pace:.2f} s a step, {_minutes(pace * (settings.steps - state.step))} left"
            say(f"{stage.name}: step {state.step} of {settings.steps}: {shown}{held_out}{left}")
            said = now
        if state.finished or now - saved >= settings.save_every_s:
            state.save(checkpoint)
            saved = time.monotonic()
    if state.step < settings.steps:
        say(f"{stage.name}: no better for {settings.patience} looks, ends at step {state.step}")
    return Trained(state.best, state.step, state.history)
