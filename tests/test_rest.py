"""REST: facts, avatars and render jobs over plain HTTP."""

import contextlib
import datetime
import http.client
import io
import json
import re
import socket
import threading
import time

import grpc
import jsonschema
import numpy as np
import pytest
import soundfile
from openapi_spec_validator import validate

from tests import lab
from tests.served import pcm, serving, wait_until


def ask(server, method, path, body=None, headers=None, timeout=60):
    """Status, headers in small letters, body."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", server.http_port, timeout=timeout
    )
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, names, answer.read()
    finally:
        connection.close()


def asked(server, method, path, want=200, **more):
    status, _, body = ask(server, method, path, **more)
    assert status == want, body
    return json.loads(body) if body else None


def submit(server, body, want=202, **query):
    query.setdefault("avatar", "demo")
    path = "/v1/renders?" + "&".join(f"{k}={v}" for k, v in query.items())
    return asked(server, "POST", path, want=want, body=body)


def finished(server, job, limit_s=120):
    def over():
        return state(server, job)["state"] not in ("queued", "running")

    assert wait_until(over, limit_s)
    return state(server, job)


def state(server, job):
    return asked(server, "GET", f"/v1/renders/{job['id']}")


def wav_of(seconds):
    audio, rate = pcm()
    samples = np.frombuffer(audio, np.int16)
    samples = np.tile(samples, 1 + seconds * rate // len(samples))[: seconds * rate]
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format="WAV", subtype="PCM_16")
    return out.getvalue()


@pytest.fixture(scope="module")
def wav():
    return wav_of(2)


@pytest.fixture(scope="module")
def done(server, wav):
    """A finished render of two seconds."""
    job = finished(server, submit(server, wav))
    assert job["state"] == "done", job
    return job


def test_the_openapi_document_is_valid_and_names_what_the_server_has(server):
    document = asked(server, "GET", "/openapi.json")
    validate(document)
    sources = "".join(
        path.read_text()
        for path in (lab.ROOT / "lipcast/server").glob("*.cc")
        if not path.name.endswith("_test.cc")
    )
    paths = set(
        re.findall(r'"(/(?:v1/[\w/{}.-]*[\w}]|\w+z|metrics|openapi.json))"', sources)
    )
    assert set(document["paths"]) == paths - {"/v1/speak"}


def test_every_path_of_the_document_takes_the_methods_it_says_and_no_other(server):
    document = asked(server, "GET", "/openapi.json")
    for path, item in document["paths"].items():
        methods = {m.upper() for m in item if m != "parameters"}
        status, headers, _ = ask(server, "OPTIONS", re.sub(r"{\w+}", "x", path))
        allowed = {m.strip() for m in headers["allow"].split(",")}
        assert allowed - {"HEAD", "OPTIONS"} == methods, path


def test_answers_are_as_the_document_describes_them(server, done):
    document = asked(server, "GET", "/openapi.json")
    for path, want in (
        ("/v1/info", "getInfo"),
        ("/v1/avatars", "listAvatars"),
        ("/v1/avatars/demo", "getAvatar"),
        ("/v1/renders", "listRenders"),
        (f"/v1/renders/{done['id']}", "getRender"),
        ("/v1/renders/none", None),
    ):
        operations = [i["get"] for i in document["paths"].values() if "get" in i]
        if want is None:
            schema = {"$ref": "#/components/schemas/Failure"}
        else:
            (operation,) = [o for o in operations if o["operationId"] == want]
            content = operation["responses"]["200"]["content"]
            schema = content["application/json"]["schema"]
        answer = json.loads(ask(server, "GET", path)[2])
        jsonschema.validate(answer, {**document, **schema})


def test_info_is_that_of_grpc(server):
    info = asked(server, "GET", "/v1/info")
    assert re.match(r"\d+\.\d+", info["version"]) and info["workers"] >= 1
    assert info["capacity"]["sessions"] == 0 and info["draining"] is False
    assert info["backend"].startswith("ONNX Runtime")


def test_avatars_are_listed_loaded_unloaded_and_replaced(server):
    names = [a["name"] for a in asked(server, "GET", "/v1/avatars")["avatars"]]
    assert "demo" in names
    at = "/v1/avatars/demo"
    assert asked(server, "POST", f"{at}/load")["avatar"]["loaded"] is True
    demo = asked(server, "GET", at)
    assert demo["fps"] == {"num": "25", "den": "1"} or demo["fps"]["num"] in (25, "25")
    assert demo["frameCount"] == str(int(demo["frameCount"]))
    assert asked(server, "POST", f"{at}/load")["wasLoaded"] is True
    loads = int(asked(server, "GET", at)["stats"]["loads"])
    replaced = asked(server, "POST", f"{at}/replace")["avatar"]
    assert int(replaced["stats"]["loads"]) == loads + 1
    assert asked(server, "POST", f"{at}/unload") == {}
    assert asked(server, "GET", at)["loaded"] is False
    assert asked(server, "POST", f"{at}/load")["wasLoaded"] is False
    for method, path in (
        ("GET", "/v1/avatars/nobody"),
        ("POST", "/v1/avatars/nobody/load"),
        ("POST", "/v1/avatars/nobody/unload"),
    ):
        assert asked(server, method, path, want=404)["code"] == "NOT_FOUND"


@contextlib.contextmanager
def speaking(server, wire, **settings):
    """A session that stays open, and the iterator of what it hears."""
    messages, stub = wire
    leave = threading.Event()

    def requests():
        opening = messages.OpenSession(avatar="demo", **settings)
        yield messages.SpeakRequest(open=opening)
        leave.wait(30)

    call = stub.SpeechStub(server.channel).Speak(requests(), timeout=60)
    try:
        yield next(call).opened, call
    finally:
        leave.set()
        call.cancel()


def test_sessions_are_listed_while_they_last(server, wire):
    def sessions():
        return asked(server, "GET", "/v1/sessions")["sessions"]

    assert wait_until(lambda: sessions() == [])
    video = wire[0].VideoFormat(format=wire[0].PICTURE_FORMAT_PNG)
    with speaking(server, wire, video=video) as (opened, call):
        (one,) = sessions()
        assert one["id"] == opened.session and one["avatar"] == "demo"
        assert one["state"] == "idle" and one["protocol"] == "grpc"
        assert one["peer"] == "127.0.0.1" and one["output"] == "png"
        assert (one["width"], one["height"]) == (opened.width, opened.height)
        since = datetime.datetime.fromisoformat(one["since"].replace("Z", "+00:00"))
        assert abs(since.timestamp() - time.time()) < 10
        path = f"/v1/sessions/{opened.session}"
        for _ in range(5):
            next(call)
        document = asked(server, "GET", "/openapi.json")
        schema = {"$ref": "#/components/schemas/Session"}
        told = asked(server, "GET", path)
        jsonschema.validate(told, {**document, **schema})
        assert told["frames"] >= 4
    assert wait_until(lambda: sessions() == [])
    assert asked(server, "GET", path, want=404)["code"] == "NOT_FOUND"


def test_a_deleted_session_hears_why(server, wire):
    with speaking(server, wire) as (opened, call):
        path = f"/v1/sessions/{opened.session}"
        assert ask(server, "DELETE", path)[0] == 204
        with pytest.raises(grpc.RpcError) as ended:
            for _ in call:
                pass
        assert ended.value.code() == grpc.StatusCode.CANCELLED
        assert "DELETE" in ended.value.details()
    assert wait_until(lambda: ask(server, "DELETE", path)[0] == 404)


def test_an_upload_becomes_a_movie_that_plays(server, done, tmp_path):
    assert done["frames"] == done["totalFrames"] == 50
    assert done["avatar"] == "demo" and done["format"] == "mp4"
    status, headers, body = ask(server, "GET", done["file"])
    assert status == 200 and headers["content-type"] == "video/mp4"
    assert int(headers["content-length"]) == len(body) == done["bytes"]
    assert re.fullmatch(
        r'attachment; filename="demo-[0-9a-f]{8}\.mp4"', headers["content-disposition"]
    )
    target = tmp_path / "got.mp4"
    target.write_bytes(body)
    assert int(lab.probe(target)["nb_read_packets"]) == 50
    assert lab.probe(target, "a")["codec_name"] == "aac"


def test_the_movie_is_the_commands_byte_for_byte(server, done, wav, tmp_path):
    (tmp_path / "in.wav").write_bytes(wav)
    target = tmp_path / "out.mp4"
    lab.lipcast(
        "render", "--avatar", "demo", tmp_path / "in.wav", "-o", target, cwd=lab.ROOT
    )
    assert ask(server, "GET", done["file"])[2] == target.read_bytes()


def test_the_answer_to_an_upload_names_its_job(server, wav):
    status, headers, body = ask(
        server, "POST", "/v1/renders?avatar=demo&format=mkv&crf=40&fps=12.5", body=wav
    )
    job = json.loads(body)
    assert status == 202 and headers["location"] == f"/v1/renders/{job['id']}"
    assert re.fullmatch(r"[0-9a-f]{32}", job["id"])
    assert job["id"] in [
        j["id"] for j in asked(server, "GET", "/v1/renders")["renders"]
    ]
    job = finished(server, job)
    assert job["state"] == "done" and job["frames"] == 25 and job["format"] == "mkv"
    status, headers, _ = ask(server, "HEAD", job["file"])
    assert status == 200 and int(headers["content-length"]) == job["bytes"]


def test_raw_pcm_needs_its_rate_only(server):
    audio, rate = pcm()
    job = finished(server, submit(server, audio[: rate * 2], rate=rate))
    assert job["state"] == "done" and job["frames"] == 25


def test_parts_of_the_file(server, done):
    whole = ask(server, "GET", done["file"])[2]
    size = len(whole)
    for header, first, last in (
        ("bytes=0-99", 0, 99),
        (f"bytes={size - 10}-", size - 10, size - 1),
        ("bytes=-7", size - 7, size - 1),
        (f"bytes=5-{size * 2}", 5, size - 1),
    ):
        status, headers, body = ask(
            server, "GET", done["file"], headers={"Range": header}
        )
        assert status == 206 and body == whole[first : last + 1]
        assert headers["content-range"] == f"bytes {first}-{last}/{size}"
    status, headers, _ = ask(
        server, "GET", done["file"], headers={"Range": f"bytes={size}-"}
    )
    assert status == 416 and headers["content-range"] == f"bytes */{size}"
    for header in ("bytes=9-3", "lines=1-2", "bytes=x-", "bytes=0-1,5-6"):
        status, _, body = ask(server, "GET", done["file"], headers={"Range": header})
        assert status == 200 and body == whole
    changed = {"Range": "bytes=0-9", "If-Range": '"another"'}
    assert ask(server, "GET", done["file"], headers=changed)[0] == 200
    same = {"Range": "bytes=0-9", "If-Range": f'"{done["id"]}"'}
    assert ask(server, "GET", done["file"], headers=same)[0] == 206


def test_events_tell_of_progress_until_the_end(server):
    job = submit(server, wav_of(12))
    status, headers, body = ask(server, "GET", f"/v1/renders/{job['id']}/events")
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    events = [
        (kind, json.loads(data))
        for kind, data in re.findall(r"event: (\w+)\ndata: (.*)\n\n", body.decode())
    ]
    assert events[-1][0] == "done" and events[-1][1] == state(server, job)
    assert {kind for kind, _ in events[:-1]} <= {"queued", "running"}
    frames = [data["frames"] for _, data in events]
    assert frames == sorted(frames) and frames[-1] == 300 and len(set(frames)) > 2
    # One who comes late hears the end at once.
    again = ask(server, "GET", f"/v1/renders/{job['id']}/events")[2]
    assert again.count(b"event: ") == 1 and b"event: done" in again


def test_a_client_that_leaves_loses_nothing(server):
    job = submit(server, wav_of(4))
    watcher = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
    watcher.request("GET", f"/v1/renders/{job['id']}/events")
    watcher.getresponse().read(20)
    watcher.close()
    assert finished(server, job)["state"] == "done"


@pytest.mark.parametrize(
    "query, body, code, says",
    [
        ("avatar=demo", b"noise that is no sound", 400, "the sound"),
        ("avatar=demo", b"", 400, "the sound"),
        ("", b"x", 400, "avatar"),
        ("avatar=nobody", None, 404, "nobody"),
        ("avatar=..%2Fdemo", None, 400, ""),
        ("avatar=demo&format=avi", None, 400, "mp4 or mkv"),
        ("avatar=demo&crf=99", None, 400, "0..51"),
        ("avatar=demo&fps=1000", None, 400, "frame rate"),
        ("avatar=demo&fps=x", None, 400, "frame rate"),
        ("avatar=demo&width=0", None, 400, "width"),
        ("avatar=demo&idle=never", None, 400, "idle"),
        ("avatar=demo&channels=2", None, 400, "rate"),
        ("avatar=demo&rate=7", None, 400, "rate"),
        ("avatar=demo&colour=red", None, 400, "colour"),
    ],
)
def test_what_is_wrong_is_one_clear_line(server, wav, query, body, code, says):
    status, _, answer = ask(
        server, "POST", f"/v1/renders?{query}", body=wav if body is None else body
    )
    assert status == code, answer
    text = json.loads(answer)["message"]
    assert says in text and "\n" not in text and "/tmp" not in text


def test_a_torn_upload_leaves_no_job(server, wav):
    before = len(asked(server, "GET", "/v1/renders")["renders"])
    torn = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
    torn.putrequest("POST", "/v1/renders?avatar=demo")
    torn.putheader("Content-Length", str(len(wav)))
    torn.endheaders()
    torn.send(wav[:1000])
    torn.close()

    def other_jobs():
        return len(asked(server, "GET", "/v1/renders")["renders"]) != before

    assert not wait_until(other_jobs, limit_s=0.3)


def test_ids_that_are_none_are_not_found(server):
    for path in ("0" * 32, "x", "..%2e"):
        for method, rest in (
            ("GET", ""),
            ("DELETE", ""),
            ("GET", "/file"),
            ("GET", "/events"),
        ):
            status = ask(server, method, f"/v1/renders/{path}{rest}")[0]
            assert status == 404, (method, path, rest)


def test_a_full_queue_refuses_and_a_removal_makes_room(wav):
    long = wav_of(60)
    with serving("--set", "limits.queued_jobs=1") as own:
        first, second = submit(own, long), submit(own, long)
        status, headers, body = ask(own, "POST", "/v1/renders?avatar=demo", body=wav)
        assert status == 503 and "retry-after" in headers
        assert "limits.queued_jobs" in json.loads(body)["message"]
        assert asked(own, "GET", f"/v1/renders/{first['id']}/file", want=409)
        for job in (first, second):
            assert ask(own, "DELETE", f"/v1/renders/{job['id']}")[0] == 204
            assert ask(own, "GET", f"/v1/renders/{job['id']}")[0] == 404
        third = finished(own, submit(own, wav))
        assert third["state"] == "done"
        metrics = own.page("/metrics")[1]
        assert 'lipcast_renders_total{state="cancelled"} 2' in metrics
        assert 'lipcast_renders_total{state="done"} 1' in metrics


def test_files_are_private_and_go_with_the_server(wav, tmp_path):
    with serving("--set", f"renders.folder={tmp_path}") as own:
        job = finished(own, submit(own, wav))
        assert job["state"] == "done"
        folders = list(tmp_path.iterdir())  # of renders, and of recordings
        assert [one.stat().st_mode & 0o777 for one in folders] == [0o700, 0o700]
        (folder,) = [one for one in folders if list(one.iterdir())]
        assert [p.stat().st_size for p in folder.iterdir()] == [job["bytes"]]
        host = ("127.0.0.1", own.http_port)
        with socket.create_connection(host, timeout=20) as upload:
            upload.sendall(
                b"POST /v1/renders?avatar=demo HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Length: 9999999\r\n\r\n" + bytes(400_000)
            )
            assert wait_until(lambda: len(list(folder.iterdir())) == 2)
            used = own.metric("render_disk_bytes")
            assert wait_until(lambda: own.metric("render_disk_bytes") > job["bytes"])
            assert used <= job["bytes"] + 400_000
    assert list(tmp_path.iterdir()) == []


def test_an_upload_beyond_the_disks_share_is_refused_with_a_time_to_ask_again(wav):
    with serving("--set", "renders.disk_mb=1") as own:
        job = finished(own, submit(own, wav))
        assert job["state"] == "done"
        path = "/v1/renders?avatar=demo"
        status, headers, body = ask(own, "POST", path, body=bytes(3 << 20))
        assert status == 503 and "retry-after" in headers
        assert "renders.disk_mb" in json.loads(body)["message"]
        assert asked(own, "GET", f"/v1/renders/{job['id']}", want=404)


def test_renders_count_among_what_an_address_may_open():
    with serving("--set", "limits.opens_per_second=1") as own:
        codes = [ask(own, "POST", "/v1/renders", body=b"x")[0] for _ in range(20)]
        assert codes[:2] == [400, 400] and 429 in codes


def test_the_greeting_leads_to_every_rest_path(server):
    assert "REST as /openapi.json tells" in server.greeting
    paths = " ".join(asked(server, "GET", "/openapi.json")["paths"])
    for kind in ("info", "avatars", "sessions", "renders", "recordings", "access"):
        assert f"/v1/{kind}" in paths


def test_what_ended_is_forgotten_after_its_time(wav):
    with serving("--set", "renders.keep_seconds=3") as own:
        job = finished(own, submit(own, wav))
        assert job["state"] == "done"
        path = f"/v1/renders/{job['id']}"
        assert wait_until(lambda: ask(own, "GET", path)[0] == 404, 30)


def test_the_server_ends_only_when_its_renders_have(wav):
    with serving() as own:
        job = submit(own, wav_of(6))
        own.process.terminate()
        assert own.process.wait(timeout=60) == 0
        log = own.process.stderr.read()
        assert "render_ended" in log and "state=done" in log, (job, log)
