"""What the page does beyond speaking: links that speak."""

import json
import urllib.request
from urllib.parse import quote

import pytest

from tests.browser import Page, chromium
from tests.served import SPEECH, serving, wait_until

READY = "document.getElementById('status')?.dataset.state === 'idle' && avatar.figures.shown > 0"
SPEAKING = "document.getElementById('avatar').speaking"
HINT = "document.getElementById('hint').textContent"
NOTICE = "document.querySelector('#notice:not([hidden])')?.innerText ?? ''"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("browser")) as port:
        yield port


@pytest.fixture(scope="module")
def served():
    with serving() as server:
        yield server


@pytest.fixture
def page(browser):
    tab = Page(browser)
    yield tab
    tab.close()


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
