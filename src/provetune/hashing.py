"""Fingerprints: the same content gives the same short name on every machine."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces and no NaN; raises ValueError on a number JSON cannot hold.

    >>> canonical_json({"b": 1.0, "a": [True, None]})
    '{"a":[true,null],"b":1.0}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def readable_json(value: Any, indent: str = "") -> str:
    """JSON for people: a mapping gets a line per key, a list of plain values or of rows of numbers stays on one line.

    >>> print(readable_json({"a": [1, None], "b": {"c": []}}))
    {
      "a": [1, null],
      "b": {
        "c": []
      }
    }
    """
    inner = indent + "  "
    if isinstance(value, dict) and value:
        lines = [f"{inner}{json.dumps(str(key), ensure_ascii=False)}: {readable_json(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return "[\n" + ",\n".join(inner + readable_json(item, inner) for item in value) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def fingerprint(value: Any) -> str:
    """First 16 hex digits of the SHA-256 of the canonical JSON.

    >>> fingerprint({"a": 1})
    '015abd7f5cc57a2d'
    """
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_sha256(path: Path, endings: Iterable[str]) -> str:
    """One SHA-256 over (name, content) of the files in `path` with one of these endings, by name order."""
    digest = hashlib.sha256()
    for item in sorted(path.iterdir()):
        if item.is_file() and item.name.endswith(tuple(endings)):
            digest.update(f"{item.name}:{file_sha256(item)}\n".encode())
    return digest.hexdigest()


def seed_of(*parts: Any) -> int:
    """A 32-bit seed that depends on all parts; finite numbers, strings and lists of these.

    >>> seed_of("bootstrap", 1) == seed_of("bootstrap", 1) != seed_of("bootstrap", 2)
    True
    """
    if any(isinstance(part, float) and not math.isfinite(part) for part in parts):
        raise ValueError(f"seed parts must be finite, found {parts!r}")
    return int(fingerprint(list(parts))[:8], 16)
