"""<lipcast-avatar> on somebody else's page: examples/embed, served by another HTTP server on another port."""

import contextlib
import http.server
import threading

import pytest

from tests import lab
from tests.browser import Page
from tests.served import OTHER, SPEECH, TOKEN, serving, token_file, wait_until

EXAMPLE = lab.ROOT / "examples/embed"
WRITTEN = "127.0.0.1:8080"  # where the example looks for its server
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css",
    ".js": "text/javascript",
}
STATE = "(document.getElementById('state')?.textContent ?? '')"
ALIVE = "document.getElementById('avatar')?.figures?.shown > 5"
ELEMENT = '<lipcast-avatar id="avatar" server="http://127.0.0.1:8080/" avatar="demo"></lipcast-avatar>'


class Host(http.server.ThreadingHTTPServer):
    """The other server. It shows the example as it stands, but for the address of the lipcast server and what
    `changes` puts in the place of what."""

    daemon_threads = True

    def __init__(self):
        self.changes = {}
        super().__init__(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.lstrip("/") or "index.html"
        text = (EXAMPLE / name).read_text()
        for old, new in self.server.changes.items():
            assert name != "index.html" or old in text
            text = text.replace(old, new)
        self.send_response(200)
        self.send_header("Content-Type", TYPES[name[name.rindex(".") :]])
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def host():
    with Host() as one:
        yield one
        one.shutdown()


@pytest.fixture(scope="module", name="served")
def listed_server(host):
    with serving("--set", f"listen.origins={host.origin}") as one:
        yield one


@pytest.fixture(scope="module")
def guarded(host, tmp_path_factory):
    tokens = token_file(tmp_path_factory.mktemp("tokens"), TOKEN)
    options = [
        "--set",
        f"listen.origins={host.origin}",
        "--set",
        f"listen.tokens={tokens}",
    ]
    with serving(*options) as one:
        yield one


@contextlib.contextmanager
def at(browser, host, server, changes=None):
    """The example, and at its end nothing in the console."""
    host.changes = {**(changes or {}), WRITTEN: f"127.0.0.1:{server.http_port}"}
    page = Page(browser)
    try:
        page.go(f"{host.origin}/")
        yield page
        assert page.console == []
    finally:
        page.close()


def says(page, text):
    return page.wait(f"{STATE}.includes({text!r})")


def test_it_speaks_text_a_file_and_a_stream_and_stops(browser, host, served):
    with at(browser, host, served) as page:
        assert page.wait(ALIVE), page.run(STATE)
        assert says(page, "Ready")
        assert page.run("getComputedStyle(avatar.surface).visibility") == "visible"
        page.run("""{
            globalThis.told = [];
            for (const name of ["state", "started", "finished", "cleared", "audible"]) {
              avatar.addEventListener(name, ({ detail }) => told.push([name, detail]));
            }
        }""")
        page.click("#say button")
        assert page.wait(
            "told.some(([name, detail]) => name === 'state' && detail.speaking)"
        )
        assert says(page, "Done"), page.run(STATE)
        page.choose("#file", SPEECH)
        assert page.wait(
            "avatar.speaking && avatar.audible && avatar.figures.bufferMs > 0"
        )
        page.click("#stop")
        assert says(page, "Stopped")
        assert page.wait("!avatar.speaking")
        page.click("#microphone")
        count = "told.filter(([name]) => name === {!r}).length === 3".format
        speaks = f"{count('started')} && avatar.speaking && avatar.microphone"
        assert page.wait(speaks), page.run(STATE)
        page.click("#stop")
        assert page.wait("!avatar.speaking && avatar.microphone === null")
        assert page.wait(count("finished")), page.run("told")
        names = [name for name, _ in page.run("told")]
        assert names.count("started") == 3
        assert {"state", "cleared", "audible"} <= set(names)
        # What else its page may ask.
        for path in ("v1/info", "v1/avatars", "v1/say"):
            answer = f"fetch(new URL('{path}', avatar.base)).then((one) => one.json())"
            assert isinstance(page.run(answer), dict)
        # From these two servers and from nowhere else.
        ours = f"127.0.0.1:{served.http_port}/"
        good = (f"{host.origin}/", f"http://{ours}", f"ws://{ours}", "data:")
        assert [url for url in page.requests if not url.startswith(good)] == []


def test_it_may_leave_the_page_and_come_back(browser, host, served, long_speech):
    with at(browser, host, served) as page:
        assert page.wait(ALIVE), page.run(STATE)
        page.click("#microphone")
        assert page.wait("avatar.speaking"), page.run(STATE)
        page.run("globalThis.kept = avatar, kept.remove()")
        assert page.wait(
            "kept.session === null && kept.player === null && kept.microphone === null"
        )
        page.run("document.querySelector('h1').after(kept), 0")
        assert page.wait("avatar.figures.shown > 5 && !avatar.speaking")
        # All of it works again: the first sound and its clock were those of before.
        page.click("#microphone")
        assert page.wait("avatar.speaking && avatar.audible"), page.run(STATE)
        page.choose("#file", long_speech)
        assert page.wait("avatar.microphone === null && avatar.speaking"), page.run(
            STATE
        )


def test_two_of_them_speak_by_themselves(browser, host, tiny, long_speech):
    """Of an avatar that costs next to nothing: a busy machine has headroom for both."""
    one = ELEMENT.replace('"demo"', '"tiny"')
    changes = {ELEMENT: one + one.replace('"avatar"', '"second"')}
    options = [
        "--set",
        f"avatars.roots={tiny.parent}",
        "--set",
        f"listen.origins={host.origin}",
    ]
    with (
        serving(*options, preload="tiny") as server,
        at(browser, host, server, changes) as page,
    ):
        shown = "document.getElementById('second').figures.shown > 5"
        assert page.wait(f"{ALIVE} && {shown}"), page.run(STATE)
        page.click("h1")  # before a gesture there is no sound
        page.choose("#file", long_speech)
        assert page.wait("avatar.speaking"), page.run(STATE)
        assert not page.run("second.speaking")
        page.run("second.speak(document.getElementById('file').files[0])")
        assert page.wait(
            "second.speaking && avatar.speaking && second.audible && avatar.audible"
        )
        page.click("#stop")
        assert page.wait("!avatar.speaking")
        assert page.wait("second.speaking")  # between its pauses


def test_a_page_that_is_not_listed_hears_so(browser, host):
    with serving() as server, at(browser, host, server) as page:
        said = "The server lets no page of this address in"
        assert says(page, said), page.run(STATE)
        assert f"name {host.origin} in listen.origins" in page.run(STATE)
        assert not page.run("avatar.session.open")
        # Its own background is seen, and no black canvas.
        assert page.run("getComputedStyle(avatar.surface).visibility") == "hidden"


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("", "A token is needed"),
        (OTHER, "The server does not take this token"),
        (TOKEN, "Ready"),
    ],
)
def test_with_a_token(browser, host, guarded, token, said):
    attribute = f'avatar="demo" token="{token}"' if token else 'avatar="demo"'
    with at(browser, host, guarded, {'avatar="demo"': attribute}) as page:
        assert says(page, said), page.run(STATE)
        if token == TOKEN:
            assert page.wait(ALIVE)
            page.click("#say button")
            assert page.wait(f"/Speaking|Done/.test({STATE})"), page.run(STATE)
            with_it = f"{{ headers: {{ Authorization: 'Bearer {token}' }} }}"
            info = f"fetch(new URL('v1/info', avatar.base), {with_it})"
            assert page.run(f"{info}.then((one) => one.json())")["version"]


@pytest.mark.parametrize(
    ("allowed", "less", "directive"),
    [
        ("script-src 'self' http://127.0.0.1:8080", "script-src 'self'", "script-src"),
        ("connect-src http://127.0.0.1:8080 ws:", "connect-src ws:", "connect-src"),
        (" ws://127.0.0.1:8080", "", "connect-src"),
    ],
)
def test_its_page_must_allow_each_of_these(
    browser, host, served, allowed, less, directive
):
    """What the example's own policy allows is the least that works; docs/page.md has the same list."""
    host.changes = {allowed: less, WRITTEN: f"127.0.0.1:{served.http_port}"}
    told = "document.readyState === 'complete' && !globalThis.avatar?.session?.open"
    with contextlib.closing(Page(browser)) as page:
        page.go(f"{host.origin}/")
        assert wait_until(
            lambda: (
                page.run(told) and any(directive in str(one) for one in page.console)
            )
        )
