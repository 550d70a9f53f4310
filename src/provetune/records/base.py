"""What all records share: frozen, closed to unknown keys, versioned, fingerprinted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from provetune.errors import EvidenceError
from provetune.hashing import fingerprint, readable_json

Migration = Callable[[dict[str, Any]], dict[str, Any]]


class Frozen(BaseModel):
    """A part of a record; immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Record(Frozen):
    """Anything that reaches disk. Subclasses name their `SCHEMA` as `name/version`.

    `MIGRATIONS[k]` turns content written as version k into version k + 1.
    """

    SCHEMA: ClassVar[str]
    MIGRATIONS: ClassVar[dict[int, Migration]] = {}

    @property
    def fingerprint(self) -> str:
        """Hash of the schema and the content."""
        return fingerprint({"schema": self.SCHEMA, "content": self.model_dump(mode="json")})

    def to_json(self) -> str:
        """One JSON document, schema first."""
        return readable_json({"schema": f"provetune.{self.SCHEMA}", **self.model_dump(mode="json")})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote, now or by an older version; raises EvidenceError on another schema."""
        content = json.loads(text)
        if not isinstance(content, dict):
            raise EvidenceError(f"found {type(content).__name__} at the top, wanted a provetune.{cls.SCHEMA} record")
        name, _, version = str(content.pop("schema", "")).removeprefix("provetune.").partition("/")
        wanted, _, current = cls.SCHEMA.partition("/")
        if name != wanted or not version.isdigit() or int(version) > int(current):
            raise EvidenceError(f"found record {name or '?'}/{version or '?'}, wanted provetune.{cls.SCHEMA}; update provetune")
        for step in range(int(version), int(current)):
            content = cls.MIGRATIONS[step](content)
        return cls.model_validate(content)
