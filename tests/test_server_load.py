"""Many sessions at once: nobody is made late, nobody gets another's pixel, who does not fit is told.

Streams take far less than the machine has, so that its noise decides nothing; the order of the work
itself is proved on a fake clock in lipcast/pipeline/live_schedule_test.cc.
"""

import hashlib
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from markers import avatars, models

from tests.served import (
    detail_of,
    frames_of,
    pcm,
    reason_of,
    requests_of,
    retry_after_s,
    serving,
    wait_until,
)

SMALL = (64, 64)


def pure(colour):
    def paint(_, picture):
        picture[:] = colour

    return paint


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """quick: a model that takes 0.2 ms; slow: one that takes 30 ms; red, blue: pure colours, the
    mouth's grey level by the sound; big: 300 pictures to read; huge: 3840x2160; broken: half a model."""
    folder = tmp_path_factory.mktemp("crowd")

    def make(name, **options):
        options = {"frames": 10, "size": SMALL, "inner": 32, "border": 2, **options}
        avatars.make_avatar(folder / name, name=name, **options)

    make("quick", model=models.calibrated_m4(0.2, inner_px=32, side=64))
    make("slow", model=models.calibrated_m4(30, inner_px=32))
    make("red", model="M2", paint=pure(avatars.RED))
    make("blue", model="M2", paint=pure(avatars.BLUE))
    make("big", model="random", inner=160, border=4, frames=300, size=(640, 480))
    make("huge", model="M2", inner=160, border=4, size=(3840, 2160))
    make("broken")
    model = folder / "broken/generator.onnx"
    model.write_bytes(model.read_bytes()[:100])
    return folder


@pytest.fixture(scope="module")
def crowded(root):
    with serving("--avatars", root, preload="quick") as one:
        yield one


@pytest.fixture(scope="module")
def speech():
    audio, rate = pcm()
    return audio[: rate * 2 * 3], rate  # 3 s


def live(server, wire, speech, avatar, **settings):
    """One live session over its own connection; its frames."""
    audio, rate = speech
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", options) as channel:
        # At once: a client that is late with its sound is not what this is about.
        requests = requests_of(wire, audio, rate, 1 << 20, avatar=avatar, **settings)
        return frames_of(wire[1].SpeechStub(channel).Speak(requests, timeout=120))


@pytest.mark.parametrize("count", [1, 2, 4, 8, 16, 32])
def test_sessions_keep_their_frame_times(crowded, wire, speech, count):
    with crowded.nobody_late(), ThreadPoolExecutor(count) as pool:
        runs = [pool.submit(live, crowded, wire, speech, "quick") for _ in range(count)]
        for run in runs:
            frames = run.result()
            assert [f.index for f in frames] == list(range(len(frames)))
            assert sum(f.utterance == 1 for f in frames) == 75
            said = b"".join(f.sound for f in frames if f.utterance == 1)
            assert said == speech[0]


def test_eight_sessions_of_two_avatars_share_no_pixel(crowded, wire):
    audio, rate = pcm()
    messages, _ = wire
    video = messages.VideoFormat(format=messages.PICTURE_FORMAT_BGR)

    def pictures(avatar, at):
        part = audio[at * rate : (at + 4) * rate]  # 2 s, each another's
        settings = {"file_pace": True, "video": video}
        return [
            f.picture for f in live(crowded, wire, (part, rate), avatar, **settings)
        ]

    asked = [(("red", "blue")[i % 2], i) for i in range(8)]
    alone = [pictures(*one) for one in asked]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda one: pictures(*one), asked))
    assert together == alone
    assert len({hashlib.sha256(b"".join(one)).digest() for one in alone}) == 8
    for (avatar, _), shown in zip(asked, together, strict=True):
        for picture in shown:
            bgr = np.frombuffer(picture, np.uint8).astype(int)
            more_red = bgr[2::3] - bgr[0::3]  # about 0 in the grey mouth
            assert (more_red > -64).all() if avatar == "red" else (more_red < 64).all()
            assert abs(more_red).max() == 255


def test_fifty_opens_at_once_with_room_for_five(root, wire, speech):
    messages, services = wire
    release, start = threading.Event(), threading.Barrier(50)
    opened, refused = [], []

    def one(server):
        def requests():
            yield from list(requests_of(wire, *speech, 6400, avatar="quick"))[:-1]
            release.wait(timeout=60)
            yield messages.SpeakRequest(close=messages.CloseSession())

        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", options) as channel:
            grpc.channel_ready_future(channel).result(timeout=60)
            start.wait(timeout=60)
            try:
                call = services.SpeechStub(channel).Speak(requests(), timeout=120)
                assert next(call).WhichOneof("event") == "opened"
                opened.append(1)
                return frames_of(call)
            except grpc.RpcError as error:
                refused.append(error)

    with serving("--avatars", root, "--max-sessions", "5", preload="quick") as server:
        with server.nobody_late(), ThreadPoolExecutor(50) as pool:
            runs = [pool.submit(one, server) for _ in range(50)]
            assert wait_until(lambda: len(opened) + len(refused) == 50, limit_s=60)
            sent = server.metric(
                "frames_total"
            )  # the five run beside nobody, for a second
            assert wait_until(lambda: server.metric("frames_total") >= sent + 5 * 25)
            release.set()
            lasting = [run.result() for run in runs if run.result()]
        assert len(lasting) == 5 and len(refused) == 45
        for frames in lasting:
            assert sum(f.utterance == 1 for f in frames) == 75
        codes = {error.code() for error in refused}
        assert codes == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert {reason_of(error) for error in refused} == {"LIMIT"}
        hints = [retry_after_s(error) for error in refused]
        assert all(1 <= hint <= 5 for hint in hints), hints
        assert wait_until(lambda: server.metric("sessions") == 0)


def test_who_would_make_the_running_ones_late_is_refused(crowded, root, wire, speech):
    messages, services = wire
    release = threading.Event()

    def held():
        yield from list(requests_of(wire, *speech, 6400, avatar="slow"))[:-1]
        release.wait(timeout=60)

    stub = services.SpeechStub(crowded.channel)
    info = services.ServerStub(crowded.channel)
    running, error = [], None
    while error is None:
        assert len(running) < 40, "30 ms of work a frame, 25 times a second"
        call = stub.Speak(held(), timeout=120)
        try:
            assert next(call).WhichOneof("event") == "opened"
            running.append(call)
        except grpc.RpcError as refusal:
            error = refusal
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "% of the workers' time" in error.details()
    assert 1 <= retry_after_s(error) <= 5
    assert reason_of(error) == "HEADROOM"
    assert wait_until(
        lambda: (
            info.GetInfo(messages.GetInfoRequest()).capacity.sessions == len(running)
        )
    )
    assert info.GetInfo(messages.GetInfoRequest()).capacity.generate_ms > 5
    assert all(call.is_active() for call in running)
    release.set()
    for call in running:
        assert sum(f.utterance == 1 for f in frames_of(call)) == 75


def test_loading_replacing_and_unloading_pause_no_running_session(
    crowded, wire, speech
):
    """Case 50: a viewer's start never freezes another's picture."""
    messages, services = wire
    stub = services.AvatarsStub(crowded.channel)
    over = threading.Event()

    def churn():
        rounds = 0
        while not over.is_set():
            stub.LoadAvatar(messages.LoadAvatarRequest(name="big"))
            stub.ReplaceAvatar(messages.ReplaceAvatarRequest(name="big"))
            stub.ReplaceAvatar(messages.ReplaceAvatarRequest(name="quick"))
            stub.UnloadAvatar(messages.UnloadAvatarRequest(name="big"))
            rounds += 1
        return rounds

    with ThreadPoolExecutor(3) as pool, crowded.nobody_late():
        churning = pool.submit(churn)
        shown = [live(crowded, wire, speech, "quick")]
        both = [pool.submit(live, crowded, wire, speech, "quick") for _ in range(2)]
        shown += [run.result() for run in both]
        over.set()
        assert churning.result() >= 1
    for found in shown:
        assert [f.index for f in found] == list(range(len(found)))
        assert sum(f.utterance == 1 for f in found) == 75


def test_a_4k_avatar_may_drop_pictures_and_keeps_sound_and_time(crowded, wire, speech):
    """Case 33: more than the machine can draw is seen, counted, and never heard."""
    audio, rate = speech
    late = crowded.metric("frames_late_total")
    frames = live(crowded, wire, speech, "huge")
    assert [f.index for f in frames] == list(range(len(frames)))
    assert b"".join(f.sound for f in frames if f.utterance == 1) == audio
    last = max(i for i, f in enumerate(frames) if f.utterance == 1)
    assert not any(f.speaking for f in frames[last + 6 :])
    assert all(f.repeated == (not f.picture) for f in frames)
    late = crowded.metric("frames_late_total") - late
    late += crowded.metric("frames_dropped_total")  # where the client is what is slow
    assert sum(f.repeated for f in frames) <= late


def test_health_of_an_avatar_is_watched_through_load_unload_and_failure(
    root, wire, tmp_path
):
    messages, services = wire
    Serving = health_pb2.HealthCheckResponse  # noqa: N806
    shutil.copytree(root, tmp_path / "avatars")
    folder = tmp_path / "avatars"
    with serving("--avatars", folder, preload="quick") as server:
        stub = services.AvatarsStub(server.channel)
        health = health_pb2_grpc.HealthStub(server.channel)

        def watch(name):
            request = health_pb2.HealthCheckRequest(service=f"lipcast.v1.Avatar/{name}")
            return iter(health.Watch(request, timeout=60))

        def check(name):
            request = health_pb2.HealthCheckRequest(service=f"lipcast.v1.Avatar/{name}")
            return health.Check(request).status

        assert check("quick") == Serving.SERVING
        red, late, broken = watch("red"), watch("late"), watch("broken")
        assert next(red).status == Serving.NOT_SERVING
        assert next(late).status == Serving.SERVICE_UNKNOWN
        assert next(broken).status == Serving.NOT_SERVING
        stub.LoadAvatar(messages.LoadAvatarRequest(name="red"))
        assert next(red).status == Serving.SERVING
        stub.UnloadAvatar(messages.UnloadAvatarRequest(name="red"))
        assert next(red).status == Serving.NOT_SERVING

        # One that comes later is known once it was asked for, also where that fails.
        shutil.copytree(folder / "broken", folder / "late")
        with pytest.raises(grpc.RpcError):
            stub.LoadAvatar(messages.LoadAvatarRequest(name="late"))
        assert next(late).status == Serving.NOT_SERVING
        shutil.rmtree(folder / "late")
        shutil.copytree(folder / "blue", folder / "late")
        stub.LoadAvatar(messages.LoadAvatarRequest(name="late"))
        assert next(late).status == Serving.SERVING

        # A replacement that fails keeps the old, which serves on.
        model = folder / "late/generator.onnx"
        whole = model.read_bytes()
        model.write_bytes(whole[:100])
        with pytest.raises(grpc.RpcError):
            stub.ReplaceAvatar(messages.ReplaceAvatarRequest(name="late"))
        assert check("late") == Serving.SERVING
        server.process.terminate()
        assert next(late).status == Serving.NOT_SERVING


def test_avatars_that_are_not_loaded_are_described_and_broken_ones_explained(
    crowded, wire, root
):
    messages, services = wire
    stub = services.AvatarsStub(crowded.channel)

    def listed():
        found = stub.ListAvatars(messages.ListAvatarsRequest()).avatars
        return {one.name: one for one in found}

    (root / "torn").mkdir(exist_ok=True)
    manifest = root / "torn/avatar.json"
    manifest.write_text('{"format": "lipcast-avatar"')
    big = listed()["big"]
    assert (big.loaded, big.provider, big.problem) == (False, "", "")
    assert (big.title, big.width, big.height) == ("Marker avatar big", 640, 480)
    assert (big.fps.num, big.frame_count, big.family) == (25, 300, "synctalk")
    torn = listed()["torn"]
    assert torn.problem.startswith("avatar.json: ") and torn.width == 0
    text = (root / "red/avatar.json").read_text()
    manifest.write_text(text.replace("Marker avatar red", "Mended"))
    assert (listed()["torn"].title, listed()["torn"].problem) == ("Mended", "")
    with pytest.raises(grpc.RpcError):
        stub.LoadAvatar(messages.LoadAvatarRequest(name="broken"))
    assert "generator.onnx" in listed()["broken"].problem


def test_facts_of_the_server_are_measured(crowded, wire):
    messages, services = wire
    info = services.ServerStub(crowded.channel).GetInfo(messages.GetInfoRequest())
    assert "cpu" in info.providers
    assert 0 < info.capacity.generate_ms < 1000


def test_a_wrong_field_is_named_in_the_details(crowded, wire):
    from google.rpc import error_details_pb2, status_pb2

    messages, services = wire
    opening = messages.OpenSession(avatar="quick")
    opening.video.format = 99
    call = services.SpeechStub(crowded.channel).Speak(
        iter([messages.SpeakRequest(open=opening)])
    )
    with pytest.raises(grpc.RpcError) as error:
        list(call)
    details = dict(error.value.trailing_metadata())["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(details)
    assert status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    bad = detail_of(error.value, error_details_pb2.BadRequest)
    assert bad.field_violations[0].field == "open.video.format"
    assert retry_after_s(error.value) is None
    assert reason_of(error.value) == error.value.code().name
