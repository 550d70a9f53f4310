"""Fetching and checking the public data, against a small web server on this machine."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
FULL = "1234567" + "0" * 33
CONTENT = {"data/a.csv": b"text,label\nhi,x\n", "my data/b c.txt": b"\xff\x00not text"}


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fetch_data", ROOT / "scripts/fetch_data.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses looks its module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A web server with the files of owner/repo at the full commit, and GitHub's answer to the short one."""
    site = tmp_path / "site"
    for path, content in CONTENT.items():
        file = site / "owner/repo" / FULL / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    commits = site / "repos/owner/repo/commits"
    commits.mkdir(parents=True)
    (commits / "1234567").write_text(FULL)
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(site))) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def write_table(path: Path, *, wrong_hash: bool = False) -> Path:
    """Two files to download and one that was made."""
    a, b = (hashlib.sha256(content).hexdigest() for content in CONTENT.values())
    lines = [
        "folder\tfile\trepository\tcommit\tpath\tpath_is\tsha256",
        f"one\ta.csv\towner/repo\t1234567\tdata/a.csv\tseen\t{a}",
        f"two\tdeep/b.txt\towner/repo\t1234567\tmy data/b c.txt\tassumed\t{'0' * 64 if wrong_hash else b}",
        f"three\tmade.jsonl\towner/repo\t1234567\tparts\tmade\t{hashlib.sha256(b'made').hexdigest()}",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def fill(folder: Path) -> None:
    contents = {"one/a.csv": CONTENT["data/a.csv"], "two/deep/b.txt": CONTENT["my data/b c.txt"], "three/made.jsonl": b"made"}
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def refuse(address: str) -> bytes:
    raise AssertionError(f"asked for {address}")


def test_check_accepts_a_right_folder_without_the_network(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path / "data")
    table = write_table(tmp_path / "table.tsv")
    assert script.main(["--check", str(tmp_path / "data")], table=table, opener=refuse) == 0
    assert capsys.readouterr().out == "3 of 3 files are there with the stated sha256\n"


def test_check_names_missing_and_changed_files(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path / "data")
    (tmp_path / "data/one/a.csv").unlink()
    (tmp_path / "data/two/deep/b.txt").write_bytes(b"changed")
    table = write_table(tmp_path / "table.tsv")
    assert script.main(["--check", str(tmp_path / "data")], table=table, opener=refuse) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("one/a.csv: missing") and lines[1].startswith("two/deep/b.txt: differs")
    assert lines[2].startswith("1 of 3")


def test_a_made_file_may_be_missing_but_not_wrong(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path / "data")
    made = tmp_path / "data/three/made.jsonl"
    made.unlink()
    arguments = ["--check", str(tmp_path / "data")]
    table = write_table(tmp_path / "table.tsv")
    assert script.main(arguments, table=table) == 0
    assert "made from owner/repo@1234567 parts, no download" in capsys.readouterr().out
    made.write_bytes(b"other")
    assert script.main(arguments, table=table) == 1


def test_fetch_downloads_and_verifies(script: ModuleType, tmp_path: Path, server: str) -> None:
    asked = []

    def opener(address: str) -> bytes:
        asked.append(address)
        content: bytes = script.download(address.replace(script.RAW, server).replace(script.API, server))
        return content

    out = tmp_path / "out"
    table = write_table(tmp_path / "table.tsv")
    assert script.main(["--out", str(out)], table=table, opener=opener) == 0
    assert (out / "one/a.csv").read_bytes() == CONTENT["data/a.csv"]
    assert (out / "two/deep/b.txt").read_bytes() == CONTENT["my data/b c.txt"]
    assert asked == [
        "https://api.github.com/repos/owner/repo/commits/1234567",
        f"https://raw.githubusercontent.com/owner/repo/{FULL}/data/a.csv",
        f"https://raw.githubusercontent.com/owner/repo/{FULL}/my%20data/b%20c.txt",
    ]
    # What is there and right is not asked for again.
    assert script.main(["--out", str(out)], table=table, opener=refuse) == 0


def test_wrong_bytes_are_never_kept(script: ModuleType, tmp_path: Path, server: str, capsys: pytest.CaptureFixture[str]) -> None:
    def opener(address: str) -> bytes:
        content: bytes = script.download(address.replace(script.RAW, server).replace(script.API, server))
        return content

    out = tmp_path / "out"
    assert script.main(["--out", str(out)], table=write_table(tmp_path / "table.tsv", wrong_hash=True), opener=opener) == 1
    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == ["a.csv"]
    shown = capsys.readouterr().out
    assert "two/deep/b.txt: failed" in shown and "not kept (the path is assumed" in shown


def test_without_a_network_every_file_is_named(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def offline(address: str) -> bytes:
        raise OSError("no route to host")

    assert script.main(["--out", str(tmp_path / "out")], table=write_table(tmp_path / "table.tsv"), opener=offline) == 1
    shown = capsys.readouterr().out
    # The short commit is used when GitHub does not tell the full one.
    assert "one/a.csv: failed: https://raw.githubusercontent.com/owner/repo/1234567/data/a.csv: no route to host" in shown
    assert "three/made.jsonl: missing" in shown and "0 of 3" in shown


def test_a_missing_page_is_an_oserror(script: ModuleType, server: str) -> None:
    with pytest.raises(OSError, match="404"):
        script.download(f"{server}/owner/repo/nothing")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("one\ta\to/r\t1\ta\tguessed\t" + "0" * 64, "path_is is one of"),
        ("one\ta\to/r\t1\ta\tseen\tabc", "64 hex digits"),
        ("one\t../a\to/r\t1\ta\tseen\t" + "0" * 64, "inside the output folder"),
        ("one\ta", "wanted 7 columns, found 2"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(script: ModuleType, tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "table.tsv"
    path.write_text(f"folder\tfile\trepository\tcommit\tpath\tpath_is\tsha256\n{line}\n")
    with pytest.raises(ValueError, match=complaint) as caught:
        script.read_table(path)
    assert "table.tsv:2" in str(caught.value)


def test_the_table_in_the_repository_reads(script: ModuleType) -> None:
    sources = script.read_table(script.TABLE)
    assert len({(source.folder, source.file) for source in sources}) == len(sources) == 74
    assert len({source.folder for source in sources}) == 16
    assert [source.file for source in sources if source.path_is == "made"] == ["advisories.jsonl", "t0_50k.jsonl.gz"]


def test_the_data_folder_is_what_the_table_states(script: ModuleType) -> None:
    folder = ROOT.parent / "shared/data"
    if not folder.is_dir():
        pytest.skip(f"no public data at {folder}; fetch it with scripts/fetch_data.py --out")
    assert script.main(["--check", str(folder)]) == 0
