"""Case 77: the page below a path of another host, behind nginx with TLS, by the lines of docs/operations.md."""

import contextlib
import re
import shutil
import socket
import subprocess

import pytest

from tests import lab
from tests.browser import Page, chromium
from tests.served import SPEECH, serving, wait_until
from tests.test_page import HINT, NOTICE, READY, SPEAKING

HOST = "app.example"
CONFIG = """
daemon off; master_process off; pid {folder}/pid; error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}; proxy_temp_path {folder};
    fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
    {map}
    server {{
        listen 127.0.0.1:{port} ssl;
        server_name {host};
        ssl_certificate {folder}/pem; ssl_certificate_key {folder}/key;
        {location}
    }}
}}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


@contextlib.contextmanager
def nginx(folder, port, target):
    """nginx with the block and the map that docs/operations.md shows, in front of the server."""
    binary = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if not binary:
        pytest.fail("nginx: not found; tools/setup test installs it")
    page = (lab.ROOT / "docs/operations.md").read_text()
    location = re.search(r"```nginx\n(.*?)```", page, re.DOTALL)[1]
    assert location.count("http://127.0.0.1:8080/") == 1
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += [
        "-subj",
        f"/CN={HOST}",
        "-keyout",
        folder / "key",
        "-out",
        folder / "pem",
    ]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    (folder / "conf").write_text(
        CONFIG.format(
            folder=folder,
            port=port,
            host=HOST,
            map=re.search(r"`(map .*?)`", page)[1],
            location=location.replace(":8080/", f":{target}/"),
        )
    )
    process = subprocess.Popen(
        [binary, "-p", folder, "-e", "stderr", "-c", folder / "conf"],
        stderr=subprocess.PIPE,
        text=True,
    )

    def up():
        assert process.poll() is None, process.stderr.read()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return True

    try:
        assert wait_until(up), "nginx does not listen"
        yield
    finally:
        process.terminate()
        process.communicate(timeout=10)


def test_the_page_speaks_below_a_path_behind_nginx(tmp_path):
    port = free_port()
    origin = f"https://{HOST}:{port}"
    with (
        serving("--set", f"listen.origins={origin}") as server,
        nginx(tmp_path, port, server.http_port),
        chromium(
            tmp_path / "browser",
            f"--host-resolver-rules=MAP {HOST} 127.0.0.1",
            "--ignore-certificate-errors",
        ) as devtools,
    ):
        page = Page(devtools)
        page.go(f"{origin}/avatar")  # nginx adds the slash
        assert page.wait(READY), page.run(NOTICE)
        assert page.run("location.href") == f"{origin}/avatar/"
        assert page.run("avatar.pictures") == "webcodecs"
        assert page.wait("document.querySelector('.card img')?.naturalWidth")
        page.click("h1")
        page.choose("#file", SPEECH)
        assert page.wait(SPEAKING), page.run(HINT)
        assert page.wait("avatar.audible && avatar.figures.bufferMs > 0")
        # An upload and a download through it, too.
        page.call(
            "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path)
        )
        page.click("#film")
        assert page.wait(f"{HINT}.includes('among your downloads')", 60), page.run(HINT)
        below = (f"{origin}/avatar", f"wss://{HOST}:{port}/avatar/", f"blob:{origin}/")
        assert [url for url in page.requests if not url.startswith(below)] == []
        assert page.console == []
        page.close()
