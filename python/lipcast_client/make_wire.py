"""Compiles the .proto files to one descriptor set, `wire.binpb`: for the wheel, and for use from the tree.

Needs grpcio-tools. Not part of the wheel.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROTOS = ("lipcast/v1/lipcast.proto", "google/rpc/status.proto")
SUPPORT = "support.proto"


def proto_root() -> Path:
    """The folder that PROTOS are under: the repository's, or the one in a source distribution."""
    for root in (HERE / "proto", HERE.parents[1] / "proto"):
        if (root / PROTOS[0]).is_file():
            return root
    raise FileNotFoundError(f"{PROTOS[0]}: neither in {HERE / 'proto'} nor in {HERE.parents[1] / 'proto'}")


def sources() -> bytes:
    """What wire.binpb is made from."""
    files = [*(proto_root() / proto for proto in PROTOS), HERE / SUPPORT]
    return b"".join(file.read_bytes() for file in files)


def compile_wire() -> bytes:
    """The serialized FileDescriptorSet, imports included."""
    import grpc_tools
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "wire.binpb"
        command = ["protoc", f"-I{proto_root()}", f"-I{HERE}", f"-I{Path(grpc_tools.__file__).parent / '_proto'}"]
        command += ["--include_imports", f"--descriptor_set_out={out}", *PROTOS, SUPPORT]
        if protoc.main(command) != 0:
            raise RuntimeError(f"protoc failed: {' '.join(command)}")
        return out.read_bytes()
