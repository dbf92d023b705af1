"""Record on the page: what was shown, as an MP4 that the browser keeps."""

import contextlib
import json
import re
import subprocess

import pytest

from tests.served import SPEECH, TOKEN, serving, token_file, wait_until
from tests.test_page import HINT, NOTICE, READY, SPEAKING, opened, tab
from tests.test_recordings import packets

LABEL = "document.querySelector('#record span').textContent"
SAID = "document.querySelector('#recorded:not([hidden]) #recorded-text')?.textContent ?? ''"
LINK = "!document.getElementById('recorded-file').hidden"
# Pictures that come from here on; a repeated one is not in the film.
COUNT = """globalThis.sent = 0, avatar.session.addEventListener("frame",
    ({ detail }) => { globalThis.sent += detail.repeated ? 0 : 1; }), 0"""
HREF = "document.getElementById('recorded-file').href"


def runs(seconds):
    """True once the button says that so much is recorded."""
    return f"Number({LABEL}.match(/^Stop recording 0:(\\d\\d)$/)?.[1]) >= {seconds}"


def sent(page):
    """How many pictures have come since COUNT, at least one."""
    assert page.wait("sent > 0")
    return page.run("sent")


@pytest.fixture
def downloads(tmp_path):
    return tmp_path / "downloads"


def keeps(page, folder):
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))


def downloaded(page, folder):
    """The film, once the link is pressed."""
    page.click("#recorded-file")
    whole = lambda: [one for one in folder.glob("*") if one.suffix == ".mp4"]  # noqa: E731
    assert wait_until(whole), list(folder.glob("*"))
    (film,) = whole()
    return film


def facts(path):
    command = [
        "ffprobe",
        "-v",
        "error",
        "-show_streams",
        "-show_format",
        "-of",
        "json",
        path,
    ]
    out = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    video, sound = sorted(
        out["streams"], key=lambda one: one["codec_type"], reverse=True
    )
    return video, sound, float(out["format"]["duration"])


@pytest.mark.parametrize("kind", ["webcodecs", "mse", "jpeg"])
def test_what_is_shown_is_recorded_and_downloaded(browser, served, downloads, kind):
    with opened(browser, served, path=f"/?pictures={kind}") as page:
        assert page.run("avatar.pictures") == kind
        keeps(page, downloads)
        assert page.run(LABEL) == "Record"
        page.click("#record")
        assert page.wait(f"{LABEL}.startsWith('Stop recording 0:0')"), page.run(LABEL)
        assert page.run("document.getElementById('record').ariaPressed") == "true"
        page.choose("#file", SPEECH)
        assert page.wait(SPEAKING), page.run(HINT)
        assert page.wait(runs(1)), page.run(LABEL)
        page.run(COUNT)
        assert page.wait(runs(3)), page.run(LABEL)
        pictures = sent(page)
        page.click("#record")
        assert page.wait(LINK), page.run(SAID)
        said = page.run(SAID)
        assert re.match(r"Recorded \d+:\d\d, .* MB\.", said), said
        assert "by itself" not in said
        assert page.run(LABEL) == "Record"
        film = downloaded(page, downloads)
        video, sound, seconds = facts(film)
        assert (video["codec_name"], video["width"], video["height"]) == (
            "h264",
            1280,
            720,
        )
        assert video["r_frame_rate"] == "25/1" and video["pix_fmt"] == "yuv420p"
        assert (sound["codec_name"], sound["sample_rate"]) == ("aac", "48000")
        assert seconds >= 3
        assert float(sound["duration"]) == pytest.approx(
            float(video["duration"]), abs=0.04
        )
        assert len(packets(film)) >= pictures
        loud = subprocess.run(
            ["ffmpeg", "-i", film, "-af", "volumedetect", "-f", "null", "-"],
            check=True,
            capture_output=True,
            text=True,
        ).stderr
        assert float(loud.split("max_volume: ")[1].split(" dB")[0]) > -20, "it speaks"
        assert film.read_bytes().index(b"moov") < film.read_bytes().index(b"mdat")


def test_the_keyboard_records_and_a_second_film_follows_the_first(browser, served):
    with opened(browser, served) as page:
        links = []
        page.run("document.getElementById('record').focus()")
        for _ in range(2):  # which the button keeps
            page.press("Enter", 13)
            assert page.wait(runs(1)), page.run(LABEL)
            page.press("Enter", 13)
            assert page.wait(f"{LINK} && {LABEL} === 'Record'"), page.run(SAID)
            links.append(page.run(HREF))
        assert links[0] != links[1]


def test_limits_refusals_and_a_lost_session_are_said(browser, served, downloads):
    options = ["--set", "recordings.max_seconds=2"]
    with serving(*options) as server, opened(browser, server) as page:
        page.click("#record")
        assert page.wait(f"{SAID}.includes('It ended by itself')"), page.run(SAID)
        assert "2 s long" in page.run(SAID) and page.run(LINK)
    with opened(browser, served) as page:
        page.click("#record")
        assert page.wait(runs(1)), page.run(LABEL)
        page.run(COUNT)
        pictures = sent(page)
        page.run("avatar.session.socket.close()")  # the session is lost
        assert page.wait(f"{SAID}.includes('It ended by itself: the session')")
        keeps(page, downloads)
        assert len(packets(downloaded(page, downloads))) >= pictures
        assert page.wait(f"{READY} && !document.getElementById('record').disabled")
    with serving("--set", "recordings.running=0") as server:
        with tab(browser) as page:
            page.go(f"http://127.0.0.1:{server.http_port}/")
            assert page.wait(READY), page.run(NOTICE)
            page.click("#record")
            assert page.wait(f"{SAID}.includes('records no sessions')"), page.run(SAID)
            assert page.run("document.getElementById('recorded').dataset.alarm === ''")
            assert page.run(LABEL) == "Record"


def test_with_tokens_the_download_has_one_of_its_own(browser, downloads, tmp_path):
    with contextlib.ExitStack() as stack:
        tokens = token_file(tmp_path, TOKEN)
        server = stack.enter_context(serving("--set", f"listen.tokens={tokens}"))
        page = stack.enter_context(tab(browser))
        page.go(f"http://127.0.0.1:{server.http_port}/")
        assert page.wait(f"({NOTICE}).includes('A token is needed')")
        page.call("Input.insertText", text=TOKEN)
        page.press("Enter", 13)
        assert page.wait(READY), page.run(NOTICE)
        keeps(page, downloads)
        page.click("#record")
        assert page.wait(runs(1)), page.run(LABEL)
        page.run(COUNT)
        pictures = sent(page)
        page.click("#record")
        assert page.wait(LINK), page.run(SAID)
        assert len(packets(downloaded(page, downloads))) >= pictures
        assert TOKEN not in page.run(HREF) and "?" not in page.run(HREF)
