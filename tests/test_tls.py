"""TLS, client certificates, and what SIGHUP takes over of them, against the real binary."""

import http.client
import os
import signal
import socket
import ssl
import subprocess
import threading

import grpc
import pytest
from websockets.sync.client import connect

from tests import lab
from tests.served import OTHER, TOKEN, fetch, pcm, requests_of, serving, token_file

# An authority of our own, a server and two clients, one of them nobody's.


def openssl(*arguments, cwd):
    subprocess.run(
        ["openssl", *map(str, arguments)], cwd=cwd, check=True, capture_output=True
    )


def issue(folder, name, authority, *, days="2"):
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.csr", cwd=folder)  # fmt: skip
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem",
            "-CAkey", f"{authority}.key", "-CAcreateserial", "-days", days,
            "-extfile", "names", "-out", f"{name}.pem", cwd=folder)  # fmt: skip


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for name in ("authority", "stranger"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2",
                cwd=folder)  # fmt: skip
    issue(folder, "server", "authority")
    issue(folder, "renewed", "authority")
    issue(folder, "client", "authority")
    issue(folder, "impostor", "stranger")
    issue(folder, "old", "authority", days="-1")
    return folder


def tls_options(keys, name="server", ca=False):
    options = ["--set", f"listen.tls_certificate={keys / name}.pem"]
    options += ["--set", f"listen.tls_key={keys / name}.key"]
    if ca:
        options += ["--set", f"listen.tls_client_ca={keys / 'authority.pem'}"]
    return options


def trusting(keys, client=None):
    context = ssl.create_default_context(cafile=keys / "authority.pem")
    if client:
        context.load_cert_chain(keys / f"{client}.pem", keys / f"{client}.key")
    return context


def secure_channel(server, keys, client=None):
    pem = [None, None]
    if client:
        pem = [(keys / f"{client}.{kind}").read_bytes() for kind in ("key", "pem")]
    credentials = grpc.ssl_channel_credentials(
        (keys / "authority.pem").read_bytes(), *pem
    )
    return grpc.secure_channel(f"127.0.0.1:{server.grpc_port}", credentials)


def info_code(channel, wire):
    messages, services = wire
    try:
        services.ServerStub(channel).GetInfo(messages.GetInfoRequest(), timeout=10)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def serial_of(port, context):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as link:
            return link.getpeercert()["serialNumber"], link.version()


def test_tls_on_both_ports_with_the_same_session(keys, wire):
    with serving(*tls_options(keys)) as server:
        assert "(TLS)" in server.greeting and "https://" in server.greeting
        assert fetch(server, "/healthz", context=trusting(keys))[0] == 200
        assert serial_of(server.http_port, trusting(keys))[1] == "TLSv1.3"
        assert info_code(secure_channel(server, keys), wire) == grpc.StatusCode.OK
        assert info_code(server.channel, wire) == grpc.StatusCode.UNAVAILABLE
        old = trusting(keys)
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        for port in (server.http_port, server.grpc_port):
            with pytest.raises((ssl.SSLError, OSError)):
                serial_of(port, old)
        audio, rate = pcm()
        audio = audio[: rate * 2]
        url = f"wss://127.0.0.1:{server.http_port}/v1/speak"
        sound = b""
        with connect(url, ssl=trusting(keys), max_size=100 << 20) as link:
            for request in requests_of(wire, audio, rate, 8000, file_pace=True):
                link.send(request.SerializeToString())
            for message in link:
                answer = wire[0].SpeakResponse.FromString(message)
                sound += answer.frame.sound
        assert sound == audio
        for junk in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096), b"\x16\x03\x01\x02"):
            for port in (server.http_port, server.grpc_port):
                with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
                    link.sendall(junk)
        assert fetch(server, "/healthz", context=trusting(keys))[0] == 200


def test_a_refused_upload_gets_its_answer_though_it_was_not_read(keys):
    path = "/v1/renders?avatar=demo"
    with serving(*tls_options(keys), "--set", "limits.upload_bytes=65536") as server:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n"
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", server.http_port)) as plain:
                plain.settimeout(20)
                with trusting(keys).wrap_socket(
                    plain, server_hostname="localhost"
                ) as link:
                    link.sendall(head.encode())
                    for _ in range(80):
                        link.sendall(bytes(100_000))
                    assert link.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_client_ca_asks_for_a_certificate_of_it(keys, wire):
    with serving(*tls_options(keys, ca=True)) as server:
        assert fetch(server, "/metrics", context=trusting(keys, "client"))[0] == 200
        ok = info_code(secure_channel(server, keys, "client"), wire)
        assert ok == grpc.StatusCode.OK
        for client in (None, "impostor"):
            with pytest.raises((ssl.SSLError, OSError, http.client.HTTPException)):
                fetch(server, "/healthz", context=trusting(keys, client))
            refused = info_code(secure_channel(server, keys, client), wire)
            assert refused == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    "certificate, key, says",
    [
        ("server.pem", "client.key", "listen.tls_key: {key}: is not the key of"),
        ("nothing.pem", "server.key", "listen.tls_certificate: {certificate}: cannot"),
        ("server.pem", "nothing.key", "listen.tls_key: {key}: cannot be read"),
        ("server.key", "server.key", "want a certificate in PEM form"),
        ("server.pem", "server.pem", "want a private key in PEM form"),
    ],
)
def test_certificates_are_checked_at_the_start(keys, certificate, key, says):
    files = {"certificate": keys / certificate, "key": keys / key}
    options = [x for k, v in files.items() for x in ("--set", f"listen.tls_{k}={v}")]
    done = lab.lipcast("serve", *options, ok=False)
    assert done.code in (2, 3) and done.stderr.count("\n") == 1
    assert says.format(**files) in done.stderr


def test_a_certificate_that_has_expired_is_a_warning(keys):
    done = lab.lipcast("serve", "--check-config", *tls_options(keys, "old"))
    assert (
        f"listen.tls_certificate: {keys / 'old.pem'}: has expired"
        in done.stdout.decode()
    )


def test_beyond_loopback_wants_tls_or_an_explicit_word(keys):
    done = lab.lipcast("serve", "--host", "0.0.0.0", ok=False)
    assert done.code == 2 and "listen.insecure" in done.stderr
    check = ("serve", "--check-config", "--host", "0.0.0.0")
    assert (
        "whoever reaches it" in lab.lipcast(*check, *tls_options(keys)).stdout.decode()
    )
    assert (
        "warning"
        not in lab.lipcast(*check, *tls_options(keys, ca=True)).stdout.decode()
    )
    assert lab.lipcast(*check, "--insecure").code == 0


def reloaded(server, config, text):
    """Writes the file, says SIGHUP and returns the line the server answers with."""
    config.write_text(text)
    server.process.send_signal(signal.SIGHUP)
    while line := server.process.stderr.readline():
        if " config_reloaded" in line or " config_not_reloaded" in line:
            return line
    return ""


def test_sighup_takes_over_tokens_certificates_and_limits(tmp_path, keys, wire):
    tokens = token_file(tmp_path, TOKEN)
    pair = [tmp_path / "tls.pem", tmp_path / "tls.key"]

    def install(name):
        for target in pair:
            target.write_bytes((keys / f"{name}{target.suffix}").read_bytes())

    install("server")
    base = f"listen: {{tls_certificate: {pair[0]}, tls_key: {pair[1]}, tokens: {tokens}}}\n"
    config = tmp_path / "lipcast.yaml"
    config.write_text(base)
    context = trusting(keys)
    with serving("--config", str(config)) as server:

        def code(token):
            headers = {"Authorization": f"Bearer {token}"}
            return fetch(server, "/metrics", headers=headers, context=context)[0]

        first = serial_of(server.http_port, context)
        assert code(TOKEN) == 200 and code(OTHER) == 401

        token_file(tmp_path, OTHER)
        install("renewed")
        limits = base + "limits: {sessions: 1, session_seconds: 8}\n"
        assert " config_reloaded" in reloaded(server, config, limits)
        assert code(TOKEN) == 401 and code(OTHER) == 200
        renewed = serial_of(server.http_port, context)
        assert renewed != first and serial_of(server.grpc_port, context) == renewed
        messages, services = wire
        opening = messages.SpeakRequest(open=messages.OpenSession(avatar="demo"))
        bearer = [("authorization", f"Bearer {OTHER}")]
        stub = services.SpeechStub(secure_channel(server, keys))

        over = threading.Event()

        def forever():
            yield opening
            over.wait(30)

        call = stub.Speak(forever(), metadata=bearer, timeout=60)
        next(call)
        with pytest.raises(grpc.RpcError) as full:
            list(stub.Speak(iter([opening]), metadata=bearer, timeout=60))
        assert full.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.RpcError) as ended:
            list(call)
        over.set()
        assert ended.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED

        for text, says in (
            (base + "limits: {sessions: many}\n", "limits.sessions"),
            (base.replace(str(tokens), "/nowhere"), "listen.tokens: /nowhere"),
        ):
            line = reloaded(server, config, text)
            assert " config_not_reloaded" in line and says in line
        pair[1].write_bytes((keys / "client.key").read_bytes())
        assert "is not the key of" in reloaded(server, config, base)
        assert code(OTHER) == 200
        assert serial_of(server.http_port, context) == renewed
