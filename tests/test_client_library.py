"""What of python/lipcast_client needs no lipcast server: sound, errors, secrets, the wheel."""

import asyncio
import os
import subprocess
import sys
import venv
import wave
import zipfile
from concurrent import futures
from contextlib import contextmanager

import grpc
import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from lipcast_client import (
    AsyncClient,
    AudioFormat,
    Client,
    Idle,
    InvalidAudio,
    InvalidRequest,
    NotAllowed,
    PictureFormat,
    Refused,
    SampleType,
    ServerFault,
    SoundFormat,
    State,
    Unavailable,
    Unimplemented,
    _wire,
)
from lipcast_client.audio import piece_of

from tests import lab

PACKAGE = lab.ROOT / "python/lipcast_client"


@contextmanager
def fake(wire, credentials=None, **methods):
    """A gRPC server of another make, with the named calls of Speech and Server; the port."""
    _, services = wire
    server = grpc.server(futures.ThreadPoolExecutor(4))
    for name in ("Speech", "Server", "Avatars"):
        base = getattr(services, f"{name}Servicer")
        own = {k: v for k, v in methods.items() if hasattr(base, k)}
        getattr(services, f"add_{name}Servicer_to_server")(
            type(name, (base,), own)(), server
        )
    address = "127.0.0.1:0"
    if credentials:
        port = server.add_secure_port(address, credentials)
    else:
        port = server.add_insecure_port(address)
    server.start()
    try:
        yield port
    finally:
        server.stop(None)


def all_of(sound, format_):
    source = piece_of(sound, format_)
    pieces = []
    while data := source.take(1000):
        pieces.append(data)
    assert source.left == 0
    return b"".join(pieces)


def test_arrays_become_the_samples_of_the_session():
    s16, s32 = AudioFormat(), AudioFormat(sample_type=SampleType.S32)
    f32 = AudioFormat(sample_type=SampleType.F32)
    whole = np.array([0, 1, -1, 32767, -32768], np.int16)
    assert all_of(whole, s16) == whole.tobytes()
    assert all_of(whole.astype(">i2"), s16) == whole.tobytes()
    assert all_of(whole.astype(np.int32) << 16, s16) == whole.tobytes()
    assert all_of(whole, s32) == (whole.astype(np.int32) << 16).tobytes()
    for kind in (np.float32, np.float64):
        assert all_of((whole / 32768).astype(kind), s16) == whole.tobytes()
    floats = np.array([2, -2, 0.5], np.float32)
    assert all_of(floats, s16) == np.array([32767, -32768, 16384], "<i2").tobytes()
    assert all_of(floats, f32) == floats.tobytes()
    assert all_of(whole, f32) == (whole / 32768).astype("<f4").tobytes()


@pytest.mark.parametrize(
    "sound, says",
    [
        (np.zeros((4, 2), np.int16), r"\(4, 2\).*\[n, 1\]"),
        (np.zeros((2, 2, 1), np.int16), "shape"),
        (np.array([0, np.nan], np.float32), "NaN"),
        (np.zeros(4, np.complex64), "complex64"),
        (np.zeros(4, bool), "bool"),
        ({"a": 1}, "dict"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_sound_is_refused_with_what_was_found_and_wanted(sound, says):
    with pytest.raises(InvalidAudio, match=says):
        piece_of(sound, AudioFormat())


def test_wav_files_of_any_width_and_broken_ones(tmp_path):
    for width, kind in ((1, "U8"), (2, "S16"), (3, "S24"), (4, "S32")):
        path = tmp_path / f"{width}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(width)
            file.setframerate(44100)
            file.writeframes(bytes(range(200)) * 6 * width)
        format_ = AudioFormat.of(path)
        assert format_ == AudioFormat(44100, 2, SampleType[kind])
        assert all_of(path, format_) == bytes(range(200)) * 6 * width
    whole = path.read_bytes()
    for name, data in {
        "empty": b"",
        "text": b"hello",
        "header": whole[:20],
        "float": whole[:20] + b"\3\0" + whole[22:],
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InvalidAudio, match=f"{name}: .*want a WAV file"):
            AudioFormat.of(tmp_path / name)
    (tmp_path / "cut").write_bytes(whole[:1000])
    assert len(all_of(tmp_path / "cut", format_)) <= 1000


def test_the_enums_have_the_numbers_of_the_proto():
    prefixes = {
        SampleType: "SAMPLE_TYPE",
        PictureFormat: "PICTURE_FORMAT",
        SoundFormat: "SOUND_FORMAT",
        Idle: "IDLE",
        State: "STATE",
    }
    for ours, prefix in prefixes.items():
        theirs = _wire.enum_values(ours.__name__)
        assert theirs.pop(f"{prefix}_UNSPECIFIED") == 0
        assert {f"{prefix}_{v.name}": v.value for v in ours} == theirs


def test_retry_hints_reasons_and_codes_arrive_as_types(wire):
    delay = {"seconds": 2, "nanos": 500_000_000}
    told = {
        "ErrorInfo": _wire.ErrorInfo(reason="HEADROOM", domain="lipcast"),
        "RetryInfo": _wire.RetryInfo(retry_delay=delay),
    }
    details = [
        {
            "type_url": f"type.googleapis.com/google.rpc.{name}",
            "value": one.SerializeToString(),
        }
        for name, one in told.items()
    ]
    status = _wire.ErrorStatus(code=8, message="full", details=details)
    trailer = [status.SerializeToString()]

    def refuse(self, request, context):
        context.set_trailing_metadata((("grpc-status-details-bin", trailer[0]),))
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")

    def speak(self, requests, context):
        refuse(self, next(requests), context)
        yield

    async def by_asyncio(port):
        async with AsyncClient(f"127.0.0.1:{port}") as client:
            with pytest.raises(Refused, match="full") as error:
                async with client.speak():
                    pass
        return error.value.retry_after

    with fake(wire, GetInfo=refuse, Speak=speak) as port:
        client = Client(f"127.0.0.1:{port}")
        for call in (client.info, client.speak):
            with pytest.raises(Refused, match="full") as error:
                call()
            assert error.value.retry_after == 2.5
            assert error.value.reason == "HEADROOM"
            assert error.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert asyncio.run(by_asyncio(port)) == 2.5
        trailer[0] = b"\xff\xff"
        with pytest.raises(Refused) as error:
            client.info()
        assert error.value.retry_after is None
        with pytest.raises(Unimplemented):
            client.avatars()


def test_answers_that_make_no_sense_are_the_servers_fault(wire):
    messages, _ = wire

    def speak(self, requests, context):
        yield messages.SpeakResponse(frame=messages.Frame(index=3))

    def silent(self, requests, context):
        return iter(())

    with fake(wire, Speak=speak) as port, pytest.raises(ServerFault, match="opened"):
        Client(f"127.0.0.1:{port}").speak()
    with fake(wire, Speak=silent) as port, pytest.raises(Unavailable, match="over"):
        Client(f"127.0.0.1:{port}").speak()


def test_render_writes_a_whole_file_or_none(wire, tmp_path):
    messages, _ = wire
    said = []

    def render(self, requests, context):
        said.clear()
        said.extend(requests)
        answer = messages.RenderResponse
        yield answer(progress=messages.Progress(frames=1, total_frames=2))
        yield answer(warning=messages.Warning(message="quiet"))
        yield answer(file=b"abc")
        yield answer(file=b"def")
        if said[0].open.avatar == "broken":
            context.abort(grpc.StatusCode.DATA_LOSS, "broken files")
        yield answer(done=messages.RenderDone(frames=2, provider="cpu"))

    sound = tmp_path / "sound.any"
    sound.write_bytes(bytes(range(256)) * 2000)
    with fake(wire, Render=render) as port, Client(f"127.0.0.1:{port}") as client:
        told = []
        done = client.render(sound, "anna", progress=lambda *n: told.append(n), crf=30)
        assert (done.mp4, done.frames, done.warnings) == (b"abcdef", 2, ("quiet",))
        assert told == [(1, 2)]
        opening = said[0].open
        assert (opening.avatar, opening.mp4, opening.crf) == ("anna", True, 30)
        assert not opening.HasField("audio")
        assert b"".join(r.audio for r in said[1:]) == sound.read_bytes()
        client.render(np.zeros(10, np.float32), audio=AudioFormat(24000))
        assert said[0].open.audio.rate_hz == 24000 and len(said[1].audio) == 20
        target = tmp_path / "out.mp4"
        assert client.render(sound, "anna", target).mp4 == b""
        assert target.read_bytes() == b"abcdef"
        with pytest.raises(ServerFault, match="broken files"):
            client.render(sound, "broken", tmp_path / "none.mp4")
        with pytest.raises(InvalidAudio, match="AudioFormat"):
            client.render(np.zeros(10, np.float32))
        with pytest.raises(FileNotFoundError):
            client.render(tmp_path / "missing.wav")
        assert {p.name for p in tmp_path.iterdir()} == {"sound.any", "out.mp4"}

        async def by_asyncio():
            async with AsyncClient(f"127.0.0.1:{port}") as other:
                return await other.render(sound, "anna")

        assert asyncio.run(by_asyncio()).mp4 == b"abcdef"


def asks_for(token):
    def get_info(self, request, context):
        if dict(context.invocation_metadata()).get("authorization") != token:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "a token is missing")
        return _wire.message("GetInfoResponse")(version="9")

    return get_info


def test_a_token_goes_along_and_never_in_plain_text_over_a_network(wire):
    with fake(wire, GetInfo=asks_for("Bearer secret")) as port:
        assert Client(f"127.0.0.1:{port}", token="secret").info().version == "9"
        assert Client(f"localhost:{port}", token="secret").info().version == "9"
        with pytest.raises(NotAllowed, match="missing"):
            Client(f"127.0.0.1:{port}").info()
    for target in ("10.0.0.1:1", "example.org:1", "0.0.0.0:1"):
        with pytest.raises(InvalidRequest, match="token without TLS"):
            Client(target, token="secret")
    with pytest.raises(InvalidRequest, match="token"):
        Client(token="a\nb")


def test_tls_with_a_ca_of_its_own_and_with_client_certificates(wire, tmp_path):
    make = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    make += " -addext subjectAltName=IP:127.0.0.1,DNS:localhost"
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"]
    subprocess.run(["openssl", *make.split(), *files], check=True, capture_output=True)
    key, cert = (tmp_path / "key.pem"), (tmp_path / "cert.pem")
    pair = [(key.read_bytes(), cert.read_bytes())]
    plain = grpc.ssl_server_credentials(pair)
    mutual = grpc.ssl_server_credentials(pair, cert.read_bytes(), True)
    ask = asks_for("Bearer secret")
    with fake(wire, plain, GetInfo=ask) as port:
        target = f"127.0.0.1:{port}"
        assert Client(target, token="secret", ca=cert).info().version == "9"
        for wrong in ({}, {"tls": True}):
            with pytest.raises(Unavailable):
                Client(target, token="secret", **wrong).info()
    with fake(wire, mutual, GetInfo=ask) as port:
        both = {"ca": cert.read_bytes(), "cert": cert, "key": key}
        target = f"127.0.0.1:{port}"
        assert Client(target, token="secret", **both).info().version == "9"
        with pytest.raises(Unavailable):
            Client(target, token="secret", ca=cert).info()
    for wrong in ({"cert": cert}, {"tls": False, "ca": cert}):
        with pytest.raises(InvalidRequest):
            Client("127.0.0.1:1", **wrong)


def test_another_version_of_the_messages_may_live_in_the_same_program(wire):
    """A program's own lipcast/v1/lipcast.proto, with a field more, in protobuf's default pool."""
    own = descriptor_pb2.FileDescriptorProto()
    wire[0].DESCRIPTOR.CopyToProto(own)
    added = own.message_type[0].field.add()
    added.name, added.number, added.type, added.label = "extra", 99, 9, 1
    program = f"""
import sys
from google.protobuf import descriptor_pool, duration_pb2, timestamp_pb2
descriptor_pool.Default().AddSerializedFile(sys.stdin.buffer.read())
import lipcast_client
from lipcast_client import _wire
name = "lipcast.v1.{own.message_type[0].name}"
assert "extra" in descriptor_pool.Default().FindMessageTypeByName(name).fields_by_name
assert "extra" not in _wire.message(name).DESCRIPTOR.fields_by_name
"""
    subprocess.run(
        [sys.executable, "-c", program],
        input=own.SerializeToString(),
        env={**os.environ, "PYTHONPATH": str(lab.ROOT / "python")},
        check=True,
    )
    default = descriptor_pool.Default()
    name = "lipcast.v1.Frame"
    assert default.FindMessageTypeByName(name) is wire[0].Frame.DESCRIPTOR
    assert _wire.message(name).DESCRIPTOR is not wire[0].Frame.DESCRIPTOR


def test_the_wheel_speaks_from_an_environment_of_its_own(server, tmp_path):
    build = ["-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    source = tmp_path / "lipcast_client"
    copied = ["proto", "python/lipcast_client"]
    archive = ["git", "ls-files", "-co", "--exclude-standard", *copied]
    listed = subprocess.run(
        archive, cwd=lab.ROOT, check=True, capture_output=True, text=True
    )
    for name in listed.stdout.split():
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((lab.ROOT / name).read_bytes())
    project = source / "python/lipcast_client"
    subprocess.run([sys.executable, *build, "-w", tmp_path, project], check=True)
    [wheel] = tmp_path.glob("lipcast_client-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as file:
        names = {n.partition("/")[2] for n in file.namelist() if "info/" not in n}
    assert {"wire.binpb", "py.typed", "__init__.py", "client.py", "aio.py"} <= names
    assert not {"setup.py", "make_wire.py", "pyproject.toml"} & names
    home = tmp_path / "env"
    venv.create(home)
    python = home / "bin/python"
    install = ["-m", "pip", "--python", python, "install", "-q", "--no-deps"]
    subprocess.run([sys.executable, *install, "--no-index", wheel], check=True)
    [site] = home.glob("lib/python*/site-packages")
    (site / "shared.pth").write_text(
        f"{os.path.dirname(os.path.dirname(grpc.__file__))}\n"
    )
    program = f"""
import lipcast_client
assert lipcast_client.__file__.startswith({str(home)!r}), lipcast_client.__file__
from lipcast_client import Client
with Client("127.0.0.1:{server.grpc_port}") as client:
    with client.speak(file_pace=True) as session:
        session.say(bytes(6400))
        session.close()
        print(len(list(session)), lipcast_client.__version__)
"""
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=clean,
    )
    version = wheel.name.split("-")[1]
    assert done.stdout.split() == ["5", version]
