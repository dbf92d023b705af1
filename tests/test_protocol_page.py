"""docs/protocol.md names what proto/lipcast/v1/lipcast.proto has, and its example runs as it stands."""

import re
import subprocess
import sys

from tests import lab

PAGE = (lab.ROOT / "docs/protocol.md").read_text("utf-8")


def fields_of_the_page() -> list[str]:
    """`Message.field`, or `.field` of the message before, in the first cells of its tables."""
    found, message = [], ""
    for cell in re.findall(r"^\| ([^|]*) \|", PAGE, re.MULTILINE):
        for name, field in re.findall(r"`(\w*)\.([a-z]\w*)`", cell):
            message = name or message
            found.append(f"{message}.{field}")
    return found


def test_the_page_has_a_row_for_every_field_once_and_for_no_other(wire) -> None:
    messages = wire[0].DESCRIPTOR.message_types_by_name
    fields = [
        f"{name}.{field.name}"
        for name, message in messages.items()
        for field in message.fields
    ]
    assert len(fields) > 100
    assert sorted(fields_of_the_page()) == sorted(fields)


def test_the_page_names_every_message_and_type_of_a_field(wire) -> None:
    descriptor = wire[0].DESCRIPTOR
    names = [*descriptor.message_types_by_name, *descriptor.enum_types_by_name]
    assert [n for n in names if not re.search(rf"`{n}\b", PAGE)] == []


def test_the_page_names_every_service_and_call(wire) -> None:
    for name, service in wire[0].DESCRIPTOR.services_by_name.items():
        assert re.search(rf"`{name}\b", PAGE), name
        for method in service.methods:
            assert re.search(rf"\b{method.name}", PAGE), method.name


def test_the_example_of_the_page_speaks_as_it_stands(server, wire, tmp_path) -> None:
    source = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]
    assert len(source.splitlines()) <= 25
    (tmp_path / "speak.py").write_text(source)
    make = PAGE.split("\npython -m grpc_tools.protoc ")[1].split("\n")[0]
    assert make.startswith("-I proto ")
    make = ["-I", lab.ROOT / "proto", *make.split()[2:]]
    said = lab.ROOT / "avatars/demo/speech.wav"
    short = tmp_path / "speech.wav"
    cut = ["ffmpeg", "-v", "error", "-i", said, "-t", "1", "-c:a", "pcm_s16le", short]
    subprocess.run(cut, check=True)
    for command in (
        ["-m", "grpc_tools.protoc", *make],
        ["speak.py", f"127.0.0.1:{server.grpc_port}", "speech.wav"],
    ):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
    kinds = re.findall(r"^(\w+) ", done.stdout, re.MULTILINE)
    told = [k for k in kinds if k in ("opened", "started", "finished")]
    assert told == ["opened", "started", "finished"], done.stdout
    pictures = sorted(tmp_path.glob("*.jpg"))
    assert len(pictures) > 5
    assert all(p.read_bytes().startswith(b"\xff\xd8\xff") for p in pictures)
