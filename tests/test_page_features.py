"""What the page does beyond speaking: links that speak."""

import json
import os
import shutil
import subprocess
import urllib.request
from urllib.parse import quote

import pytest

from tests import lab
from tests.served import SPEECH, serving, wait_until

READY = "document.getElementById('status')?.dataset.state === 'idle' && avatar.figures.shown > 0"
SPEAKING = "document.getElementById('avatar').speaking"
HINT = "document.getElementById('hint').textContent"
NOTICE = "document.querySelector('#notice:not([hidden])')?.innerText ?? ''"


def go(page, server, query):
    page.go(f"http://127.0.0.1:{server.http_port}/?{query}")
    assert page.wait(READY), page.run(NOTICE)


def test_a_link_says_its_text_once_start_is_pressed(page, served):
    text = "Good morning, <b>and</b> welcome."
    go(page, served, f"avatar=demo&say={quote(text)}")
    assert page.wait(f"({NOTICE}).includes('Ready to speak')")
    assert text in page.run(NOTICE)  # as text, never as markup
    assert not page.run(SPEAKING)
    page.click("#start")
    assert page.wait(SPEAKING), page.run(HINT)
    assert page.run(NOTICE) == ""
    assert page.console == []


def test_a_link_plays_a_sound_of_its_own_server(page, served):
    # A film that the server made is such a sound.
    request = urllib.request.Request(
        f"http://127.0.0.1:{served.http_port}/v1/renders?avatar=demo",
        data=SPEECH.read_bytes(),
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        job = json.load(answer)["id"]
    assert wait_until(
        lambda: json.loads(served.page(f"/v1/renders/{job}")[1])["state"] == "done", 60
    )
    go(page, served, f"audio=v1/renders/{job}/file")
    assert f"v1/renders/{job}/file" in page.run(NOTICE)
    page.click("#start")
    assert page.wait(SPEAKING), page.run(HINT)
    assert page.wait("avatar.audible")
    assert page.console == []


def test_a_sound_that_is_not_there_is_said_in_words(page, served):
    go(page, served, "audio=v1/renders/none/file")
    page.click("#start")
    assert page.wait(f"{HINT}.includes('HTTP 404')"), page.run(HINT)
    assert not page.run(SPEAKING)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("audio=https://example.org/a.wav", "a sound from elsewhere"),
        ("audio=http://[", "a sound from elsewhere"),
        ("say=hello&audio=a.wav", "not both"),
    ],
)
def test_a_link_that_cannot_be_followed_says_why(page, served, query, wanted):
    go(page, served, query)
    assert page.wait(f"{HINT}.includes({wanted!r})"), page.run(HINT)
    assert page.run(NOTICE) == ""  # the page is there all the same
    assert page.console == []


def shell(line, folder):
    """Runs a line that the page showed, as a person who has lipcast on the PATH would."""
    path = f"{lab.BINARY.parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-ec", line],
        cwd=folder,
        env=os.environ | {"PATH": path},
        check=True,
        capture_output=True,
        text=True,
        timeout=90,
    )


def test_the_lines_shown_do_what_was_done_to_a_file(page, served, tmp_path):
    name = "-it's $HOME.wav"  # a shell would take it apart
    shutil.copy(SPEECH, tmp_path / name)
    go(page, served, "avatar=demo")
    page.click("h1")
    page.choose("#file", tmp_path / name)
    assert page.wait(SPEAKING), page.run(HINT)
    lines = "document.getElementById('program-%s').textContent"
    job = json.loads(shell(page.run(lines % "curl"), tmp_path).stdout)
    assert job["avatar"] == "demo"
    shell(page.run(lines % "render"), tmp_path)
    assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"


def test_the_lines_shown_do_what_was_done_with_a_text(page, served, tmp_path):
    go(page, served, "avatar=demo&say=" + quote("It's one."))
    page.click("#start")
    assert page.wait(SPEAKING), page.run(HINT)
    line = "document.getElementById('program-render').textContent"
    assert page.wait(f"{line}.includes('v1/say')")
    shell(page.run(line), tmp_path)
    assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"


def test_serve_prints_a_link_that_speaks(page):
    with serving("--demo-url") as server:
        line = server.process.stdout.readline()  # after that of the avatar
        assert line.startswith(f"demo  http://127.0.0.1:{server.http_port}/?say="), line
        page.go(line.split()[1])
        assert page.wait(READY), page.run(NOTICE)
        page.click("#start")
        assert page.wait(SPEAKING), page.run(HINT)


def test_serve_prints_no_link_that_cannot_speak():
    command = [lab.BINARY, "serve", "--demo-url", "--set", "say.command="]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (5, "")
    assert "--demo-url: say.command: no program that speaks text" in done.stderr
