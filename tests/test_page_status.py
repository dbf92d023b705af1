"""/status: what an operator sees of the server, and does to it."""

import json
import os
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.served import serving, token_file, wait_until

READY = "document.getElementById('status')?.dataset.state === 'idle'"
TEXT = "document.querySelector('main')?.innerText ?? ''"
SHOTS = os.environ.get("LIPCAST_PAGE_SHOTS")
TOKEN = "0123456789abcdef0123456789abcdef"


def go(page, server):
    page.go(f"http://127.0.0.1:{server.http_port}/status")
    assert page.wait(READY), page.run(TEXT)


def ask(server, path, body=None):
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.http_port}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def row(table, word):
    return f"[...document.querySelectorAll('#{table} tbody tr')].find((one) => one.innerText.includes('{word}'))"


def test_a_session_is_seen_and_ended(page, served):
    go(page, served)
    assert page.run("!document.getElementById('no-sessions').hidden")
    opened = ask(served, "/v1/sessions", {"avatar": "demo", "output": "mjpeg"})
    assert page.wait(f"{row('sessions', 'demo')}?.innerText.includes('http')")
    assert served.metric("sessions") == 1
    page.click("#sessions button")
    assert page.wait("document.getElementById('no-sessions')?.hidden === false"), (
        page.run(TEXT)
    )
    assert wait_until(lambda: served.metric("sessions") == 0)
    assert opened["id"] not in json.dumps(ask(served, "/v1/sessions"))
    assert page.console == []


def test_avatars_are_unloaded_and_loaded(page, served):
    go(page, served)
    state = f"{row('avatars', 'demo')}?.innerText ?? ''"
    assert page.wait(f"({state}).includes('loaded on cpu')")
    page.click("#avatars button[aria-label='Replace demo']")
    assert wait_until(lambda: served.metric("avatar_loads_total") >= 2)
    page.click("#avatars button[aria-label='Unload demo']")
    assert page.wait(f"({state}).includes('on the disk')"), page.run(TEXT)
    page.click("#avatars button[aria-label='Load demo']")
    assert page.wait(f"({state}).includes('loaded on cpu')"), page.run(TEXT)
    assert page.console == []


def test_a_button_that_was_reached_by_key_keeps_the_focus(page, served):
    go(page, served)
    page.run("document.querySelector('#avatars button').focus()")
    page.run("document.querySelector('#avatars tbody tr').dataset.old = 'yes'")
    assert page.wait("!document.querySelector('#avatars tbody tr').dataset.old")
    assert (
        page.run("document.activeElement.getAttribute('aria-label')") == "Replace demo"
    )


def test_stages_refusals_and_warnings_are_shown(page, served):
    with pytest.raises(urllib.error.HTTPError):
        ask(served, "/v1/sessions", {"avatar": "<b>nobody"})
    go(page, served)
    assert page.wait(
        f"({row('stages', 'generator')})?.querySelectorAll('svg.bars rect').length > 5"
    )
    bars = "[...document.querySelectorAll('.bars')].some((one) => one.ariaLabel.includes('%'))"
    assert page.run(bars)
    assert page.run(TEXT).count("Refused: not found") == 1
    assert "<b>nobody" in page.run("document.getElementById('log').innerText")
    lines = ask(served, "/v1/log")["lines"]
    line = next(one for one in lines if one["event"] == "session_refused")
    assert line["level"] == "warning" and line["fields"]["avatar"] == "<b>nobody"


def test_the_page_leads_there_and_it_leads_back(page, served):
    page.go(f"http://127.0.0.1:{served.http_port}/")
    assert page.wait("document.querySelector('#figures a')?.href")
    page.go(page.run("document.querySelector('#figures a').href"))
    assert page.wait(READY)
    assert page.run("document.querySelector('h1 a').href") == (
        f"http://127.0.0.1:{served.http_port}/"
    )


def test_without_its_token_it_shows_nothing(page, tmp_path):
    with serving("--set", f"listen.tokens={token_file(tmp_path, TOKEN)}") as server:
        page.go(f"http://127.0.0.1:{server.http_port}/status")
        assert page.wait("document.getElementById('token-form')?.hidden === false")
        assert "demo" not in page.run(TEXT)
        for token, shown in (("wrong", False), (TOKEN, True)):
            page.run(f"document.getElementById('token').value = '{token}'")
            page.click("#token-form button")
            if shown:
                assert page.wait(READY), page.run(TEXT)
                assert "demo" in page.run(TEXT)
            else:
                assert page.wait(f"({TEXT}).includes('does not take this token')")
        page.click("#avatars button[aria-label='Unload demo']")
        assert page.wait(
            f"({row('avatars', 'demo')})?.innerText.includes('on the disk')"
        )
        # The token was given for this tab: neither page asks again.
        for path in ("/", "/status"):
            page.go(f"http://127.0.0.1:{server.http_port}{path}")
            assert page.wait(READY), path
            assert page.run(
                "document.getElementById('token-form').offsetParent === null"
            )
        assert page.console == []


def test_a_server_that_went_is_said(page):
    with serving() as server:
        go(page, server)
    assert page.wait(
        "document.getElementById('status').textContent === 'The server does not answer'"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width, height", [(360, 760), (1280, 900), (3840, 2160)])
def test_it_fits_every_window(page, served, width, height, scheme):
    page.look(width, height, scheme)
    go(page, served)
    assert page.wait(row("avatars", "demo") + " !== undefined")
    assert (
        page.run(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        == 0
    )
    if SHOTS:
        page.shoot(Path(SHOTS) / f"status-{width}-{scheme}.png")
