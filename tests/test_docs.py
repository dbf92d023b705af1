"""docs/cli.md says what --help says; docs/cases.md names tests that exist."""

from __future__ import annotations

import re

import lab
import pytest
from lipcast_studio.__main__ import parser

CLI = (lab.ROOT / "docs/cli.md").read_text("utf-8")
COMMANDS = ("render", "serve", "avatar", "inspect", "doctor", "bench")
PYTHON_COMMANDS = ("avatar",)  # their options are lipcast_studio's
# "  -o,--output TEXT:{a,b}=default   text": the flags, then the default of capture_default_str.
OPTION = re.compile(
    r"^  (-\S+)(?: +[A-Z]+\S*?(?: \.\.\.)?(?:=(\S+))?)?(?: Excludes: \S+)?(?:$| {2,})",
    re.MULTILINE,
)
ROW = re.compile(r"^\| (`-[^|]*`) \| ([^|]*)\|", re.MULTILINE)


def helped(command: str) -> dict[str, str]:
    """--flag -> its default ("" where there is none), as the binary prints them."""
    text = lab.lipcast(command, "--help").stdout.decode()
    text = re.sub(r" in \[[^]]*\]", "", text)
    return {
        name: default
        for names, default in OPTION.findall(text)
        for name in names.split(",")
    }


def written(command: str) -> dict[str, str]:
    """The same as docs/cli.md has it."""
    section = CLI.split(f"\n## lipcast {command}\n")[1].split("\n## ")[0]
    return {
        name: default.strip().strip("`")
        for names, default in ROW.findall(section)
        for name in re.findall(r"`([^`]+)`", names)
    }


@pytest.mark.parametrize("command", sorted({*COMMANDS} - {*PYTHON_COMMANDS}))
def test_the_page_names_every_flag_and_default_of_the_help_and_no_other(
    command: str,
) -> None:
    found = helped(command)
    assert {"--help", "-h"} < set(found)
    assert written(command) == found


def test_the_page_names_every_command_and_flag_of_lipcast_avatar_and_no_other() -> None:
    section = CLI.split("\n## lipcast avatar\n")[1].split("\n## ")[0]
    (commands,) = [a for a in parser()._actions if isinstance(a.choices, dict)]
    assert re.findall(r"^### (\w+)$", section, re.MULTILINE) == list(commands.choices)
    for name, command in commands.choices.items():
        part = section.split(f"\n### {name}\n")[1].split("\n### ")[0]
        flags = {flag for action in command._actions for flag in action.option_strings}
        rows = re.findall(r"^\| (`-[^|]*`) \|", part, re.MULTILINE)
        assert {f for row in rows for f in re.findall(r"`([^`]+)`", row)} == flags - {
            "-h",
            "--help",
        }


def test_the_page_has_a_section_for_every_command() -> None:
    text = lab.lipcast("--help").stdout.decode()
    listed = re.findall(r"^  ([a-z]+) ", text.split("Subcommands:")[1], re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)
    assert re.findall(r"^## lipcast (\w+)$", CLI, re.MULTILINE) == list(COMMANDS)


def test_the_page_names_every_exit_code_of_the_source() -> None:
    source = (lab.ROOT / "lipcast/cli/exit_codes.h").read_text()
    codes = re.findall(r"^  kExit\w+ = (\d+),", source, re.MULTILINE)
    assert re.findall(r"^\| (\d+) \|", CLI, re.MULTILINE) == codes


def test_the_page_names_every_key_of_the_report(tiny, speech_wav, tmp_path) -> None:
    told = lab.report(tiny, speech_wav, tmp_path / "a.mkv")
    section = CLI.split("The report of `--json`")[1].split("\n## ")[0]
    assert set(re.findall(r"`(\w+)`", section)) == set(told)


CASES = (lab.ROOT / "docs/cases.md").read_text("utf-8")
NUMBERS = (
    "1 2 4 5 6 7 8 9 10 12 13 14 15 17 18 20 21 22 23 24 25 26 29 30 33 34 35 36 37 38 39 41 42 "
    "43 45 46 47 48 49 50 51 52 53 55 56 57 59 61 62 64 65 67 68 69 70 71 72 73 76 77"
)


def rows(title: str) -> dict[str, str]:
    """First cell -> last cell of the table under that title."""
    section = CASES.split(f"\n## {title}\n")[1].split("\n## ")[0]
    found = re.findall(r"^\| (\w*\d+) \| .* \| (.*) \|$", section, re.MULTILINE)
    numbers = [number for number, _ in found]
    assert len(numbers) == len(set(numbers)), f"{title}: a number stands twice"
    return dict(found)


def test_every_test_named_for_a_case_exists() -> None:
    named = re.findall(r"`([\w/]+\.\w+)::([\w.]+)`", CASES)
    assert len(named) > 100
    for path, name in named:
        text = (lab.ROOT / path).read_text("utf-8")
        suite, _, test = name.partition(".")
        defined = (
            rf"^def {name}\("
            if path.endswith(".py")
            else rf"^TEST\w*\({suite},\s+{test}\)"
        )
        assert re.search(defined, text, re.MULTILINE), f"{path}: no {name}"


def test_every_case_and_every_fault_has_a_test_or_the_reason_why_not() -> None:
    wanted = {
        "Cases": NUMBERS.split(),
        "Tests that must exist": [f"W{i}" for i in range(1, 7)]
        + [f"P{i}" for i in range(1, 9)],
        "Faults that must be impossible": [str(i) for i in range(1, 22)],
    }
    for title, numbers in wanted.items():
        found = rows(title)
        assert list(found) == numbers, title
        for number, cell in found.items():
            assert (
                "::" in cell or "does not apply yet" in cell or "_bench.cc" in cell
            ), number
