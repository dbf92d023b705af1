"""The page of `lipcast serve` in a real browser. Times are printed (-s) and never decide."""

import contextlib
import subprocess

import pytest

from tests.browser import Page
from tests.served import SPEECH, serving, wait_until

FIGURES = "document.getElementById('avatar').figures"
READY = "document.getElementById('status')?.dataset.state === 'idle' && avatar.figures.shown > 0"
SPEAKING = "document.getElementById('avatar').speaking"
NOTICE = "document.querySelector('#notice:not([hidden])')?.innerText ?? ''"
HINT = "document.getElementById('hint').textContent"
# Looks and presses in one step: between its words the avatar does not speak, and nothing is measured.
STOP = "avatar.speaking && (document.getElementById('stop').click(), true)"


@contextlib.contextmanager
def tab(browser, *, script=""):
    page = Page(browser)
    if script:
        page.call("Page.addScriptToEvaluateOnNewDocument", source=script)
    try:
        yield page
    finally:
        page.close()


@contextlib.contextmanager
def opened(browser, server, *, script="", path="/"):
    """The page, with its avatar alive, and nothing in the console until its end."""
    with tab(browser, script=script) as page:
        page.go(f"http://127.0.0.1:{server.http_port}{path}")
        assert page.wait(READY), page.run(NOTICE)
        yield page
        assert page.console == []


def spoken(page, path=SPEECH):
    page.click("h1")  # before a gesture there is no sound
    page.run("""globalThis.spoke = false, avatar.addEventListener("state",
        ({ detail }) => { globalThis.spoke ||= detail.speaking; }), 0""")
    page.choose("#file", path)
    assert page.wait("spoke", 60), page.run(HINT)  # it may have paused since


def test_the_avatar_is_alive_at_once_and_all_comes_from_the_server(browser, served):
    with opened(browser, served) as page:
        first = page.run(FIGURES)
        assert page.wait(f"{FIGURES}.shown >= {first['shown']} + 20")
        # What is drawn is no blank: a face has many colours.
        colours = page.run("""(() => {
            const { context, canvas } = document.getElementById("avatar").player;
            const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
            const seen = new Set();
            for (let i = 0; i < data.length; i += 4 * 97) seen.add(data[i] >> 3 | data[i + 1] >> 3 << 5);
            return seen.size;
        })()""")
        assert colours > 50
        assert page.run("document.getElementById('avatar').pictures") == "webcodecs"
        assert page.wait("document.querySelector('.card img')?.naturalWidth === 320")
        origin = f"127.0.0.1:{served.http_port}"
        assert page.requests
        strangers = [
            url
            for url in page.requests
            if not url.startswith((f"http://{origin}/", f"ws://{origin}/", "blob:"))
        ]
        assert strangers == []
        headers = page.headers[f"http://{origin}/"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        print(f"\nfirst picture {first['firstPictureMs']:.0f} ms after opening")


def test_a_page_that_is_left_leaves_its_session_and_has_one_again_when_come_back_to(
    browser, served
):
    """A browser keeps a page that is left, socket and all; the server would count its session for 10 s."""
    with opened(browser, served) as page:
        page.go("about:blank")
        none = '"sessions":[]'
        assert wait_until(
            lambda: none
            in served.page("/v1/sessions")[1].replace(" ", "").replace("\n", ""),
            9,
        ), served.page("/v1/sessions")[1]
        page.back()
        assert page.wait(f"globalThis.avatar && {READY}")
        shown = page.run(f"{FIGURES}.shown")
        assert page.wait(f"{FIGURES}.shown > {shown} + 10")


def test_a_file_is_spoken_and_stop_ends_it(browser, served, long_speech):
    with opened(browser, served) as page:
        spoken(page, long_speech)
        assert page.wait("avatar.audible && avatar.figures.bufferMs > 0")
        assert page.run("document.getElementById('status').textContent") == "Speaking"
        speak_ms = page.wait(f"{FIGURES}.speakMs")
        assert speak_ms > 0
        assert page.wait(STOP)
        stop_ms = page.wait(f"{FIGURES}.stopMs")
        assert stop_ms > 0
        assert page.wait(f"!{SPEAKING}")
        assert page.wait("document.getElementById('stop').disabled")
        # It speaks again, and Escape is Stop too.
        spoken(page, long_speech)
        page.press("Escape", 27)
        assert page.wait(f"!{SPEAKING}")
        figures = page.run(FIGURES)
        print(
            f"\nsound to mouth {speak_ms:.0f} ms, Stop to still {stop_ms:.0f} ms, "
            f"picture after sound {figures['skewMs']:.0f} ms, dropped {figures['dropped']}"
        )


def test_a_whole_file_is_heard_to_its_end(browser, served, tmp_path):
    short = tmp_path / "short.wav"
    command = ["ffmpeg", "-v", "error", "-i", str(SPEECH), "-t", "1.2", "-ar", "22050"]
    subprocess.run([*command, "-ac", "2", str(short)], check=True)
    with opened(browser, served) as page:
        page.run(
            "avatar.addEventListener('finished', (event) => { window.end = event.detail; })"
        )
        spoken(page, short)
        end = page.wait("window.end")
        # 1.2 s, at the rate of the session whatever that of the file is.
        assert end["playedSamples"] == pytest.approx(1.2 * 48000, abs=48)
        assert not end.get("interrupted")
        # The same as a film: made by the server, kept by the browser.
        folder = tmp_path / "downloads"
        page.call(
            "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder)
        )
        page.click("#film")
        kept = f"{HINT}.includes('among your downloads')"
        assert page.wait(kept, 60), page.run(HINT)
        assert wait_until((folder / "short.mp4").exists), list(folder.glob("*"))
        assert (folder / "short.mp4").read_bytes()[4:8] == b"ftyp"


def test_typed_text_is_spoken(browser, served):
    with opened(browser, served) as page:
        assert page.wait("!document.getElementById('say-form').hidden")
        page.click("#text")
        page.call("Input.insertText", text="Good morning, and welcome.")
        page.press("Enter", 13)
        assert page.wait(SPEAKING), page.run(HINT)


def test_the_microphone_is_spoken_live(browser, served):
    with opened(browser, served) as page:
        page.click("#microphone")
        assert page.wait(SPEAKING), page.run(HINT)
        assert (
            page.run(
                "document.getElementById('microphone').getAttribute('aria-pressed')"
            )
            == "true"
        )
        page.click("#microphone")
        assert page.wait(
            "document.getElementById('status').dataset.state === 'idle'", 20
        )
        assert page.run("avatar.microphone === null")


def test_a_full_server_says_so_and_lets_the_next_one_in(browser):
    with serving("--max-sessions", "1") as server, tab(browser) as page:
        with opened(browser, server):
            page.go(f"http://127.0.0.1:{server.http_port}/")
            assert page.wait(f"({NOTICE}).includes('The server is full')")
            assert "Trying again" in page.run(NOTICE)
        assert page.wait(READY), page.run(NOTICE)  # the first one has left
