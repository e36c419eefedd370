"""Descriptions of a site of complaints, and the files that hold them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def description(base_url: str = "http://127.0.0.1:1", **changes: Any) -> dict[str, Any]:
    """A site of two sections, none of whose keys can be left out."""
    return {
        "id": "deneme",
        "base_url": base_url,
        "list_url": "/sorular/{section}?sayfa={page}",
        "max_pages": 20,
        "questions": {"item": "article"},
        "pace": {"delay": 0.0},
        "sections": {"goz": "Göz Hastalıkları", "beyin": "Nöroloji"},
        **changes,
    }


def write_description(path: Path, table: dict[str, Any]) -> Path:
    """A description as TOML."""
    lines, tables = [], []
    for key, value in table.items():
        if isinstance(value, dict):
            inner = "\n".join(f"{json.dumps(name)} = {json.dumps(entry)}" for name, entry in value.items())
            tables.append(f"[{key}]\n{inner}")
        else:
            lines.append(f"{key} = {json.dumps(value)}")
    path.write_text("\n".join(lines + tables), "utf-8")
    return path
