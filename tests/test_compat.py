"""monolithic.MonolithicService, spoken by a client that knows its field numbers and nothing else."""

import socket

import cv2
import grpc
import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tests import lab
from tests.served import SPEECH, rendered_jpegs, serving

FIELDS = {  # message: (number, name, type); r: repeated
    "Infer": "1 model string,2 pictures bytes,3 audio bytes,4 features bytes,5 batch int32,"
    "6 start int32,7 rate int32",
    "Inferred": "1 frames rbytes,2 inference float,3 composite float,4 total float,5 sound float,"
    "6 loaded bool,7 load_ms float,8 success bool,9 error string,10 gpu int32",
    "Name": "1 model string,2 gpu int32",
    "Done": "1 success bool,2 error string,3 gpu int32,4 load_ms float",
    "Nothing": "",
    "Model": "1 model string,2 loaded bool,3 gpu int32,4 memory_mb int64,5 requests int32,"
    "6 mean float",
    "Models": "1 models rModel",
    "Stats": "1 model string,2 loaded bool,3 gpu int32,4 memory_mb int64,5 requests int32,"
    "6 total_ms int64,7 mean float,8 last_used int64",
    "AllStats": "1 models rStats",
    "Health": "1 healthy bool,2 loaded int32,3 limit int32,4 gpus rint32,5 gpu_gb rfloat",
}


def client_messages():
    file = descriptor_pb2.FileDescriptorProto(
        name="old_client.proto", package="old_client", syntax="proto3"
    )
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        for text in filter(None, fields.split(",")):
            number, field_name, kind = text.split()
            field = message.field.add(name=field_name, number=int(number))
            repeated = kind.startswith("r")
            field.label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            kind = kind.removeprefix("r")
            if kind in FIELDS:
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".old_client.{kind}"
            else:
                field.type = getattr(kinds, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"old_client.{name}")
        )
        for name in FIELDS
    }


OLD = client_messages()
ANSWERS = {
    "InferBatchComposite": ("Infer", "Inferred"),
    "ListModels": ("Nothing", "Models"),
    "LoadModel": ("Name", "Done"),
    "UnloadModel": ("Name", "Done"),
    "GetModelStats": ("Nothing", "AllStats"),
    "Health": ("Nothing", "Health"),
}


class OldClient:
    def __init__(self, port):
        self.channel = grpc.insecure_channel(
            f"127.0.0.1:{port}",
            options=[
                ("grpc.max_receive_message_length", 100 << 20),
                ("grpc.max_send_message_length", 100 << 20),
            ],
        )

    def call(self, method, **fields):
        asked, answered = ANSWERS[method]
        rpc = self.channel.unary_unary(
            f"/monolithic.MonolithicService/{method}",
            request_serializer=OLD[asked].SerializeToString,
            response_deserializer=OLD[answered].FromString,
        )
        return rpc(OLD[asked](**fields), timeout=120)


@pytest.fixture(scope="module")
def client():
    with serving() as server:
        yield OldClient(server.grpc_port)


@pytest.fixture(scope="module")
def sound():
    samples, rate = lab.soundfile.read(SPEECH, dtype="float32")
    assert rate == 16000
    return samples[: 16000 * 3]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, sound):
    """The same sound in one run of the command, every mouth drawn by the model."""
    folder = tmp_path_factory.mktemp("whole")
    path = folder / "sound.wav"
    lab.soundfile.write(path, sound, 16000, subtype="FLOAT")
    return rendered_jpegs(folder, path, "--idle", "model")


def infer(client, sound, start, batch, **more):
    early = max(0, start - 8) * 640
    return client.call(
        "InferBatchComposite",
        model="demo",
        audio=sound[early:].tobytes(),
        batch=batch,
        start=start,
        **more,
    )


def pixels(jpeg):
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(int)


def test_the_first_batch_is_the_whole_run_byte_for_byte_at_any_size(
    client, sound, whole
):
    for batch in (1, 8, 25, 32):
        answer = infer(client, sound, 0, batch)
        assert answer.success, answer.error
        assert list(answer.frames) == whole[:batch]
        assert answer.gpu == -1 and answer.total > answer.inference > 0


@pytest.mark.parametrize("batch", [1, 7, 25])
def test_context_carries_over_every_batch(client, sound, whole, batch):
    """Nearly equal, not equal: one of sixteen context rows lies before the 8 early frames."""
    for start in range(batch, min(len(whole) - batch, 4 * batch + 1), batch):
        answer = infer(client, sound, start, batch)
        assert answer.success, answer.error
        for offset, frame in enumerate(answer.frames):
            want = pixels(whole[start + offset])
            error = np.abs(pixels(frame) - want).max()
            assert error <= 40, (start, offset)
    # A context that begins anew at the batch is far from it.
    fresh = client.call(
        "InferBatchComposite",
        model="demo",
        audio=sound[: 640 * 25].tobytes(),
        batch=8,
        start=33,
    )
    errors = [
        np.abs(pixels(f) - pixels(w)).max() for f, w in zip(fresh.frames, whole[33:41])
    ]
    assert max(errors) > 40


def test_the_sample_rate_is_honoured(client, sound, whole):
    slow = np.repeat(sound, 2)
    answer = infer(client, sound, 0, 8)
    doubled = client.call(
        "InferBatchComposite", model="demo", audio=slow.tobytes(), batch=8, rate=32000
    )
    wrong = client.call(
        "InferBatchComposite", model="demo", audio=slow.tobytes(), batch=8
    )
    near = [
        np.abs(pixels(a) - pixels(b)).mean()
        for a, b in zip(answer.frames, doubled.frames)
    ]
    far = [
        np.abs(pixels(a) - pixels(b)).mean()
        for a, b in zip(answer.frames, wrong.frames)
    ]
    assert max(near) < max(far)


def test_one_context_for_every_frame(client):
    features = np.zeros(8192, np.float32).tobytes()
    answer = client.call(
        "InferBatchComposite", model="demo", features=features, batch=5
    )
    assert answer.success and len(answer.frames) == 5


@pytest.mark.parametrize(
    "fields, says",
    [
        ({"batch": 0}, "batch_size"),
        ({"batch": 33}, "batch_size"),
        ({"batch": 1, "start": -1}, "start_frame_idx"),
        ({"batch": 1, "audio": b""}, "raw_audio"),
        ({"batch": 1, "audio": b"abc"}, "raw_audio has 3 bytes"),
        ({"batch": 1, "audio": b"", "features": b"\0" * 32764}, "8191"),
        ({"batch": 2, "pictures": b"\0" * 400}, "visual_frames"),
        ({"batch": 1, "rate": 100}, "100"),
        ({"batch": 1, "model": "../demo"}, "demo"),
        ({"batch": 1, "model": "nobody"}, "nobody"),
    ],
)
def test_a_wrong_request_is_an_answer_that_says_why(client, fields, says):
    request = {"model": "demo", "audio": b"\0" * 4000, **fields}
    answer = client.call("InferBatchComposite", **request)
    assert not answer.success and says in answer.error and not answer.frames


def test_a_few_bytes_of_audio_and_speech_beyond_the_avatar_are_frames(client):
    for audio in (b"\0" * 4, b"\0" * 12):
        assert client.call(
            "InferBatchComposite", model="demo", audio=audio, batch=3
        ).success
    answer = client.call(
        "InferBatchComposite", model="demo", audio=b"\0" * 4000, batch=2, start=100_000
    )
    assert answer.success and len(answer.frames) == 2


def test_models_are_listed_loaded_counted_and_let_go_of(client):
    names = {m.model: m for m in client.call("ListModels").models}
    assert names["demo"].loaded and names["demo"].gpu == -1
    before = {m.model: m for m in client.call("GetModelStats").models}["demo"]
    assert client.call(
        "InferBatchComposite", model="demo", audio=b"\0" * 4000, batch=2
    ).success
    after = {m.model: m for m in client.call("GetModelStats").models}["demo"]
    assert after.requests == before.requests + 1 and after.total_ms > before.total_ms
    assert client.call("UnloadModel", model="demo").success
    assert not client.call("UnloadModel", model="demo").success
    answer = client.call(
        "InferBatchComposite", model="demo", audio=b"\0" * 4000, batch=1
    )
    assert answer.success and answer.loaded and answer.load_ms > 0
    assert client.call("LoadModel", model="demo").success
    assert not client.call("LoadModel", model="nobody").success
    health = client.call("Health")
    assert health.healthy and health.loaded == 1 and health.limit == 16


def test_two_clients_at_once_get_what_each_gets_alone(client, sound):
    alone = [infer(client, sound, 0, 4).frames, infer(client, sound, 20, 4).frames]
    asked, answered = ANSWERS["InferBatchComposite"]
    rpc = client.channel.unary_unary(
        "/monolithic.MonolithicService/InferBatchComposite",
        request_serializer=OLD[asked].SerializeToString,
        response_deserializer=OLD[answered].FromString,
    )
    pending = []
    for i in range(8):
        start = 20 * (i % 2)
        audio = sound[max(0, start - 8) * 640 :].tobytes()
        request = OLD[asked](model="demo", audio=audio, batch=4, start=start)
        pending.append(rpc.future(request, timeout=120))
    for i, future in enumerate(pending):
        assert list(future.result().frames) == list(alone[i % 2])


def test_old_clients_may_have_a_port_of_their_own(unused_port):
    with serving("--compat-port", str(unused_port)) as server:
        assert OldClient(unused_port).call("Health").healthy
        assert OldClient(server.grpc_port).call("Health").healthy


@pytest.fixture
def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
