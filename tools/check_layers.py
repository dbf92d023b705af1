#!/usr/bin/env python3
"""Fails when a file includes a module that stands below its own in the data flow.

The order is design: a module may include itself and any module above it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ORDER = [
    "base",
    "audio",
    "inference",
    "avatar",
    "generator",
    "imaging",
    "media",
    "pipeline",
    "server",
    "cli",
]
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def allowed(module: str, included: str) -> bool:
    if included == module:
        return True
    return included in ORDER and ORDER.index(included) < ORDER.index(module)


def faults(root: Path) -> list[str]:
    found = []
    for path in sorted((root / "lipcast").rglob("*")):
        if path.suffix not in {".h", ".cc"}:
            continue
        module = path.relative_to(root / "lipcast").parts[0]
        if module not in ORDER:
            found.append(
                f"{path.relative_to(root)}: '{module}' is no module of the order"
            )
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            where = f"{path.relative_to(root)}:{number}"
            parts = match.group(1).split("/")
            if parts[0] != "lipcast" and not (path.parent / match.group(1)).exists():
                continue  # a library's own form, e.g. hwy/foreach_target.h
            if parts[0] != "lipcast":
                found.append(
                    f'{where}: "{match.group(1)}": want a path from the root, or <>'
                )
            elif match.group(1).endswith(".pb.h"):  # made from proto/
                if module != "server":
                    found.append(f"{where}: only server speaks {match.group(1)}")
            elif not (root / match.group(1)).exists():
                found.append(f'{where}: "{match.group(1)}" does not exist')
            elif not allowed(module, parts[1]):
                found.append(
                    f"{where}: {module} includes {parts[1]}, which stands below it"
                )
    return found


def main() -> int:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent)
    found = faults(root)
    print("\n".join(found) if found else "layers: includes point one way")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
