"""What lies in deploy/ works: rules and dashboard against promtool, unit, container file, configuration."""

import json
import os
import re
import shutil
import subprocess

import pytest
import yaml

from tests import lab

DEPLOY = lab.ROOT / "deploy"
RULES = DEPLOY / "prometheus/rules.yml"
BOARD = json.loads((DEPLOY / "grafana/lipcast.json").read_text())
METRIC = re.compile(r"\blipcast_[a-z0-9_]+")
RECORDED = re.compile(r"\blipcast:[a-z0-9_:]+")


def promtool(*args):
    """Debian's, as `tools/setup test` unpacks it. There is no skipping."""
    found = lab.ROOT / ".deps/promtool/promtool"
    command = str(found) if found.exists() else shutil.which("promtool")
    assert command, "no promtool: run tools/setup test"
    return subprocess.run([command, *args], capture_output=True, text=True, timeout=120)


def known_metrics():
    """Series names that /metrics can have, by the table of the operators' page."""
    page = (lab.ROOT / "docs/operations.md").read_text()
    names = set()
    for name, kind in re.findall(
        r"^\| `(lipcast_\w+)` \| (\w+) \|", page, re.MULTILINE
    ):
        names |= (
            {name}
            if kind != "histogram"
            else {f"{name}_{part}" for part in ("bucket", "sum", "count")}
        )
    assert len(names) > 30
    return names


def rules():
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def board_expressions():
    found = [t["expr"] for panel in BOARD["panels"] for t in panel["targets"]]
    return [expr.replace("$instance", ".*") for expr in found]


def test_rules_are_sound_and_fire_when_they_should():
    checked = promtool("check", "rules", "--lint-fatal", str(RULES))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = promtool("test", "rules", str(RULES.with_name("rules_test.yml")))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_alert_is_tested_and_explained():
    alerts = [rule["alert"] for rule in rules() if "alert" in rule]
    tested = RULES.with_name("rules_test.yml").read_text()
    page = (lab.ROOT / "docs/operations.md").read_text()
    assert len(set(alerts)) == len(alerts) >= 15
    for alert in alerts:
        assert f'alertname="{alert}"' in tested, alert
        assert f"| `{alert}` |" in page, alert
    assert re.findall(r"^\| `(Lipcast\w+)` \|", page, re.MULTILINE) == alerts


def test_rules_and_dashboard_ask_for_metrics_that_exist():
    known = known_metrics()
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for expr in [rule["expr"] for rule in rules()] + board_expressions():
        assert set(METRIC.findall(expr)) <= known, expr
        assert set(RECORDED.findall(expr)) <= recorded, expr
    variables = [v["query"] for v in BOARD["templating"]["list"]]
    assert set(METRIC.findall(" ".join(variables))) <= known


def test_the_dashboards_expressions_parse(tmp_path):
    group = {
        "name": "board",
        "rules": [
            {"record": f"board:panel:{i}", "expr": expr}
            for i, expr in enumerate(board_expressions())
        ],
    }
    path = tmp_path / "board.yml"
    path.write_text(yaml.safe_dump({"groups": [group]}))
    checked = promtool("check", "rules", str(path))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(group['rules'])} rules found" in checked.stdout
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_promtool_finds_a_fault_in_a_broken_rule(tmp_path):
    path = tmp_path / "broken.yml"
    rule = {"record": "a:b", "expr": "sum by (lipcast_frames_total"}
    path.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [rule]}]}))
    assert promtool("check", "rules", str(path)).returncode != 0


def test_the_example_configuration_is_good(tmp_path):
    checked = lab.lipcast(
        "serve", "--config", DEPLOY / "lipcast.yaml", "--check-config"
    )
    assert b"the configuration is good" in checked.stdout
    told = lab.lipcast("serve", "--config", DEPLOY / "lipcast.yaml", "--print-config")
    assert b"drain_seconds: 60" in told.stdout


def unit_lines():
    return (DEPLOY / "systemd/lipcast.service").read_text()


def test_the_unit_stops_later_than_the_configuration_drains():
    config = yaml.safe_load((DEPLOY / "lipcast.yaml").read_text())
    stop = int(re.search(r"^TimeoutStopSec=(\d+)$", unit_lines(), re.MULTILINE)[1])
    assert stop > config["limits"]["drain_seconds"] + 5
    assert "Type=notify" in unit_lines() and "DynamicUser=yes" in unit_lines()


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze here"
)
def test_the_unit_passes_systemds_own_check(tmp_path):
    unit = tmp_path / "lipcast.service"
    binary = tmp_path / "lipcast"  # the checkout's own path may hold a space
    binary.symlink_to(lab.BINARY)
    unit.write_text(unit_lines().replace("/usr/local/bin/lipcast", str(binary)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and str(unit) not in done.stderr, done.stderr
    security = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert security.returncode == 0, security.stdout[-300:] + security.stderr


def values_of(key):
    return re.findall(rf"^{key}=(.*)$", unit_lines(), re.MULTILINE)


@pytest.mark.skipif(
    shutil.which("systemd-sysusers") is None, reason="no systemd-sysusers here"
)
def test_the_unit_may_read_keys_that_only_a_group_of_its_own_may(tmp_path):
    (group,) = values_of("SupplementaryGroups")
    conf = DEPLOY / "systemd/lipcast.sysusers.conf"
    (tmp_path / "etc").mkdir()
    done = subprocess.run(
        ["systemd-sysusers", "--root", str(tmp_path), str(conf)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(rf"^{group}:", (tmp_path / "etc/group").read_text(), re.MULTILINE)
    assert f"chown root:{group}" in (lab.ROOT / "docs/operations.md").read_text()


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze here"
)
def test_the_unit_allows_the_calls_that_renders_and_many_connections_need():
    def calls(group):
        told = subprocess.run(
            ["systemd-analyze", "syscall-filter", group],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        words = re.findall(r"^    ([@a-z]\S*)$", told, re.MULTILINE)
        return {
            call
            for word in words
            for call in (calls(word) if word.startswith("@") else {word})
        }

    allowed = set()
    for line in values_of("SystemCallFilter"):
        for word in line.lstrip("~").split():
            named = calls(word) if word.startswith("@") else {word}
            allowed = allowed - named if line.startswith("~") else allowed | named
    assert {"setpriority", "setrlimit", "prlimit64", "clone3", "sendmsg"} <= allowed
    assert not {"mount", "reboot", "sched_setscheduler"} & allowed


def test_what_the_container_file_copies_exists_and_its_commands_are_ours():
    text = (DEPLOY / "container/Dockerfile").read_text()
    for source in re.findall(r"^COPY (?!--from)(\S+) ", text, re.MULTILINE):
        assert (lab.ROOT / source).exists(), source
    assert (lab.ROOT / "tools/setup").exists()
    presets = json.loads((lab.ROOT / "CMakePresets.json").read_text())
    assert "release" in [preset["name"] for preset in presets["buildPresets"]]
    assert "libonnxruntime.so" in (lab.ROOT / "tools/setup").read_text()


def test_the_container_has_every_library_that_the_binary_is_linked_to():
    """Directly linked libraries, by the Debian packages that own them."""
    linked = subprocess.run(
        ["readelf", "-d", lab.BINARY], capture_output=True, text=True, check=True
    ).stdout
    names = re.findall(r"\(NEEDED\).*\[(.+?)\]", linked)
    text = (DEPLOY / "container/Dockerfile").read_text()
    stage = text.split("\nFROM ")[-1]
    # With ffmpeg come libav*, libswscale; with libgrpc++ come gpr and absl; the rest is in the image.
    brought = r"lib(av\w+|sw\w+|gpr|absl\w+|c|m|gcc_s|stdc\+\+|grpc\w*)\.so|ld-linux"
    for name in names:
        if re.match(brought, name):
            continue
        stem = re.match(r"lib([a-z+]+)", name)[1]
        stem = {"crypto": "ssl", "grpc++_reflection": "grpc++"}.get(stem, stem)
        assert f"lib{stem}" in stage, f"{name}: no package of it in the Dockerfile"


def test_the_page_has_the_roll_out_and_the_way_back():
    page = (lab.ROOT / "docs/operations.md").read_text()
    section = page.split("\n## Staged deployment\n")[1].split("\n## ")[0]
    for word in (
        "canary",
        "share",
        "all",
        "/readyz",
        "SIGTERM",
        "limits.drain_seconds",
    ):
        assert word in section, word


def test_the_server_tells_systemd_when_it_is_ready_and_when_it_stops(tiny, tmp_path):
    import socket
    import threading

    path = tmp_path / "notify"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(path))
    listener.settimeout(60)
    environment = {**os.environ, "NOTIFY_SOCKET": str(path)}
    process = subprocess.Popen(
        [lab.BINARY, "serve", "--port", "0", "--http-port", "0"]
        + ["--avatars", tiny.parent, "--preload", tiny.name],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    killer = threading.Timer(90, process.kill)
    killer.start()
    try:
        assert listener.recv(100) == b"READY=1"
        process.terminate()
        assert listener.recv(100) == b"STOPPING=1"
        assert process.wait(timeout=30) == 0
    finally:
        killer.cancel()
        process.kill()
        process.wait()
        listener.close()
