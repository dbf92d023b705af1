"""Who may come in: tokens, origins and limits of `lipcast serve`, against the real binary."""

import json
import re
import resource
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

import grpc
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests import lab
from tests.served import (
    OTHER,
    TOKEN,
    fetch,
    frames_of,
    pcm,
    requests_of,
    serving,
    speak,
    token_file,
    wait_until,
)

BEARER = {"Authorization": f"Bearer {TOKEN}"}
UNLIMITED = ("--set", "limits.wrong_tokens_per_minute=0")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    tokens = token_file(
        tmp_path_factory.mktemp("tokens"), TOKEN, "another-one-0123456789"
    )
    with serving("--set", f"listen.tokens={tokens}", *UNLIMITED) as server:
        yield server


def raw_exchange(server, text, limit_s=20):
    """What comes back for bytes that no client library would send, until the server closes."""
    with socket.create_connection(
        ("127.0.0.1", server.http_port), timeout=limit_s
    ) as link:
        link.sendall(text)
        found = b""
        while piece := link.recv(65536):
            found += piece
        return found


def every_method(wire):
    """(path, whether it streams) of all that gRPC serves but the health service."""
    messages, _ = wire
    for service in messages.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            yield f"/{service.full_name}/{method.name}"
    for name in (
        "InferBatchComposite",
        "ListModels",
        "LoadModel",
        "UnloadModel",
        "GetModelStats",
        "Health",
    ):
        yield f"/monolithic.MonolithicService/{name}"
    yield "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    yield "/lipcast.v1.Nothing/AtAll"


def call_code(channel, path, token=None):
    metadata = [("authorization", f"Bearer {token}")] if token else []
    try:
        list(channel.stream_stream(path)(iter([b""]), metadata=metadata, timeout=20))
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("token", [None, OTHER, TOKEN[:-1], TOKEN + "x"])
def test_every_grpc_method_is_refused_without_the_right_token(guarded, wire, token):
    paths = list(every_method(wire))
    assert len(paths) > 12
    for path in paths:
        code = call_code(guarded.channel, path, token)
        assert code == grpc.StatusCode.UNAUTHENTICATED, path


def test_the_right_token_opens_every_grpc_method(guarded, wire):
    for path in every_method(wire):
        code = call_code(guarded.channel, path, TOKEN)
        assert code != grpc.StatusCode.UNAUTHENTICATED, path
    messages, services = wire
    info = services.ServerStub(guarded.channel).GetInfo(
        messages.GetInfoRequest(), metadata=[("authorization", f"Bearer {TOKEN}")]
    )
    assert info.version


def test_health_is_open_to_all(guarded):
    check = guarded.channel.unary_unary("/grpc.health.v1.Health/Check")
    assert check(b"", timeout=20) == b"\x08\x01"  # serving
    for path in ("/healthz", "/readyz"):
        assert fetch(guarded, path)[0] == 200


@pytest.mark.parametrize(
    "path, method",
    [
        ("/metrics", "GET"),
        ("/nowhere", "GET"),
        ("/v1/avatars", "GET"),
        ("/v1/session-tokens", "POST"),
        ("/v1/speak", "GET"),
        ("/healthz", "DELETE"),
    ],
)
def test_every_http_path_but_health_asks_for_a_token(guarded, path, method):
    for headers in ({}, {"Authorization": f"Bearer {OTHER}"}, {"Authorization": "x"}):
        code, found, body = fetch(guarded, path, method, headers)
        assert code == 401 and found["WWW-Authenticate"] == "Bearer"
        assert json.loads(body)["code"] == "UNAUTHENTICATED"
        assert json.loads(body)["reason"].startswith("TOKEN_")
    assert fetch(guarded, path, method, BEARER)[0] != 401


def ws_code(server, query="", **options):
    try:
        with connect(f"ws://127.0.0.1:{server.http_port}/v1/speak{query}", **options):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def new_session_token(server):
    code, _, body = fetch(server, "/v1/session-tokens", "POST", BEARER)
    answer = json.loads(body)
    assert code == 200 and answer["expiresInSeconds"] == 60
    assert len(bytes.fromhex(answer["token"])) == 32
    return answer["token"]


def test_a_websocket_asks_for_a_header_or_a_session_token_that_is_good_once(guarded):
    assert ws_code(guarded) == 401
    assert ws_code(guarded, additional_headers=BEARER) == 101
    token = new_session_token(guarded)
    assert token != new_session_token(guarded)
    assert ws_code(guarded, f"?token={token}") == 101
    assert ws_code(guarded, f"?token={token}") == 401
    assert ws_code(guarded, f"?token={TOKEN}") == 401
    assert ws_code(guarded, "?other=1", additional_headers=BEARER) == 400
    code = fetch(guarded, f"/metrics?token={new_session_token(guarded)}")[0]
    assert code == 401


def test_tokens_stand_in_no_log_and_no_metric(tmp_path, wire):
    tokens = token_file(tmp_path, TOKEN)
    tokens.chmod(0o644)
    with serving(
        "--set", f"listen.tokens={tokens}", "--log-level", "debug", *UNLIMITED
    ) as server:
        session = new_session_token(server)
        assert ws_code(server, f"?token={session}") == 101
        call_code(server.channel, "/lipcast.v1.Server/GetInfo", OTHER)
        fetch(server, "/metrics", headers={"Authorization": f"Bearer {OTHER}"})
        metrics = fetch(server, "/metrics", headers=BEARER)[2].decode()
        assert 'lipcast_auth_failures_total{reason="wrong"} 2' in metrics
        server.process.terminate()
        _, log = server.process.communicate(timeout=20)
    assert "others may read or write it: want mode 0600" in log
    for secret in (TOKEN, OTHER, session):
        assert secret not in log + metrics


def test_wrong_tokens_shut_an_address_out(tmp_path):
    tokens = token_file(tmp_path, TOKEN)
    with serving(
        "--set", f"listen.tokens={tokens}", "--set", "limits.wrong_tokens_per_minute=5"
    ) as server:
        wrong = {"Authorization": f"Bearer {OTHER}"}
        codes = [fetch(server, "/metrics", headers=wrong)[0] for _ in range(8)]
        assert codes == [401] * 5 + [429] * 3
        code, headers, body = fetch(server, "/metrics", headers=BEARER)
        assert code == 429 and headers["Retry-After"]
        assert json.loads(body)["code"] == "RESOURCE_EXHAUSTED"
        assert json.loads(body)["reason"] == "RATE"
        assert fetch(server, "/healthz")[0] == 200


def test_access_tells_what_would_be_refused_and_is_no_way_round_it(tmp_path):
    tokens = token_file(tmp_path, TOKEN)
    options = ["--set", f"listen.tokens={tokens}"]
    options += ["--set", "limits.wrong_tokens_per_minute=2"]
    with serving(*options) as server:

        def access(headers):
            code, found, body = fetch(server, "/v1/access", headers=headers)
            assert code == 200 and found["Cache-Control"] == "no-store"
            answer = json.loads(body)
            assert answer["granted"] is ("reason" not in answer)
            return answer.get("reason", "granted")

        wrong = {"Authorization": f"Bearer {OTHER}"}
        # Of a page that may not ask, a token is not even looked at: nothing to try them out by.
        for token in (BEARER, wrong, wrong, wrong):
            assert access({**token, "Origin": "https://evil.example"}) == "ORIGIN"
        assert access(BEARER) == "granted"
        assert access({}) == "TOKEN_MISSING"
        assert [access(wrong) for _ in range(3)] == ["TOKEN_WRONG"] * 2 + ["RATE"]
        assert access(BEARER) == "RATE"
        assert fetch(server, "/metrics", headers=BEARER)[0] == 429


def test_an_address_that_opens_too_fast_is_refused(wire):
    with serving("--set", "limits.opens_per_second=1") as server:
        codes = [ws_code(server) for _ in range(10)]
        assert codes[:2] == [101, 101] and 429 in codes
        path = "/lipcast.v1.Speech/Speak"
        codes = [call_code(server.channel, path) for _ in range(10)]
        assert grpc.StatusCode.RESOURCE_EXHAUSTED in codes


@pytest.mark.parametrize(
    "text, says",
    [
        ("", "has no token"),
        ("# nothing\n", "has no token"),
        ("short\n", "line 1: want 16"),
        ("a b c d e f g h i j k l m n\n", "line 1: want 16"),
        (None, "want a file"),
    ],
)
def test_a_token_file_that_is_none_is_one_line(tmp_path, text, says):
    tokens = tmp_path / "tokens"
    if text is not None:
        tokens.write_text(text)
    for check in ([], ["--check-config"]):
        done = lab.lipcast(
            "serve", *check, "--set", f"listen.tokens={tokens}", ok=False
        )
        assert done.code in (2, 3)
        assert done.stderr.startswith("lipcast: listen.tokens: ")
        assert says in done.stderr and done.stderr.count("\n") == 1


# What comes over the wire.


@pytest.mark.parametrize(
    "target",
    [
        "/../etc/passwd",
        "/v1/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/v1/avatars/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/v1/avatars/..%5c..%5cetc",
        "/v1/avatars/%00",
        "/v1/avatars/%c0%ae%c0%ae",
        "/v1/avatars/a%0d%0aSet-Cookie:x",
        "//etc/passwd",
        "/%",
        "/%zz",
        "http://127.0.0.1/healthz",
        "/metrics?x=1",
        "/" + "a" * 5000,
        "/" + "a/" * 100,
    ],
)
def test_tricks_with_the_path_get_4xx(server, target):
    request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = raw_exchange(server, request.encode())
    assert answer.split()[1] in (b"400", b"404")
    body = json.loads(answer.split(b"\r\n\r\n", 1)[1])
    assert body["code"] in ("INVALID_ARGUMENT", "NOT_FOUND")
    assert b"Set-Cookie" not in answer.split(b"\r\n\r\n")[0]


def test_what_is_too_large_is_refused_before_it_is_read(server):
    path = "/v1/session-tokens"
    json_type = {"Content-Type": "application/json"}
    code, _, body = fetch(server, path, "POST", json_type, b" " * (64 << 10))
    assert code == 200
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    )
    large = raw_exchange(server, f"{head}Content-Length: 99999999\r\n\r\n".encode())
    assert b" 413 " in large.split(b"\r\n")[0]
    chunks = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks * 9
    assert b" 413 " in raw_exchange(server, chunked).split(b"\r\n")[0]
    header = b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n"
    assert b" 431 " in raw_exchange(server, header).split(b"\r\n")[0]


def test_only_ones_own_and_listed_pages_may_ask(wire):
    with serving("--set", "listen.origins=https://app.example") as server:
        own = f"http://127.0.0.1:{server.http_port}"
        assert ws_code(server, origin=own) == 101
        assert ws_code(server, origin="https://app.example") == 101
        for origin in ("https://evil.example", "http://app.example", "null"):
            assert ws_code(server, origin=origin) == 403
            headers = {"Origin": origin}
            assert fetch(server, "/v1/session-tokens", "POST", headers)[0] == 403
        rebound = {"Origin": "http://evil.example", "Host": "evil.example"}
        assert fetch(server, "/v1/session-tokens", "POST", rebound)[0] == 403
        for path in ("/healthz", "/v1/avatars", "/v1/renders"):
            code, _, body = fetch(server, path, headers={"Host": "evil.example:8080"})
            assert code == 403, path
            assert json.loads(body)["message"] == (
                "Host: 'evil.example:8080': want a loopback name,"
                " or the host of one of listen.origins"
            )
        for host in ("app.example", "localhost", "[::1]:8080"):
            assert fetch(server, "/v1/avatars", headers={"Host": host})[0] == 200
        code, found, _ = fetch(server, "/healthz", headers={"Origin": own})
        assert code == 200 and "Access-Control-Allow-Origin" not in found
        assert found["X-Content-Type-Options"] == "nosniff"


def test_a_wrong_origin_in_the_configuration_is_refused():
    done = lab.lipcast("serve", "--set", "listen.origins=*", ok=False)
    assert done.code == 2 and "listen.origins = '*'" in done.stderr


# Clients that only cost.


def test_a_thousand_silent_connections_do_not_disturb_a_session(server, wire):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    silent = []
    try:
        for port, count in ((server.http_port, 1000), (server.grpc_port, 200)):
            silent += [
                socket.create_connection(("127.0.0.1", port), timeout=20)
                for _ in range(count)
            ]
        audio, rate = pcm()
        audio = audio[: rate * 2]
        frames = frames_of(
            speak(server, wire, requests_of(wire, audio, rate, 6400, file_pace=True))
        )
        assert b"".join(f.sound for f in frames) == audio
        assert fetch(server, "/healthz")[0] == 200
        # Those that say nothing for 10 s are cut.
        silent[0].settimeout(20)
        assert silent[0].recv(1) == b""
        assert wait_until(lambda: fetch(server, "/healthz")[0] == 200)
    finally:
        for one in silent:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_head_that_trickles_in_is_cut_after_10_seconds(server):
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=30) as link:
        link.sendall(b"GET /healthz HTTP/1.1\r\n")
        try:
            while time.monotonic() - start < 25:
                link.sendall(b"X: y\r\n")
                time.sleep(0.5)
        except OSError:
            pass
    assert 8 < time.monotonic() - start < 20


def test_a_websocket_that_opens_no_session_is_closed(server):
    with connect(f"ws://127.0.0.1:{server.http_port}/v1/speak") as link:
        with pytest.raises(Exception) as closed:
            link.recv(timeout=20)
        assert closed.value.rcvd.code == 1008 and "no open" in closed.value.rcvd.reason


def test_a_reload_that_comes_before_the_server_is_ready_does_not_end_it():
    command = [lab.BINARY, "serve", "--port", "0", "--http-port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=lab.ROOT
    )
    status = Path(f"/proc/{process.pid}/status")
    sighup = 1 << (signal.SIGHUP - 1)

    def caught():
        found = re.search(r"^SigCgt:\s*(\w+)$", status.read_text(), re.MULTILINE)
        return int(found[1], 16) & sighup

    try:
        assert wait_until(caught, 30)
        assert not select.select([process.stdout], [], [], 0)[0], "it is ready already"
        process.send_signal(signal.SIGHUP)
        assert process.stdout.readline().startswith(b"grpc ")
        line = b"-"
        while line and b"config_reloaded" not in line:
            line = process.stderr.readline()
        assert line
    finally:
        process.kill()
        process.communicate()
