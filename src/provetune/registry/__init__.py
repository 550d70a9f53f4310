"""Releases: SQLite and content-addressed files under `registry/` of the project."""

from provetune.registry.check import restore, verify
from provetune.registry.collect import collect
from provetune.registry.database import Author
from provetune.registry.releases import Registry, Waived, plain_name

__all__ = ["Author", "Registry", "Waived", "collect", "plain_name", "restore", "verify"]
