"""Debian's Firefox, headless, by WebDriver BiDi, which it speaks itself: the same page in another engine."""

import base64
import contextlib
import json
import os

from websockets.sync.client import connect

from tests.browser import appears, program, running, wait_for

PREFERENCES = {
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "media.navigator.permission.disabled": True,  # the fake microphone is not asked for
    "media.navigator.streams.fake": True,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}


class FirefoxPage:
    """One tab. What its console said is kept. The methods are those of browser.Page."""

    def __init__(self, link):
        self.link = link
        self.context = link.call("browsingContext.create", type="tab")["context"]
        self.console = link.consoles.setdefault(self.context, [])

    def before_each_load(self, script):
        self.link.call(
            "script.addPreloadScript",
            functionDeclaration=f"() => {{ {script} }}",
            contexts=[self.context],
        )

    def run(self, script):
        """The value of an expression; a promise is waited for. No gesture of the user."""
        answer = self.link.call(
            "script.evaluate",
            expression=f"(async () => JSON.stringify({{ value: await ({script}) }}))()",
            target={"context": self.context},
            awaitPromise=True,
        )
        assert answer["type"] == "success", answer["exceptionDetails"]["text"]
        return json.loads(answer["result"]["value"]).get("value")

    def go(self, url):
        self.link.call(
            "browsingContext.navigate",
            context=self.context,
            url=url,
            wait="interactive",
        )

    def wait(self, script, limit_s=15):
        """Until the expression is true; its value, else the last one."""
        return wait_for(lambda: self.run(script), limit_s)

    def node(self, selector):
        found = self.link.call(
            "browsingContext.locateNodes",
            context=self.context,
            locator={"type": "css", "value": selector},
        )
        return {"sharedId": found["nodes"][0]["sharedId"]}

    def click(self, selector):
        """A real one, with the mouse: a gesture."""
        origin = {"type": "element", "element": self.node(selector)}
        steps = [
            {"type": "pointerMove", "x": 0, "y": 0, "origin": origin},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        self.link.call(
            "input.performActions",
            context=self.context,
            actions=[{"type": "pointer", "id": "mouse", "actions": steps}],
        )

    def choose(self, selector, path):
        """A file, as the dialog of an <input type=file> gives it."""
        self.link.call(
            "input.setFiles",
            context=self.context,
            element=self.node(selector),
            files=[str(path)],
        )

    def shoot(self, path):
        answer = self.link.call(
            "browsingContext.captureScreenshot", context=self.context
        )
        path.write_bytes(base64.b64decode(answer["data"]))

    def close(self):
        self.link.call("browsingContext.close", context=self.context)


class Link:
    """The one connection to a Firefox; its tabs share it."""

    def __init__(self, socket):
        self.socket, self.number, self.consoles = socket, 0, {}
        made = self.call("session.new", capabilities={})
        self.version = made["capabilities"]["browserVersion"]
        self.call("session.subscribe", events=["log.entryAdded"])

    def call(self, method, **params):
        self.number += 1
        number = self.number
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv(timeout=30))
            if message.get("id") == number:
                assert message["type"] == "success", (method, message)
                return message["result"]
            if message.get("method") == "log.entryAdded":
                entry = message["params"]
                context = entry["source"].get("context")
                self.consoles.setdefault(context, []).append(entry["text"])


@contextlib.contextmanager
def null_sink(folder):
    """A sound device that takes sound in its time and plays it nowhere: what PULSE_SERVER names it by.
    Without a device Firefox starts no sound at all."""
    folder.mkdir(parents=True, exist_ok=True)
    socket = folder / "sink"
    command = [
        program("pulseaudio", "firefox"),
        "-n",
        "--daemonize=no",
        "--exit-idle-time=-1",
    ]
    command += [
        "--use-pid-file=no",
        "--disable-shm=yes",
        "-L",
        "module-null-sink",
        "-L",
    ]
    command += [f"module-native-protocol-unix socket={socket} auth-anonymous=1"]
    homes = ("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME")
    environment = {**os.environ, **dict.fromkeys(homes, str(folder))}
    with running(command, env=environment) as process:
        appears(process, socket.exists)
        yield f"unix:{socket}"


@contextlib.contextmanager
def firefox(folder, sound):
    """A browser of its own, with that sound device: a Link, to make tabs of."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        f"user_pref({json.dumps(key)}, {json.dumps(value)});\n"
        for key, value in PREFERENCES.items()
    ]
    (folder / "user.js").write_text("".join(lines))
    command = [program("firefox-esr", "firefox"), "--headless", "--no-remote"]
    command += ["--remote-debugging-port=0", "--profile", str(folder)]
    file = folder / "WebDriverBiDiServer.json"
    with running(command, env={**os.environ, "PULSE_SERVER": sound}) as process:
        appears(process, lambda: file.is_file() and file.read_text().endswith("}"))
        where = json.loads(file.read_text())
        url = f"ws://{where['ws_host']}:{where['ws_port']}/session"
        with connect(url, max_size=100 << 20, close_timeout=1) as socket:
            link = Link(socket)
            yield link
            link.call("browser.close")
