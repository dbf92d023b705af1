"""The messages of lipcast.v1, in a descriptor pool of their own.

A program's own generated `lipcast.v1`, of whatever version, lives in protobuf's default pool and
cannot collide with these. They come from `wire.binpb`, which any protobuf runtime reads: the wheel
holds it; in the repository it is compiled from proto/ (make_wire) and kept in the temporary folder.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Message = Any


def _compiled_from_the_tree() -> bytes:
    from lipcast_client import make_wire

    name = f"lipcast-client-{os.getuid() if hasattr(os, 'getuid') else 0}"
    folder = Path(tempfile.gettempdir()) / name
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        return make_wire.compile_wire()
    kept = folder / f"{hashlib.sha256(make_wire.sources()).hexdigest()[:32]}.binpb"
    if not kept.is_file():
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(make_wire.compile_wire())
        Path(file.name).replace(kept)
    return kept.read_bytes()


def _load() -> descriptor_pool.DescriptorPool:
    packaged = Path(__file__).with_name("wire.binpb")
    data = packaged.read_bytes() if packaged.is_file() else _compiled_from_the_tree()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL = _load()


def message(name: str) -> Callable[..., Message]:
    """The class of `lipcast.v1.name`, or of `name` with its package."""
    full = name if "." in name else f"lipcast.v1.{name}"
    made: Callable[..., Message] = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(full))
    return made


def enum_values(name: str) -> dict[str, int]:
    """The numbers of an enum of lipcast.v1 by the names they have there."""
    return {v.name: v.number for v in _POOL.FindEnumTypeByName(f"lipcast.v1.{name}").values}


SpeakRequest = message("SpeakRequest")
RenderRequest = message("RenderRequest")
HealthCheckRequest = message("lipcast_client.HealthCheckRequest")
ErrorStatus: Any = message("google.rpc.Status")
ErrorInfo: Any = message("google.rpc.ErrorInfo")
RetryInfo: Any = message("google.rpc.RetryInfo")


def _method(channel: Any, path: str, kind: str, request: Any, response: Any) -> Any:
    return getattr(channel, kind)(path, request_serializer=request.SerializeToString, response_deserializer=response.FromString)


def stub(channel: Any, service: str, method: str) -> Any:
    """A call of lipcast.v1 on a channel, sync or asyncio."""
    found = _POOL.FindServiceByName(f"lipcast.v1.{service}").methods_by_name[method]
    kind = "stream_stream" if found.client_streaming else "unary_unary"
    request = message_factory.GetMessageClass(found.input_type)
    response = message_factory.GetMessageClass(found.output_type)
    return _method(channel, f"/lipcast.v1.{service}/{method}", kind, request, response)


def health_stub(channel: Any) -> Any:
    """grpc.health.v1.Health/Check."""
    response = message("lipcast_client.HealthCheckResponse")
    return _method(channel, "/grpc.health.v1.Health/Check", "unary_unary", HealthCheckRequest, response)
