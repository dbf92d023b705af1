"""Debian's Chromium, headless, by its DevTools protocol: a page as a person has it."""

import base64
import contextlib
import json
import shutil
import subprocess
import time
import urllib.request

import pytest
from websockets.sync.client import connect

OPTIONS = [
    "--headless=new",
    "--no-sandbox",  # tests may run as root
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--mute-audio",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--remote-debugging-port=0",
]


def program(name, purpose):
    found = shutil.which(name)
    if not found:
        pytest.fail(f"{name}: not found; tools/setup {purpose} installs it")
    return found


@contextlib.contextmanager
def running(command, **options):
    """A process without a voice; it is ended with the block."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def appears(process, is_there, limit_s=60):
    """Polls until the process has made what is_there() looks for."""
    until = time.monotonic() + limit_s
    while not is_there():
        assert process.poll() is None and time.monotonic() < until, process.args[0]
        time.sleep(0.05)


def wait_for(value_of, limit_s):
    """Polls until value_of() is true; its value, else the last one."""
    until = time.monotonic() + limit_s
    while True:
        value = value_of()
        if value or time.monotonic() > until:
            return value
        time.sleep(0.05)


class CutOffError(AssertionError):
    """The page went elsewhere while a script of it was running."""


class Page:
    """One tab. What its console and its network said is kept."""

    def __init__(self, port):
        url = f"http://127.0.0.1:{port}/json/new?about:blank"
        with urllib.request.urlopen(
            urllib.request.Request(url, method="PUT"), timeout=10
        ) as answer:
            tab = json.load(answer)
        self.port, self.id = port, tab["id"]
        self.opened = contextlib.ExitStack()
        self.socket = self.opened.enter_context(
            connect(tab["webSocketDebuggerUrl"], max_size=100 << 20, close_timeout=1)
        )
        self.number = 0
        self.console, self.requests, self.headers = [], [], {}
        for domain in ("Page", "Runtime", "Log", "Network", "DOM", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        self.number += 1
        number = self.number
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv(timeout=60))
            if message.get("id") == number:
                if "error" not in message:
                    return message["result"]
                cut_off = "navigated" in message["error"]["message"]
                failure = CutOffError if cut_off else AssertionError
                raise failure(method, message["error"])
            self.note(message)

    def note(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.consoleAPICalled":
            self.console.append([one.get("value") for one in params["args"]])
        elif method == "Runtime.exceptionThrown":
            self.console.append(params["exceptionDetails"])
        elif method == "Log.entryAdded":
            self.console.append(params["entry"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.requests.append(params["url"])
        elif method == "Network.responseReceived":
            response = params["response"]
            self.headers[response["url"]] = response["headers"]

    def run(self, script):
        """The value of an expression; a promise is waited for. No gesture of the user."""
        answer = self.call(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=False,
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def go(self, url):
        self.call("Page.navigate", url=url)

    def back(self):
        """To the page before, which is there some time later; it may be there before the answer."""
        with contextlib.suppress(CutOffError):
            self.run("history.back(), 0")

    def wait(self, script, limit_s=15):
        """Until the expression is true, be it on the next page; its value, else the last one."""

        def value():
            try:
                return self.run(script)
            except CutOffError:
                return None

        return wait_for(value, limit_s)

    def click(self, selector):
        """A real one, with the mouse: a gesture."""
        x, y = self.run(
            f"""(() => {{
              const one = document.querySelector({json.dumps(selector)});
              one.scrollIntoView({{ block: "center" }});
              const box = one.getBoundingClientRect();
              return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"""
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=x,
                y=y,
                button="left",
                clickCount=1,
            )

    def press(self, key, code):
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                text="\r" if key == "Enter" and kind == "keyDown" else "",
            )

    def choose(self, selector, path):
        """A file, as the dialog of an <input type=file> gives it."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def look(self, width, height, scheme):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )

    def shoot(self, path):
        answer = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))

    def close(self):
        self.opened.close()
        with contextlib.suppress(OSError):
            urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/json/close/{self.id}", timeout=5
            )


@contextlib.contextmanager
def chromium(folder, *options):
    """The port of a browser of its own."""
    command = [program("chromium", "test"), *OPTIONS, *options]
    file = folder / "DevToolsActivePort"
    with running([*command, f"--user-data-dir={folder}", "about:blank"]) as process:
        appears(
            process, lambda: file.is_file() and file.read_text().count("\n"), limit_s=30
        )
        yield int(file.read_text().split()[0])
