"""The build step that pyproject.toml cannot say: wire.binpb, compiled from the .proto files."""

import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE))

from make_wire import PROTOS, compile_wire, proto_root  # noqa: E402


class BuildWithWire(build_py):
    def find_package_modules(self, package, package_dir):
        ours = super().find_package_modules(package, package_dir)
        return [m for m in ours if m[1] not in ("setup", "make_wire")]

    def run(self):
        super().run()
        target = Path(self.build_lib) / "lipcast_client"
        target.mkdir(parents=True, exist_ok=True)
        (target / "wire.binpb").write_bytes(compile_wire())


class SourceWithProto(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        for proto in PROTOS:
            target = Path(base_dir) / "proto" / proto
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(proto_root() / proto, target)


setup(cmdclass={"build_py": BuildWithWire, "sdist": SourceWithProto})
