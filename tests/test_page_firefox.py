"""The page, and the element on another's page, in Firefox. Times are printed (-s) and never decide."""

import contextlib

import pytest

from tests.firefox import FirefoxPage, firefox, null_sink
from tests.served import SPEECH, serving
from tests.test_page import FIGURES, HINT, NOTICE, READY, SPEAKING
from tests.test_page_embed import ALIVE, STATE, WRITTEN, Host

# The loudest sample of 50 ms that the sound's graph plays, or 0.
LOUDEST = """(() => {
  const { player } = avatar;
  globalThis.ear ??= player.volume.connect(new AnalyserNode(player.audio));
  const wave = new Float32Array(globalThis.ear.fftSize);
  globalThis.ear.getFloatTimeDomainData(wave);
  return Math.max(...wave.map(Math.abs));
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("firefox")
    with (
        null_sink(folder / "sound") as sound,
        firefox(folder / "browser", sound) as link,
    ):
        print(f"\nFirefox {link.version}")
        yield link


@contextlib.contextmanager
def at(browser, url, script=""):
    """A page, and nothing in the console until its end."""
    page = FirefoxPage(browser)
    if script:
        page.before_each_load(script)
    try:
        page.go(url)
        yield page
        assert page.console == []
    finally:
        page.close()


def test_it_is_alive_speaks_with_sound_and_stops(browser, served):
    with at(browser, f"http://127.0.0.1:{served.http_port}/") as page:
        assert page.wait(READY), page.run(NOTICE)
        assert page.run("avatar.pictures") == "webcodecs"
        page.click("h1")
        page.choose("#file", SPEECH)
        assert page.wait(SPEAKING), page.run(HINT)
        assert page.wait(f"avatar.audible && {LOUDEST} > 0.05")
        page.click("#stop")
        assert page.wait(f"!{SPEAKING} && document.getElementById('stop').disabled")
        print(page.run(FIGURES))
        page.click("#microphone")
        assert page.wait(SPEAKING), page.run(HINT)
        page.click("#stop")
        assert page.wait(f"!{SPEAKING} && avatar.microphone === null")


@pytest.mark.parametrize(
    ("kind", "without"), [("mse", "VideoDecoder"), ("jpeg", "VideoDecoder MediaSource")]
)
def test_without_webcodecs_a_movie_or_jpeg_is_shown(browser, served, kind, without):
    url = f"http://127.0.0.1:{served.http_port}/"
    script = "".join(f"delete globalThis.{name};" for name in without.split())
    with at(browser, url, script) as page:
        assert page.wait(READY), page.run(NOTICE)
        assert page.run("avatar.pictures") == kind
        page.click("h1")
        page.choose("#file", SPEECH)
        assert page.wait(f"{SPEAKING} && {FIGURES}.shown > 30"), page.run(HINT)


def test_the_element_speaks_on_another_page(browser):
    with Host() as host, serving("--set", f"listen.origins={host.origin}") as server:
        host.changes = {WRITTEN: f"127.0.0.1:{server.http_port}"}
        with at(browser, f"{host.origin}/") as page:
            assert page.wait(ALIVE), page.run(STATE)
            page.click("#say button")
            assert page.wait("avatar.speaking && avatar.audible"), page.run(STATE)
            page.click("#stop")
            assert page.wait("!avatar.speaking")
        host.shutdown()
