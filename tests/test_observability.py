"""What a running server tells its operators: every metric, the log lines, the spans of frames."""

import json
import queue
import re
import threading
import time

import grpc
import pytest

from tests import lab
from tests.served import frames_of, pcm, requests_of, serving, speak, wait_until

SAMPLE = re.compile(
    r"^(lipcast_\w+?)(?:\{(.*)\})? (\S+)$",
)


def table():
    """Metric -> kind, as the operators' page has them."""
    page = (lab.ROOT / "docs/operations.md").read_text()
    return dict(re.findall(r"^\| `(lipcast_\w+)` \| (\w+) \|", page, re.MULTILINE))


def samples(text):
    """Series -> value; HELP and TYPE lines aside."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = SAMPLE.match(line)
            assert match, line
            series = match[1] + ("{" + match[2] + "}" if match[2] else "")
            assert series not in found, series
            found[series] = float(match[3])
    return found


def talk(server, wire, say, seen_at_work, clear_after=20):
    """A live session that is cleared in the middle of its first utterance, once it was seen at work."""
    messages, services = wire
    audio, rate = pcm()
    outbox = queue.Queue()
    for request in list(requests_of(wire, audio[: rate * 8], rate, 1 << 20))[:2]:
        outbox.put(request)
    seen = []
    call = services.SpeechStub(server.channel).Speak(iter(outbox.get, None), timeout=60)
    for response in call:
        seen.append(response)
        if response.WhichOneof("event") == "frame":
            spoken = sum(f.utterance == 1 for f in frames_of(seen))
            if spoken >= clear_after and say and seen_at_work.is_set():
                clear = messages.ClearSpeech(request=7, reason=say)
                outbox.put(messages.SpeakRequest(clear=clear))
                say = None
        if response.WhichOneof("event") == "cleared":
            outbox.put(messages.SpeakRequest(close=messages.CloseSession()))
            outbox.put(None)
    return seen


@pytest.fixture(scope="module")
def run(wire, tmp_path_factory):
    """A server after live, file-paced and refused sessions: its page, its log, its traces."""
    trace = tmp_path_factory.mktemp("trace") / "trace.json"
    told = {}
    settings = [f"trace.file={trace}", "trace.every=10", "log.format=json"]
    options = [word for setting in settings for word in ("--set", setting)]
    with serving(*options) as server:
        told["first_page"] = server.page("/metrics")[1]
        seen, seen_at_work = {}, threading.Event()
        live = threading.Thread(
            target=lambda: seen.update(
                live=talk(server, wire, "barge-in", seen_at_work)
            )
        )
        live.start()

        def at_work():
            told["page_at_work"] = server.page("/metrics")[1]
            return 'lipcast_sessions{state="speaking"} 1' in told["page_at_work"]

        found = wait_until(at_work)
        seen_at_work.set()
        live.join()
        assert found, told["page_at_work"]
        audio, rate = pcm()
        seen["file"] = speak(
            server,
            wire,
            requests_of(wire, audio[: rate * 2], rate, 4000, file_pace=True),
        )
        with pytest.raises(grpc.RpcError):
            opening = wire[0].OpenSession(avatar="nobody")
            opening.audio.rate_hz = 16000
            speak(server, wire, iter([wire[0].SpeakRequest(open=opening)]))

        def windowed():
            return (
                "lipcast_slowest_session_ratio" in server.page("/metrics")[1]
                and 'lipcast_sessions{state="idle"} 0' in server.page("/metrics")[1]
            )

        assert wait_until(windowed, 15)
        told["page"] = server.page("/metrics")[1]
        told["workers"] = int(re.search(r"on (\d+) workers?\n", server.greeting)[1])
    told["log"] = [json.loads(line) for line in server.log.splitlines()]
    told["trace"] = json.loads(trace.read_text())
    told["trace_mode"] = trace.stat().st_mode & 0o777
    return {**told, **seen}


def test_every_metric_of_the_table_is_on_the_page_and_no_other(run):
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", run["page"], re.MULTILINE))
    assert kinds == table()


def test_counters_and_histograms_are_there_before_their_first_event(run):
    first = dict(re.findall(r"^# TYPE (\w+) (\w+)$", run["first_page"], re.MULTILINE))
    wanted = {name for name, kind in table().items() if kind != "gauge"}
    assert wanted - set(first) <= {"lipcast_requests_total"}


def test_every_value_is_plausible(run):
    page = samples(run["page"])
    frames = frames_of(run["live"]) + frames_of(run["file"])
    assert page["lipcast_frames_total"] >= len(frames) > 40
    generated = sum(f.speaking for f in frames)
    assert page["lipcast_frames_generated_total"] >= generated > 20
    assert page["lipcast_frame_seconds_count"] > 20
    assert page["lipcast_sessions_opened_total"] == 2
    assert page['lipcast_sessions_refused_total{reason="not_found"}'] == 1
    assert page["lipcast_audio_seconds_total"] in (4, 5)  # 4 s live, 1 s of the file
    assert page["lipcast_clear_seconds_count"] == 1
    assert page["lipcast_clear_seconds_sum"] > 0
    assert page["lipcast_first_frame_seconds_count"] == 2
    assert page["lipcast_first_frame_seconds_sum"] > 0
    assert page["lipcast_avatar_loads_total"] == page["lipcast_avatars_loaded"] == 1
    assert page["lipcast_avatar_load_seconds_sum"] > 0
    assert page["lipcast_workers"] == run["workers"]
    assert page["lipcast_threads"] > run["workers"]
    assert page["lipcast_resident_memory_bytes"] > 10e6
    for cache in ("models", "frames", "features"):
        assert page[f'lipcast_cache_bytes{{cache="{cache}"}}'] > 1e5, cache
    for stage in ("stft", "audio_encoder", "background", "generator", "paste"):
        assert page[f'lipcast_stage_seconds_count{{stage="{stage}"}}'] > 20, stage
    encoded = page['lipcast_stage_seconds_count{stage="encode"}']
    assert encoded >= len([f for f in frames if f.picture])
    for queue_name in ("workers", "slow", "events"):
        assert page[f'lipcast_queue_depth{{queue="{queue_name}"}}'] >= 0
    method = 'interface="grpc",method="/lipcast.v1.Speech/Speak"'
    assert page[f'lipcast_requests_total{{code="OK",{method}}}'] == 2
    assert page[f'lipcast_requests_total{{code="NOT_FOUND",{method}}}'] == 1
    for name in ("metrics_refused", "escaped_exceptions", "not_finite_frames"):
        assert page[f"lipcast_{name}_total"] == 0, name
    assert all(value >= 0 for value in page.values())


def test_the_page_of_a_server_at_work_shows_its_session(run):
    page = samples(run["page_at_work"])
    states = [
        page[f'lipcast_sessions{{state="{s}"}}']
        for s in ("opening", "idle", "speaking")
    ]
    assert sum(states) == 1
    assert page["lipcast_av_skew_seconds"] < 5
    after = samples(run["page"])
    assert after['lipcast_sessions{state="speaking"}'] == 0


def test_a_histograms_buckets_add_up(run):
    page = samples(run["page"])
    for name, kind in table().items():
        if kind != "histogram":
            continue
        series = [s for s in page if s.startswith(f"{name}_bucket")]
        assert series, name
        for count in [s for s in page if s.startswith(f"{name}_count")]:
            labels = re.sub(r"^\w+\{?|\}$", "", count)
            last = "{" + ",".join(filter(None, [labels, 'le="+Inf"'])) + "}"
            assert page[name + "_bucket" + last] == page[count], count


def lines_of(run, event):
    return [line for line in run["log"] if line["event"] == event]


def test_a_sessions_lines_carry_the_id_that_the_client_was_told(run):
    ids = [
        next(r.opened.session for r in run[kind] if r.WhichOneof("event") == "opened")
        for kind in ("live", "file")
    ]
    assert len(set(ids)) == 2
    opened, closed = lines_of(run, "session_opened"), lines_of(run, "session_closed")
    assert [line["session"] for line in opened] == ids
    assert [line["session"] for line in closed] == ids
    for line, kind in zip(closed, ("live", "file"), strict=True):
        frames = frames_of(run[kind])
        assert line["avatar"] == "demo" and line["interface"] == "grpc"
        assert line["code"] == "OK" and float(line["seconds"]) > 0
        assert int(line["frames"]) == len(frames)
        assert int(line["late"]) <= len([f for f in frames if f.repeated])
    (cleared,) = lines_of(run, "speech_cleared")
    assert cleared["session"] == ids[0] and cleared["reason"] == "barge-in"
    assert int(cleared["played_samples"]) > 0


def test_a_refused_session_says_whose_and_why(run):
    (line,) = lines_of(run, "session_refused")
    assert line["level"] == "warning" and line["avatar"] == "nobody"
    assert line["code"] == "NOT_FOUND" and "nobody" in line["why"]


def test_frames_write_no_lines(run):
    frames = len(frames_of(run["live"]) + frames_of(run["file"]))
    assert frames > 2 * len(run["log"])
    assert {line["event"] for line in run["log"]} <= page_events()


def page_events():
    page = (lab.ROOT / "docs/operations.md").read_text()
    section = page.split("| event | level | says |")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_every_event_of_the_source_is_on_the_page():
    found = set()
    for path in (lab.ROOT / "lipcast").rglob("*.cc"):
        if not path.name.endswith("_test.cc"):
            found |= set(
                re.findall(r'LogLevel::k\w+, "(\w+)"', path.read_text("utf-8"))
            )
    assert len(found) > 10
    assert found <= page_events(), found - page_events()


def chrome_spans(trace):
    """id -> name -> (begin, end) in us; each end closes the newest open span of its id."""
    spans, still_open = {}, {}
    for event in trace["traceEvents"]:
        stack = still_open.setdefault(event.get("id"), [])
        if event["ph"] == "b":
            stack.append((event["name"], event["ts"]))
        elif event["ph"] == "e":
            name, begin = stack.pop()
            assert name == event["name"]
            spans.setdefault(event["id"], {})[name] = (begin, event["ts"])
    assert not any(still_open.values())
    return spans


def test_each_sampled_frame_has_one_trace_whose_spans_nest(run):
    spans = chrome_spans(run["trace"])
    wanted = set()
    for kind in ("live", "file"):
        session = next(
            r.opened.session for r in run[kind] if r.WhichOneof("event") == "opened"
        )
        frames = [f for f in frames_of(run[kind]) if f.index % 10 == 0]
        wanted |= {f"{session}:{f.index}" for f in frames}
        drawn = [f"{session}:{f.index}" for f in frames if f.picture]
        assert drawn
        for key in drawn:
            assert {"frame", "draw", "encode", "send"} <= set(spans[key]), key
    # A frame that a clear silenced has no steps of its own.
    assert set(spans) <= wanted and len(spans) >= len(wanted) - 6
    for key, of in spans.items():
        begin, end = of["frame"]
        for name, span in of.items():
            assert begin <= span[0] <= span[1] <= end, (key, name)
        if "generator" in of:
            assert of["draw"][0] <= of["generator"][0]
            assert of["generator"][1] <= of["draw"][1]
    assert any("generator" in of for of in spans.values())
    assert run["trace_mode"] == 0o600


def test_otlp_lines_are_spans_of_one_frame_each(wire, tmp_path):
    trace = tmp_path / "trace.jsonl"
    settings = [f"trace.file={trace}", "trace.format=otlp", "trace.every=5"]
    options = [word for setting in settings for word in ("--set", setting)]
    with serving(*options) as server:
        audio, rate = pcm()
        found = speak(
            server, wire, requests_of(wire, audio[:rate], rate, 4000, file_pace=True)
        )
    frames = [f for f in frames_of(found) if f.index % 5 == 0]
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    assert len(lines) == len(frames) > 1
    for line in lines:
        (scope,) = line["resourceSpans"][0]["scopeSpans"]
        spans = {span["spanId"]: span for span in scope["spans"]}
        roots = [s for s in spans.values() if "parentSpanId" not in s]
        assert [s["name"] for s in roots] == ["frame"]
        for span in spans.values():
            parent = spans.get(span.get("parentSpanId"), span)
            assert int(parent["startTimeUnixNano"]) <= int(span["startTimeUnixNano"])
            assert int(span["endTimeUnixNano"]) <= int(parent["endTimeUnixNano"])
        assert abs(int(roots[0]["endTimeUnixNano"]) / 1e9 - time.time()) < 600


def test_a_trace_file_that_cannot_be_written_stops_the_start(tmp_path):
    missing = tmp_path / "no" / "trace.json"
    done = lab.lipcast("serve", "--set", f"trace.file={missing}", ok=False)
    assert done.code != 0
    assert str(missing) in done.stderr
    assert done.stderr.count("\n") == 1
