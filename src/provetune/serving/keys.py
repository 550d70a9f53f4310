"""Keys of clients: made once, kept as hashes, compared in constant time, limited in what they may do and how much."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from provetune.errors import FolderError, SpecError
from provetune.records.keys import SCOPES, Key, KeyRing, Limits, Scope
from provetune.serving.problems import Problem
from provetune.store import write_atomic

KEYS_FILE = Path(".provetune/keys.json")
"""Where they lie in a project."""
PREFIX = "pt-"


@dataclass(frozen=True)
class Caller:
    """Who asks: a key, or nobody in particular on a gateway without keys."""

    id: str
    scopes: tuple[Scope, ...]
    limits: Limits = Limits()

    def need(self, scope: Scope) -> None:
        """Problem 403 where the key has not this scope."""
        if scope not in self.scopes:
            raise Problem(403, f"this key has not the scope {scope!r}; it has {', '.join(self.scopes)}", code="scope_missing")


ANYBODY = Caller("", SCOPES)


class KeyFile:
    """The keys in one file, readable by its owner alone; a running gateway sees changes at the next request."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()
        self._read_at: tuple[int, int] | None = None
        self._ring = KeyRing()

    @property
    def ring(self) -> KeyRing:
        """All keys. FolderError where the file is damaged."""
        try:
            found = self.file.stat()
        except FileNotFoundError:
            return KeyRing()
        with self._lock:
            if self._read_at != (found.st_mtime_ns, found.st_ino):
                try:
                    self._ring = KeyRing.from_json(self.file.read_text(encoding="utf-8"))
                except ValueError as error:
                    remedy = "restore the file, or delete it and make new keys"
                    raise FolderError(f"{self.file}: the keys cannot be read ({error}); {remedy}") from error
                self._read_at = found.st_mtime_ns, found.st_ino
            return self._ring

    def create(self, name: str, scopes: Sequence[Scope], limits: Limits) -> tuple[Key, str]:
        """A new key and its text, which is told this once."""
        text = PREFIX + secrets.token_urlsafe(32)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        key = Key(id=secrets.token_hex(4), name=name, sha256=_hash(text), scopes=tuple(scopes), limits=limits, made_at=now)
        self._write(KeyRing(keys=(*self.ring.keys, key)))
        return key, text

    def revoke(self, name: str) -> Key:
        """End a key, named by its id or its name; SpecError where there is none that is in use."""
        found = [key for key in self.ring.keys if name in (key.id, key.name) and key.revoked_at is None]
        if len(found) != 1:
            raise SpecError(f"found {len(found)} keys in use called {name!r}, wanted one; `provetune keys list` shows their ids")
        ended = found[0].model_copy(update={"revoked_at": datetime.now(UTC).isoformat(timespec="seconds")})
        self._write(KeyRing(keys=tuple(ended if key.id == ended.id else key for key in self.ring.keys)))
        return ended

    def caller(self, authorization: str | None) -> Caller:
        """Who asks, by the header `Authorization: Bearer KEY`; Problem 401 where no key in use is named."""
        kind, _, text = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not text.strip():
            words = "no key; send the header `Authorization: Bearer KEY` (`provetune keys create` makes one)"
            raise Problem(401, words, code="missing_api_key")
        given = _hash(text.strip())
        found = None
        for key in self.ring.keys:  # all of them, so that the time says nothing
            if hmac.compare_digest(key.sha256, given) and key.revoked_at is None:
                found = key
        if found is None:
            raise Problem(401, "this key is not known here, or was revoked", code="invalid_api_key")
        return Caller(found.id, found.scopes, found.limits)

    def _write(self, ring: KeyRing) -> None:
        write_atomic(self.file, ring.to_json())
        os.chmod(self.file, 0o600)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
