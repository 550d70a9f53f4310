"""`keys`: who may ask a project's gateway."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from provetune.errors import SpecError
from provetune.records.keys import SCOPES, Key, KeyRing, Limits
from provetune.serving.keys import KEYS_FILE, KeyFile

CLIENT = ("chat", "models", "feedback")
"""Scopes of a key for which none are named."""


def create_key(folder: Path, name: str, scopes: Sequence[str], limits: Limits) -> tuple[Key, str]:
    """A new key, and its text. SpecError for an unknown scope, or a name that a key in use has."""
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown:
        raise SpecError(f"--scope {unknown[0]}: wanted one of {', '.join(SCOPES)}")
    file = KeyFile(folder / KEYS_FILE)
    if any(key.name == name and key.revoked_at is None for key in file.ring.keys):
        raise SpecError(f"a key called {name!r} is in use; revoke it first (`provetune keys revoke {name}`), or take another name")
    return file.create(name, [scope for scope in SCOPES if scope in (scopes or CLIENT)], limits)


def all_keys(folder: Path) -> KeyRing:
    """Every key, those that were revoked too."""
    return KeyFile(folder / KEYS_FILE).ring


def revoke_key(folder: Path, name: str) -> Key:
    """End a key at once, for running gateways too."""
    return KeyFile(folder / KEYS_FILE).revoke(name)
