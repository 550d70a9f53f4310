"""UTF-8 in, or an error that names the first byte that is not."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provetune.errors import DataError
from provetune.formats.text import did_you_mean, physical_lines, read_text

PLAY_MUSIC = Path("snips", "PlayMusic", "train_PlayMusic_full.json")


def failure(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_text(path)
    return str(caught.value)


def write(folder: Path, raw: bytes) -> Path:
    path = folder / "it's data.txt"
    path.write_bytes(raw)
    return path


def run_remedy(message: str) -> None:
    """Run the command that the message names, as a user would."""
    command = re.search(r"`(.*)`", message)
    assert command is not None
    subprocess.run(command.group(1), shell=True, check=True, timeout=30)


def test_a_byte_order_mark_is_dropped_and_line_ends_stay(tmp_path: Path) -> None:
    assert read_text(write(tmp_path, b"\xef\xbb\xbfa\r\nb\xc3\xa9\n")) == "a\r\nbé\n"


@pytest.mark.parametrize(
    ("raw", "line", "offset", "byte"),
    [
        (b"caf\xe9\n", 1, 3, "0xe9"),
        (b"\xef\xbb\xbfcaf\xe9\n", 1, 6, "0xe9"),  # the byte order mark counts: the offset is one of the file
        (b"a\r\nb\rc\n\xc3\xa9 \xff", 4, 10, "0xff"),
        (b"one\ntwo\n\xc3", 3, 8, "0xc3"),  # cut in the middle of a character
    ],
)
def test_the_first_bad_byte_is_named(tmp_path: Path, raw: bytes, line: int, offset: int, byte: str) -> None:
    path = write(tmp_path, raw)
    assert failure(path).startswith(f"{path}:{line}: not UTF-8: found byte {byte} at byte offset {offset} of the file; save it as UTF-8")


@pytest.mark.parametrize("encoding", ["latin1", "utf-16"])
def test_the_remedy_mends_the_file(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, "déjà vu\nnaïve\n".encode(encoding))
    message = failure(path)
    assert f"iconv -f {encoding} -t utf-8 " in message
    run_remedy(message)
    assert read_text(Path(f"{path}.utf8")) == "déjà vu\nnaïve\n"


def test_utf16_without_a_mark_is_seen_by_its_nul_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, "text\n".encode("utf-16-le"))
    assert failure(path).startswith(f"{path}:1: found byte 0x00 at byte offset 1 of the file")
    path = write(tmp_path, b"a\nb\nc\0d")
    assert failure(path).startswith(f"{path}:3: found byte 0x00 at byte offset 5 of the file")


def test_surrogates_written_as_utf8_are_mended_by_the_remedy(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "é\n😀!\n".encode("utf-16", "surrogatepass").decode("utf-16").encode().replace(b"\xf0\x9f\x98\x80", b"\xed\xa0\xbd\xed\xb8\x80"),
    )
    message = failure(path)
    assert message.startswith(f"{path}:2: not UTF-8: found byte 0xed at byte offset 3 of the file") and "CESU-8" in message
    run_remedy(message)
    assert read_text(Path(f"{path}.utf8")) == "é\n😀!\n"


@pytest.mark.parametrize("raw", [b"", b" \r\n\t\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_an_empty_file_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = write(tmp_path, raw)
    assert failure(path).startswith(f"{path}: found {len(raw)} bytes and no text")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert failure(tmp_path / "absent.csv").startswith(f"{tmp_path / 'absent.csv'}: found no such file")
    assert failure(tmp_path).startswith(f"{tmp_path}: found a folder")
    below = write(tmp_path, b"text") / "below"
    assert failure(below).startswith(f"{below}: cannot be read: Not a directory")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_lines_are_cut_as_an_editor_does(text: str) -> None:
    lines = list(physical_lines(text))
    assert "".join(lines) == text
    # slow twin: an editor knows \r\n, \r and \n, and not U+2028, form feed or the others of str.splitlines
    ends = len(re.findall("\r\n|\r|\n", text))
    assert len(lines) == ends + (not text.endswith(("\r", "\n")) and text != "")


def test_the_nearest_name_is_offered_whatever_its_case() -> None:
    assert did_you_mean("QUEUE", ["text", "queue"]) == "; did you mean 'queue'?"
    assert did_you_mean("zzz", ["text", "queue"]) == ""


def test_snips_is_refused_at_its_first_bad_byte(public_data: Path) -> None:
    path = public_data / PLAY_MUSIC
    with pytest.raises(UnicodeDecodeError) as decoding:
        path.read_bytes().decode()
    assert decoding.value.start == 150732
    assert failure(path).startswith(f"{path}:9091: not UTF-8: found byte 0xed at byte offset 150732 of the file")
