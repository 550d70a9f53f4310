"""What a disk refuses is told in words, with the file and what mends it, and is never called a bug."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from provetune.store import Store
from tests.flows.conftest import call, ticket_rows, write_csv


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "big.json"), "big.json: the disk is full"),
        (OSError(errno.EFBIG, os.strerror(errno.EFBIG), "big.json"), "files may not grow this large here"),
        (OSError(errno.EIO, os.strerror(errno.EIO), "big.json"), "the disk fails to read or write"),
        (sqlite3.OperationalError("database or disk is full"), "database or disk is full"),
    ],
)
def test_what_the_disk_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str) -> None:
    write_csv(tmp_path / "rows.csv", ticket_rows(30))
    (tmp_path / "provetune.yaml").write_text(
        "version: 1\nname: full\ntask: classify\ndata: {path: rows.csv, columns: {prompt: message, target: queue}}\nbase: starter\n"
    )

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Store, "event", refuse)
    done = call("-C", tmp_path, "audit")
    assert done.code == 8 and words in done.err and "the same command continues" in done.err
    assert "bug" not in done.err and "Traceback" not in done.err and not list(tmp_path.glob(".provetune/crash-*"))
