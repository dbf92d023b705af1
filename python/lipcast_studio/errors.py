"""The one exception that a command turns into one line and an exit code (docs/cli.md)."""

from __future__ import annotations

EXIT_FAILURE, EXIT_USAGE, EXIT_INPUT, EXIT_OUTPUT, EXIT_UNAVAILABLE = 1, 2, 3, 4, 5
EXIT_INTERRUPTED = 130


class StudioError(Exception):
    """What is wrong, where, what was found and what was wanted, in one line."""

    def __init__(self, message: str, code: int = EXIT_INPUT) -> None:
        super().__init__(" ".join(message.split()))
        self.code = code
