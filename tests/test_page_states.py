"""Every state of the page: what it says, how it looks, and whether everybody can use it.

Pictures of all states are left in build/page-shots (LIPCAST_PAGE_SHOTS: elsewhere), to be looked at.
"""

import contextlib
import importlib.resources
import json
import os
import shutil
from pathlib import Path

import pytest

from tests import lab
from tests.browser import Page
from tests.served import SPEECH, TOKEN, serving, token_file
from tests.test_page import HINT, NOTICE, READY, SPEAKING

AXE = (importlib.resources.files("axe_core_python") / "axe.min.js").read_text()
# What WCAG 2.1 AA asks for, and what is agreed to be good beside it.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
SHOTS = Path(os.environ.get("LIPCAST_PAGE_SHOTS", lab.ROOT / "build/page-shots"))
SHOT_SIZES = {"phone": (360, 740), "desktop": (1280, 860)}
WIDTHS = [320, 360, 412, 560, 561, 768, 1099, 1100, 1280, 1920, 2199, 2200, 2560, 3840]

PLOTTED = """[...document.querySelectorAll(".plot canvas")].every(
    ({ width, clientWidth }) => width === Math.round(clientWidth * devicePixelRatio))"""

# What lies beside the window, over something else, or is cut off.
LAYOUT = """(() => {
  const faults = [];
  const shown = (one) => one.checkVisibility({ checkVisibilityCSS: true }) && !one.closest(".unseen");
  const name = (one) => one.id || `${one.tagName} "${one.textContent.trim().slice(0, 30)}"`;
  const width = document.documentElement.clientWidth;
  if (document.scrollingElement.scrollWidth > width) faults.push("it scrolls sideways");
  const leaves = [...document.querySelectorAll(
    "h1, h2, p, button, .button, input, summary, label, figcaption, dt, dd, pre, strong, small, img, canvas, lipcast-avatar"
  )].filter(shown);
  const boxes = leaves.map((one) => one.getBoundingClientRect());
  leaves.forEach((one, i) => {
    const a = boxes[i];
    if (a.left < -1 || a.right > width + 1) faults.push(`${name(one)} is beside the window`);
    if (one.scrollWidth > one.clientWidth + 1 && one.clientWidth && !one.matches("pre, input, lipcast-avatar")) {
      faults.push(`${name(one)} is cut off: ${one.scrollWidth} in ${one.clientWidth}`);
    }
    leaves.forEach((two, j) => {
      if (j <= i || one.contains(two) || two.contains(one)) return;
      if (one.closest("#notice, #drop-hint") || two.closest("#notice, #drop-hint")) {
        if (!(one.closest("#notice") && two.closest("#notice"))) return; // a notice lies over the picture
      }
      const b = boxes[j];
      const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (x > 1 && y > 1) faults.push(`${name(one)} lies over ${name(two)}`);
    });
  });
  const notice = document.getElementById("notice");
  if (shown(notice) && notice.scrollHeight > notice.clientHeight + 1) faults.push("the notice is cut off");
  return faults;
})()"""


@pytest.fixture(scope="module", autouse=True)
def shots():
    shutil.rmtree(SHOTS, ignore_errors=True)
    SHOTS.mkdir(parents=True)


@contextlib.contextmanager
def at(browser, server, *, path="/", script=""):
    page = Page(browser)
    if script:
        page.call("Page.addScriptToEvaluateOnNewDocument", source=script)
    page.go(f"http://127.0.0.1:{server.http_port}{path}")
    try:
        yield page
    finally:
        page.close()


def findings(page):
    """What axe-core finds in the page as it looks now, contrast included: rule, help, places."""
    if not page.run("'axe' in globalThis"):
        page.run(AXE + "; 0")
    options = {"runOnly": RULES, "resultTypes": ["violations"]}
    return page.run(
        f"axe.run(document, {json.dumps(options)}).then(({{ violations }}) => violations.map("
        "({ id, help, nodes }) => [id, help, nodes.map(({ html, failureSummary }) => [html, failureSummary])]))"
    )


def accessible(page, name):
    found = findings(page)
    assert found == [], (name, found)


def fits(page, name):
    assert page.run(LAYOUT) == [], name


def examine(page, name):
    """The state as it is now: pictures of it, its layout and its contrast, light and dark."""
    for scheme in ("light", "dark"):
        for size, (width, height) in SHOT_SIZES.items():
            page.look(width, height, scheme)
            fits(page, (name, size, scheme))
            page.shoot(SHOTS / f"{name}-{size}-{scheme}.png")
        accessible(page, (name, scheme))


def quiet(page):
    """Nothing in the console, but what a browser itself writes there of a request that reached nobody."""
    loud = [one for one in page.console if not network_note(one)]
    assert loud == []


def network_note(entry):
    return isinstance(entry, dict) and entry.get("source") == "network"


def test_these_rulers_find_what_is_wrong(browser, served):
    faults = {
        "#stop": "position: relative; left: -60px",  # over its neighbour
        "#volume-label": "position: relative; left: 5000px",
        "#microphone": "width: 30px",
        "#hint": "color: #d0d0d0",  # on nearly white
    }
    with at(browser, served) as page:
        assert page.wait(READY), page.run(NOTICE)
        page.look(1280, 860, "light")
        fits(page, "before")
        accessible(page, "before")
        for one, style in faults.items():
            page.run(f"document.querySelector('{one}').style = '{style}'")
        page.run("document.getElementById('stop').replaceChildren()")
        found = " ".join(page.run(LAYOUT))
        for wrong in ("scrolls", "lies over stop", "volume-label is beside", "is cut"):
            assert wrong in found
        assert {"button-name", "color-contrast"} <= {
            rule for rule, *_ in findings(page)
        }


def test_ready_and_its_figures_from_a_phone_to_4k(browser, served):
    with at(browser, served) as page:
        assert page.wait(READY), page.run(NOTICE)
        assert page.wait("document.querySelector('.card img')?.naturalWidth")
        assert page.wait("!document.getElementById('say-form').hidden")
        examine(page, "ready")
        page.run(
            "for (const one of document.querySelectorAll('details')) one.open = true"
        )
        assert page.wait("document.querySelectorAll('#facts dt').length > 5")
        for scheme in ("light", "dark"):
            for width in WIDTHS:
                page.look(width, 2160 if width > 2000 else 860, scheme)
                fits(page, (width, scheme))
                if width in (360, 1280, 3840):
                    assert page.wait(PLOTTED), width
                    page.shoot(SHOTS / f"figures-{width}-{scheme}.png")
            accessible(page, ("figures", scheme))
        assert page.console == []


def test_the_operators_view_is_accessible(browser, served):
    """Its layout: test_page_status; tables wider than a phone scroll in their own frame."""
    with at(browser, served, path="/status") as page:
        assert page.wait("document.querySelector('#avatars tbody tr') !== null")
        for scheme in ("light", "dark"):
            page.look(1280, 860, scheme)
            accessible(page, ("status", scheme))
        assert page.console == []


def test_speaking_and_listening(browser, served):
    with at(browser, served) as page:
        assert page.wait(READY), page.run(NOTICE)
        page.click("h1")
        page.choose("#file", SPEECH)
        assert page.wait(SPEAKING), page.run(HINT)
        # How large an upload may be is said before there is one.
        assert page.wait(f"{HINT}.includes('of at most 537 MB')"), page.run(HINT)
        examine(page, "speaking")
        page.click("#microphone")
        assert page.wait(f"{SPEAKING} && avatar.microphone !== null"), page.run(HINT)
        examine(page, "listening")
        assert page.console == []


def test_recording_and_what_came_of_it(browser, served):
    label = "document.querySelector('#record span').textContent"
    link = "!document.getElementById('recorded-file').hidden"
    with at(browser, served) as page:
        assert page.wait(READY), page.run(NOTICE)
        page.click("#record")
        assert page.wait(f"/^Stop recording 0:0[1-9]$/.test({label})"), page.run(label)
        examine(page, "recording")
        page.click("#record")
        assert page.wait(link)
        examine(page, "recorded")
        page.run("""(() => { const real = fetch; globalThis.fetch = (url, options) => /recordings/.test(url)
            ? Promise.reject(new Error("the network is down")) : real(url, options); })()""")
        page.click("#record")
        said = "document.getElementById('recorded-text').textContent"
        assert page.wait(f"{said} === 'The recording failed: the network is down.'"), (
            page.run(said)
        )
        assert page.run(f"{label} === 'Record' && !({link})")
        examine(page, "recording-failed")
        assert page.console == []


def test_a_sound_that_cannot_be_played(browser, served, tmp_path):
    broken = tmp_path / "my holiday recording with a rather long name.wav"
    broken.write_bytes(b"RIFF no sound at all")
    with at(browser, served) as page:
        assert page.wait(READY), page.run(NOTICE)
        page.click("h1")
        page.choose("#file", broken)
        assert page.wait(f"{HINT}.includes('cannot be played')"), page.run(HINT)
        assert "WAV, MP3" in page.run(HINT)  # the way on
        examine(page, "broken-sound")
        assert page.console == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("NotFoundError", "A sound file works as well"),
        ("NotAllowedError", "The icon beside the address changes that"),
        ("NotReadableError", "Does another program use it?"),
    ],
)
def test_no_microphone(browser, served, error, said):
    script = f"""navigator.mediaDevices.getUserMedia =
        () => Promise.reject(new DOMException("", "{error}"));"""
    with at(browser, served, script=script) as page:
        assert page.wait(READY), page.run(NOTICE)
        page.click("#microphone")
        assert page.wait(f"{HINT}.includes('{said}')"), page.run(HINT)
        if error == "NotFoundError":
            examine(page, "no-microphone")
        assert page.console == []


@pytest.mark.parametrize("without", ["webcodecs", "webcodecs-and-mse"])
def test_no_webcodecs(browser, served, without):
    script = "delete globalThis.VideoDecoder;"
    if without != "webcodecs":
        script += "delete globalThis.MediaSource;"
    with at(browser, served, script=script) as page:
        assert page.wait(READY), page.run(NOTICE)
        says = "come as one MP4" if without == "webcodecs" else "come as JPEG"
        assert says in page.run(HINT)
        examine(page, f"no-{without}")
        assert page.console == []


def test_no_program_for_text_an_upload_too_large_and_a_full_server(browser, tmp_path):
    small = ["--set", "limits.upload_bytes=65536", "--set", "say.command="]
    small += ["--set", "limits.drain_seconds=0"]
    with serving("--max-sessions", "1", *small) as server:
        with at(browser, server) as page:
            assert page.wait(READY), page.run(NOTICE)
            say_off = "document.querySelector('#say-off:not([hidden])')?.textContent"
            assert page.wait(say_off)
            assert "install espeak-ng" in page.run(say_off)
            assert page.run("document.getElementById('say-form').hidden")
            page.click("h1")
            page.choose("#file", SPEECH)
            assert page.wait(f"{HINT}.includes('the server takes 0.1 MB')")
            assert page.run("document.getElementById('film').disabled")
            examine(page, "no-text-no-film")
            with at(browser, server) as second:
                assert second.wait(f"({NOTICE}).includes('The server is full')")
                assert "Trying again" in second.run(NOTICE)
                examine(second, "full")
                assert second.console == []
            assert page.console == []


def test_a_token_is_asked_for_refused_and_taken_and_the_server_leaves(
    browser, tmp_path
):
    options = ["--set", f"listen.tokens={token_file(tmp_path, TOKEN)}"]
    options += ["--set", "limits.drain_seconds=0"]

    def connect(token):
        page.run("document.getElementById('token').select()")
        page.call("Input.insertText", text=token)
        page.press("Enter", 13)

    with contextlib.ExitStack() as opened:
        with serving(*options) as server:
            port = server.http_port
            page = opened.enter_context(at(browser, server))
            assert page.wait(f"({NOTICE}).includes('A token is needed')")
            assert page.run("document.activeElement.id") == "token"
            examine(page, "token")
            connect("wrong")
            refused = "The server does not take this token"
            assert page.wait(f"({NOTICE}).includes('{refused}')"), page.run(NOTICE)
            examine(page, "token-refused")
            connect(TOKEN)
            assert page.wait(READY), page.run(NOTICE)
            assert page.wait("document.querySelector('.card img')?.naturalWidth")
            assert page.console == []
        assert page.wait(f"({NOTICE}).includes('does not answer')")
        assert "Trying again by itself" in page.run(NOTICE)
        examine(page, "gone")
        with serving(*options, http_port=port):
            assert page.wait(READY, 20), page.run(NOTICE)
            assert page.run(NOTICE) == ""
        quiet(page)


def test_no_avatar(browser, tmp_path):
    with serving("--set", f"avatars.roots={tmp_path}", preload=None) as server:
        with at(browser, server) as page:
            assert page.wait(f"({NOTICE}).includes('There is no avatar yet')")
            examine(page, "no-avatar")
            assert page.console == []


def test_the_keyboard_reaches_everything_in_the_order_it_is_seen(browser, served):
    with at(browser, served) as page:
        assert page.wait(READY), page.run(NOTICE)
        assert page.wait("!document.getElementById('say-form').hidden")
        assert page.wait("document.querySelector('.card img') !== null")
        page.click("h1")
        page.choose("#file", SPEECH)
        assert page.wait("!document.getElementById('stop').disabled")
        page.look(1099, 860, "light")  # one column
        page.run("document.getElementById('programs').open = true")
        wanted = page.run(
            """[...document.querySelectorAll("button, input, summary, a[href], select, [tabindex='0']")]
              .filter((one) => !one.disabled && one.checkVisibility()).map((one) => one.id || one.ariaLabel || `of ${one.parentElement.id}`)"""
        )
        reached, tops = [], []
        page.run("document.activeElement.blur()")
        for _ in range(len(wanted) + 5):
            page.press("Tab", 9)
            name, top, seen = page.run("""(() => {
              const one = document.activeElement;
              if (one === document.body) return ["", 0, true];
              const ring = one.matches(".unseen") ? one.labels[0] : one;
              return [one.id || one.ariaLabel || `of ${one.parentElement.id}`, ring.getBoundingClientRect().top + scrollY,
                      getComputedStyle(ring).outlineStyle !== "none"];
            })()""")
            if not name or name in reached:
                continue
            assert seen, f"{name}: focus is not seen"
            reached.append(name)
            tops.append(top)
        assert [one for one in wanted if one not in reached] == []
        assert reached == [one for one in wanted if one in reached]
        rows = [round(top / 60) for top in tops]
        assert rows == sorted(rows), list(zip(reached, tops, strict=True))
        assert page.console == []
