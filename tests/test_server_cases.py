"""Public cases through `lipcast serve`: colours of every output (67), a GPU that is not there (69)."""

import json
import subprocess
import threading
import urllib.request

import cv2
import numpy as np
import pytest

from tests import lab
from tests.markers import avatars
from tests.served import fetch, requests_of, frames_of, serving, speak, wait_until
from tests.test_models import cuda_works
from tests.test_stream_codecs import annex_b

WIDTH, HEIGHT = 320, 240
POINT = (slice(220, 236), slice(280, 316))  # flat, outside the box
INSIDE = (slice(60, 80), slice(150, 170))


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """A red avatar of pictures and a blue one of a video, served."""
    root = tmp_path_factory.mktemp("colours")
    for name, colour, images in (
        ("red", avatars.RED, "png"),
        ("blue", avatars.BLUE, "video"),
    ):
        avatars.make_avatar(
            root / name, name=name, colour=colour, frames=5, images=images
        )
    with serving("--avatars", root, preload="red,blue") as one:
        yield one


def is_coloured(picture, colour, what):
    assert picture.shape == (HEIGHT, WIDTH, 3), what
    for part, levels in ((POINT, 6), (INSIDE, 8)):
        mean = picture[part].reshape(-1, 3).mean(axis=0)
        assert np.abs(mean - colour).max() <= levels, f"{what}: {mean}, not {colour}"


def through_ffmpeg(data, *layout):
    """The first picture of a stream, BGR, its YUV read as BT.709."""
    command = ["ffmpeg", "-v", "error", *layout, "-i", "-", "-frames:v", "1", "-vf"]
    command += ["scale=in_color_matrix=bt709:in_range=tv,format=bgr24"]
    done = subprocess.run(
        [*command, "-f", "rawvideo", "-"], input=data, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    return np.frombuffer(done.stdout, np.uint8).reshape(HEIGHT, WIDTH, 3)


def as_bgr(form, picture, config):
    """A picture of that format as [HEIGHT, WIDTH, 3] BGR."""
    if form in ("JPEG", "PNG"):
        return cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    if form == "BGR":
        return np.frombuffer(picture, np.uint8).reshape(HEIGHT, WIDTH, 3)
    if form == "RGBA":
        rgba = np.frombuffer(picture, np.uint8).reshape(HEIGHT, WIDTH, 4)
        assert (rgba[..., 3] == 255).all()
        return np.ascontiguousarray(rgba[..., 2::-1])
    if form == "I420":
        size = f"{WIDTH}x{HEIGHT}"
        return through_ffmpeg(
            picture, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", size
        )
    if form == "FMP4":
        return through_ffmpeg(config + picture, "-f", "mp4")
    stream = annex_b(config, picture) if form == "H264_AVCC" else picture
    return through_ffmpeg(stream, "-f", "h264")


@pytest.mark.parametrize("name", ["red", "blue"])
def test_a_colour_stays_itself_in_every_stream(colours, wire, name):
    """Case 67: over gRPC, in each of its formats, and the still picture."""
    messages, _ = wire
    colour = {"red": avatars.RED, "blue": avatars.BLUE}[name]
    sound = (lab.speech_like(0.2) * 32767).astype("<i2").tobytes()
    forms = [f.removeprefix("PICTURE_FORMAT_") for f in messages.PictureFormat.keys()]
    forms.remove("UNSPECIFIED")
    assert len(forms) == 8
    for form in forms:
        video = messages.VideoFormat(
            format=messages.PictureFormat.Value(f"PICTURE_FORMAT_{form}")
        )
        asked = requests_of(
            wire, sound, 16000, 6400, avatar=name, video=video, file_pace=True
        )
        found = speak(colours, wire, asked)
        (opened,) = (r.opened for r in found if r.WhichOneof("event") == "opened")
        frames = frames_of(found)
        assert len(frames) == 5
        picture = frames[0].picture
        if form == "FMP4":  # the whole movie, in pieces
            picture = b"".join(
                [f.picture for f in frames] + [r.movie_end for r in found]
            )
        is_coloured(as_bgr(form, picture, opened.codec_config), colour, form)
    code, _, still = fetch(colours, f"/v1/avatars/{name}/picture.jpg")
    assert code == 200
    shown = cv2.imdecode(np.frombuffer(still, np.uint8), cv2.IMREAD_COLOR)
    mean = shown[-8:, -16:].reshape(-1, 3).mean(axis=0)
    assert np.abs(mean - colour).max() <= 6


@pytest.mark.parametrize("output", ["fmp4", "mjpeg"])
def test_a_colour_stays_itself_in_live_http(colours, output):
    """Case 67: the session that a browser or ffmpeg reads."""
    body = json.dumps({"avatar": "red", "output": output}).encode()
    headers = {"Content-Type": "application/json"}
    code, _, answer = fetch(colours, "/v1/sessions", "POST", headers.items(), body)
    assert code == 201, answer
    session = json.loads(answer)
    found = bytearray()

    def read():
        url = f"http://127.0.0.1:{colours.http_port}{session['stream']}"
        with urllib.request.urlopen(url, timeout=60) as stream:
            while piece := stream.read1():
                found.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    path = f"/v1/sessions/{session['id']}"
    assert wait_until(lambda: json.loads(fetch(colours, path)[2])["frames"] > 10, 60)
    assert fetch(colours, f"{path}/close", "POST")[0] == 200
    reader.join(60)
    if output == "mjpeg":
        begin = found.index(b"\xff\xd8\xff")
        picture = as_bgr(
            "JPEG", bytes(found[begin : found.index(b"\xff\xd9") + 2]), b""
        )
    else:
        picture = through_ffmpeg(bytes(found), "-f", "mp4")
    is_coloured(picture, avatars.RED, output)


@pytest.fixture
def no_gpu():
    if cuda_works():
        pytest.skip("a GPU is present")


def test_a_server_whose_provider_is_required_and_missing_does_not_start(no_gpu):
    """Case 69: the last line names it, and the exit code says unavailable."""
    flags = ("--port", 0, "--http-port", 0, "--set", "engine.provider=cuda")
    run = lab.lipcast("serve", *flags, ok=False, timeout_s=60, cwd=lab.ROOT)
    assert "provider cuda is required and cannot be used" in run.lines[-1]
    assert run.code == 5


def test_a_server_whose_provider_is_preferred_and_missing_says_so(no_gpu, wire):
    """Case 69: in its facts, its log and what each session is told."""
    flags = ("--set", "engine.provider=cuda", "--set", "engine.provider_policy=prefer")
    with serving(*flags) as one:
        listed = json.loads(one.page("/v1/avatars")[1])
        assert [avatar["provider"] for avatar in listed["avatars"]] == ["cpu"]
        told = json.loads(one.page("/v1/log")[1])["lines"]
        (line,) = (line for line in told if line["event"] == "avatar_provider")
        assert line["fields"] == {"avatar": "demo", "wanted": "cuda", "used": "cpu"}
        sound = (lab.speech_like(0.2) * 32767).astype("<i2").tobytes()
        found = speak(one, wire, requests_of(wire, sound, 16000, 6400, file_pace=True))
        (opened,) = (r.opened for r in found if r.WhichOneof("event") == "opened")
        assert opened.provider == "cpu"
    assert "warning avatar_provider avatar=demo wanted=cuda used=cpu" in one.log
