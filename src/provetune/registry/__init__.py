"""Releases: SQLite and content-addressed files under `registry/` of the project."""

from provetune.registry.database import Author
from provetune.registry.releases import CHAMPIONS_KEPT, Registry, Waived

__all__ = ["CHAMPIONS_KEPT", "Author", "Registry", "Waived"]
