"""Keys of a gateway's clients, as they are kept: never their text."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

from pydantic import Field

from provetune.records.base import Frozen, Record

Scope = Literal["chat", "models", "feedback", "files", "jobs", "metrics"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


class Limits(Frozen):
    """What one key may take; None is no limit. Tokens are those of prompts and completions together."""

    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)


class Key(Frozen):
    """One key. Only the SHA-256 of its 32 random bytes is kept: nothing that random can be guessed from its hash."""

    id: str
    name: str
    sha256: str
    scopes: tuple[Scope, ...]
    limits: Limits = Limits()
    made_at: str
    revoked_at: str | None = None


class KeyRing(Record):
    """All keys of a project, revoked ones too."""

    SCHEMA: ClassVar[str] = "keys/1"
    keys: tuple[Key, ...] = ()
