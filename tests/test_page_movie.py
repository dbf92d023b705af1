"""The page where WebCodecs or AudioWorklet is missing: fragmented MP4 through MediaSource, else JPEG."""

import contextlib

import pytest

from tests.browser import Page, chromium
from tests.served import serving, wait_until
from tests.test_page import FIGURES, HINT, NOTICE, READY, SPEAKING, STOP
from tests.test_page import opened, spoken, tab
from tests.test_page_proxy import free_port

NO_WEBCODECS = "delete globalThis.VideoDecoder;"
NO_MOVIES = "delete globalThis.MediaSource; delete globalThis.ManagedMediaSource;"
LINE = "document.getElementById('figures-line').textContent"
# What the <video> plays, as loud as it is heard: 0 where it is muted.
LOUDNESS = """
globalThis.loudest = 0;
globalThis.listenTo = (video) => {
  const audio = new AudioContext(), analyser = audio.createAnalyser();
  const samples = new Float32Array(analyser.fftSize);
  audio.createMediaElementSource(video).connect(analyser).connect(audio.destination);
  setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    globalThis.now = Math.max(...samples.map(Math.abs));
    globalThis.loudest = Math.max(globalThis.loudest, globalThis.now);
  }, 20);
};"""


def heard(page):
    """The sound of the movie leaves the <video>, and is no silence."""
    page.run("globalThis.loudest = 0")
    return page.wait("globalThis.loudest > 0.05")


def test_without_webcodecs_a_movie_is_played_with_its_sound(
    browser, served, long_speech
):
    with opened(browser, served, script=NO_WEBCODECS + LOUDNESS) as page:
        assert page.run("avatar.pictures") == "mse"
        assert "H.264 by WebCodecs: pictures and sound come as one MP4" in page.run(
            HINT
        )
        assert page.wait(f"{LINE}.endsWith('MP4 (MSE)')"), page.run(LINE)
        assert page.run("avatar.player.video.muted") is True  # nobody has clicked yet
        page.click("h1")
        assert page.wait("avatar.audible")
        page.run("listenTo(avatar.player.video)")
        decoded = page.run("avatar.player.video.webkitAudioDecodedByteCount")
        spoken(page, long_speech)
        assert heard(page)
        assert page.run("avatar.player.video.webkitAudioDecodedByteCount") > decoded
        speak_ms = page.wait(f"{FIGURES}.speakMs")
        assert speak_ms > 0
        page.run("""{ const { player } = avatar, real = player.setSound; globalThis.hushed = false;
          player.setSound = function () { real.call(this); globalThis.hushed ||= this.video.muted; }; }""")
        assert page.wait(STOP)
        assert page.wait("hushed")  # until a still picture has come
        stop_ms = page.wait(f"{FIGURES}.stopMs")
        assert stop_ms > 0
        assert page.wait(f"!{SPEAKING} && !avatar.player.video.muted")
        # It speaks again, and to the end.
        page.run(
            "avatar.addEventListener('finished', (event) => { window.end = event.detail; })"
        )
        spoken(page)
        assert heard(page)
        page.run("avatar.volume = 0.5")
        assert page.run("avatar.player.video.volume") == 0.5
        assert page.wait("window.end && !window.end.interrupted", 30)
        assert page.wait(f"!{SPEAKING}", 30)
        # It is told that the mouth moves also where nobody sees it.
        page.run("document.body.style.paddingTop = '5000px'; scrollTo(0, 0)")
        page.choose("#file", long_speech)
        assert page.wait(SPEAKING), page.run(HINT)
        page.run("avatar.stop()")
        assert page.wait(f"!{SPEAKING}")
        page.run("document.body.style.paddingTop = ''")
        # The microphone has a sound context of its own.
        page.click("#microphone")
        assert page.wait(SPEAKING), page.run(HINT)
        page.click("#microphone")
        assert page.wait("avatar.microphone === null")
        figures = page.run(FIGURES)
        print(
            f"\nfirst picture {figures['firstPictureMs']:.0f} ms, sound to mouth {speak_ms:.0f} ms, "
            f"Stop to still {stop_ms:.0f} ms, waits {figures['bufferMs']:.0f} ms, dry {figures['dry']} times, "
            f"shown {figures['shown']}, dropped {figures['dropped']}"
        )


def test_what_was_shown_does_not_pile_up_and_the_newest_is_near(browser, served):
    with opened(browser, served, path="/?pictures=mse") as page:
        assert "address asks: pictures and sound come as one MP4" in page.run(HINT)
        page.run("""{ const { buffered } = avatar.player.video;
          globalThis.begin = () => buffered.length && avatar.player.video.buffered.start(0); }""")
        assert page.wait("begin() > 0", 60), "what was shown is never dropped"
        # A picture that fell behind catches up with what comes.
        page.run("avatar.player.video.pause()")
        assert page.wait(f"{FIGURES}.bufferMs > 900")
        page.run("avatar.player.video.play()")
        assert page.wait(f"{FIGURES}.bufferMs < 600", 30)


def test_the_last_picture_stays_while_the_server_is_gone(browser):
    with contextlib.ExitStack() as stack:
        with serving("--set", "limits.drain_seconds=0") as server:
            port = server.http_port
            page = stack.enter_context(tab(browser))
            page.go(f"http://127.0.0.1:{port}/?pictures=mse")
            assert page.wait(READY), page.run(NOTICE)
            assert page.wait(f"{FIGURES}.shown > 30")
        assert page.wait(f"({NOTICE}).includes('does not answer')")
        assert page.run("avatar.player.video.readyState") >= 2  # a picture is there
        with serving(http_port=port):
            assert page.wait(READY, 30), page.run(NOTICE)
            page.run(f"globalThis.shown = {FIGURES}.shown")
            assert page.wait(f"{FIGURES}.shown > shown + 20")
            spoken(page)


def test_a_browser_that_plays_no_movie_after_all_gets_jpeg(browser, served):
    broken = "SourceBuffer.prototype.appendBuffer = () => { throw new Error('no'); };"
    with opened(browser, served, script=NO_WEBCODECS + broken) as page:
        assert page.run("avatar.pictures") == "jpeg"
        assert "does not play the live MP4: pictures come as JPEG" in page.run(HINT)


def test_without_both_pictures_come_as_jpeg_with_their_sound(browser, served):
    with opened(browser, served, script=NO_WEBCODECS + NO_MOVIES) as page:
        assert page.run("avatar.pictures") == "jpeg"
        assert "pictures come as JPEG: more data" in page.run(HINT)
        spoken(page)
        assert page.wait("avatar.audible")
        assert page.wait(f"{FIGURES}.shown > 30")
        assert page.wait(f"{LINE}.endsWith('JPEG')"), page.run(LINE)


@pytest.mark.parametrize("kind", ["webcodecs", "jpeg", "hologram"])
def test_the_address_may_ask_for_a_kind(browser, served, kind):
    with opened(browser, served, path=f"/?pictures={kind}") as page:
        here = "webcodecs" if kind == "hologram" else kind
        assert page.run("avatar.pictures") == here
        unknown = "“hologram” is none of webcodecs, mse, jpeg"
        assert (unknown in page.run(HINT)) is (kind == "hologram")
        if kind == "jpeg":
            page.run("avatar.setAttribute('pictures', 'webcodecs')")
            assert page.wait("avatar.pictures === 'webcodecs'")
            assert page.wait(f"{FIGURES}.shown > 5")


def test_plain_http_has_picture_and_sound(tmp_path):
    """As on a phone: a name of the network, no TLS."""
    host, port = "lipcast.test", free_port()
    with (
        serving(
            "--set", f"listen.origins=http://{host}:{port}", http_port=port
        ) as server,
        chromium(
            tmp_path / "browser", f"--host-resolver-rules=MAP {host} 127.0.0.1"
        ) as devtools,
    ):
        page = Page(devtools)
        page.call("Page.addScriptToEvaluateOnNewDocument", source=LOUDNESS)
        page.go(f"http://{host}:{server.http_port}/")
        assert page.wait(READY), page.run(NOTICE)
        assert page.run("isSecureContext") is False
        assert page.run("avatar.pictures") == "mse"
        assert "neither WebCodecs nor AudioWorklet" in page.run(HINT)
        assert "pictures and sound come as one MP4" in page.run(HINT)
        page.click("h1")
        assert page.wait("avatar.audible")
        page.run("listenTo(avatar.player.video)")
        spoken(page)
        assert heard(page)
        shown = page.run(f"{FIGURES}.shown")
        assert page.wait(f"{FIGURES}.shown > {shown} + 20")
        page.click("#stop")
        assert page.wait(f"!{SPEAKING}")
        page.click("#microphone")
        assert page.wait(f"{HINT}.includes('microphone only to pages on https')")
        assert wait_until(lambda: page.console == [])
        page.close()
