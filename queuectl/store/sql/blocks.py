"""Named blocks of SQL kept in .sql files: `-- name: claim` starts one."""

from __future__ import annotations

import os


def load(module_path: str, file_name: str) -> dict[str, str]:
    """Return the blocks of a file beside a module, by name, without their comment lines."""
    path = os.path.join(os.path.dirname(module_path), file_name)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    blocks = {}
    for part in text.split("-- name: ")[1:]:
        name, _, body = part.partition("\n")
        lines = (line for line in body.splitlines() if not line.lstrip().startswith("--"))
        blocks[name.strip()] = "\n".join(lines).strip()
    return blocks
