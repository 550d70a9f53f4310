"""Every command in README.md, CONTRIBUTING.md and docs/*.md runs.

How a page marks its blocks:
- ```console: each command is run here, in a new folder per page; lines that start with `$ ` are commands and
  the others are output (where no line starts so, every line is a command).
- ```bash: the same, save the commands in RUN_ELSEWHERE, which another test runs.
- ```text and others: never run.
- `# exit N` at the end of a command: this exit code is wanted instead of 0.
- `<!-- slow -->` on the line before a block: run with the slow tests only.
- `<!-- file: NAME -->` on the line before a block: the block is written to NAME in the page's folder.
- `cd FOLDER` holds for the rest of the page; the repository's `examples` folder is copied into the page's folder.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

# command -> (file that runs it, words of that file which show it)
RUN_ELSEWHERE = {
    "make demo": ("tests/flows/test_demo.py", "demo"),
    "make test": (".ci/run", "make test"),
    "make lint types": (".ci/run", "make lint types"),
    "make check": (".ci/run", "make lint types"),
    "provetune ship": ("tests/flows/test_ship.py", '"ship")'),
    "provetune ship --form merged": ("tests/flows/test_ship.py", '"--form", "merged"'),
    "provetune ship --form gguf": ("tests/flows/test_ship.py", '"gguf"'),
    "provetune registry list --log": ("tests/flows/test_ship.py", '"registry", "list", "--log"'),
    "provetune registry show": ("tests/flows/test_ship.py", '"registry", "show"'),
    "provetune registry promote 1": ("tests/flows/test_ship.py", '"registry", "promote", "1"'),
    "provetune registry rollback": ("tests/flows/test_ship.py", '"registry", "rollback"'),
    "provetune registry assign shadow 1 --share 1": ("tests/flows/test_ship.py", '"registry", "assign", "shadow", "1", "--share", "1"'),
    "provetune registry gc --dry-run": ("tests/flows/test_ship.py", '"registry", "gc", "--dry-run"'),
    "provetune registry key ada": ("tests/flows/test_ship.py", '"registry", "key", "ada"'),
    'provetune registry waive --who ada --why "a trial" --until 2099-12-31': (
        "tests/flows/test_ship.py",
        '"registry", "waive", "--who", "ada"',
    ),
    "provetune registry verify": ("tests/flows/test_ship.py", '"registry", "verify"'),
    "provetune registry restore": ("tests/flows/test_ship.py", '"registry", "restore"'),
}
FIRST_SCREEN = ["make demo", "make test"]
RUN = ("console", "bash")
NOT_RUN = ("text", "python", "json", "jsonl", "yaml", "toml", "csv", "markdown", "html", "mermaid")
FENCE = re.compile(r"^\s*```(?P<tag>\S*)(?P<rest>.*)$")
MARK = re.compile(r"^\s*<!--\s*(?P<name>slow|file):?\s*(?P<value>\S*)\s*-->\s*$")
WANTED_EXIT = re.compile(r"\s+# exit (\d+)\s*$")
SECONDS = 240  # against a hang: a command takes a few, on a busy machine a minute
SECONDS_SLOW = 900


@dataclass(frozen=True)
class Block:
    """One fenced block: its tag, its lines, the line of its opening fence, its marks."""

    tag: str
    lines: tuple[str, ...]
    line: int
    slow: bool = False
    file: str | None = None

    def commands(self) -> list[str]:
        """The commands as typed, continued lines joined, prompts and comments taken off."""
        prompted = any(line.startswith("$ ") for line in self.lines)
        found: list[str] = []
        open_command = False
        for line in self.lines:
            if open_command:
                found[-1] += "\n" + line
            elif prompted and line.startswith("$ "):
                found.append(line[2:])
            elif not prompted and line.strip() and not line.startswith("#"):
                found.append(line)
            else:
                continue
            open_command = line.endswith("\\")
        return found


def blocks_of(text: str) -> list[Block]:
    """All fenced blocks of a page; raises ValueError on one that is never closed."""
    lines = text.splitlines()
    found: list[Block] = []
    start: int | None = None
    tag = ""
    for number, line in enumerate(lines):
        fence = FENCE.match(line)
        if not fence:
            continue
        if start is None:
            start, tag = number, fence["tag"]
            continue
        mark = MARK.match(lines[start - 1]) if start else None
        file = mark["value"] if mark and mark["name"] == "file" else None
        found.append(Block(tag, tuple(lines[start + 1 : number]), start + 1, bool(mark and mark["name"] == "slow"), file))
        start = None
    if start is not None:
        raise ValueError(f"the block opened in line {start + 1} is never closed")
    return found


def pages() -> list[Path]:
    return [path for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))) if path.exists()]


def page_id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def runs_here(command: str) -> bool:
    return WANTED_EXIT.sub("", command) not in RUN_ELSEWHERE


def environment(folder: Path) -> dict[str, str]:
    """The caller's, with this interpreter's commands first, a home of its own and no network for models."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "HOME": str(folder), "HF_HUB_OFFLINE": "1", "NO_COLOR": "1", "COLUMNS": "120"}


def run_blocks(blocks: list[Block], folder: Path, seconds: float) -> list[str]:
    """Run the blocks in order; one line for the first command that ends otherwise than promised."""
    here = folder
    for block in blocks:
        if block.file:
            target = folder / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("\n".join(block.lines) + "\n", encoding="utf-8")
        for command in block.commands() if block.tag in RUN else []:
            if command.startswith("cd "):
                here = (here / command[3:].strip()).resolve(strict=True)
                continue
            if block.tag == "bash" and not runs_here(command):
                continue
            found = WANTED_EXIT.search(command)
            wanted = int(found[1]) if found else 0
            done = subprocess.run(
                ["bash", "-c", WANTED_EXIT.sub("", command)],
                cwd=here,
                env=environment(folder),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
            if done.returncode != wanted:
                return [
                    f"line {block.line}: `{command}` ended with {done.returncode}, wanted {wanted}",
                    done.stdout[-2000:],
                    done.stderr[-2000:],
                ]
    return []


def prepared(folder: Path) -> Path:
    if (ROOT / "examples").is_dir():
        shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("runs", ".provetune"))
    return folder


@pytest.mark.parametrize("page", pages(), ids=page_id)
def test_the_fast_commands_of_a_page_run(page: Path, tmp_path: Path) -> None:
    blocks = [block for block in blocks_of(page.read_text(encoding="utf-8")) if not block.slow]
    faults = run_blocks(blocks, prepared(tmp_path), SECONDS)
    assert not faults, "\n".join([page_id(page), *faults])


@pytest.mark.slow
@pytest.mark.parametrize("page", pages(), ids=page_id)
def test_all_commands_of_a_page_run(page: Path, tmp_path: Path) -> None:
    faults = run_blocks(blocks_of(page.read_text(encoding="utf-8")), prepared(tmp_path), SECONDS_SLOW)
    assert not faults, "\n".join([page_id(page), *faults])


@pytest.mark.parametrize("page", pages(), ids=page_id)
def test_every_block_says_what_it_is(page: Path) -> None:
    unknown = [
        f"line {block.line}: '{block.tag}'" for block in blocks_of(page.read_text(encoding="utf-8")) if block.tag not in (*RUN, *NOT_RUN)
    ]
    assert not unknown, f"{page_id(page)}: wanted one of {(*RUN, *NOT_RUN)}, found {unknown}"


@pytest.mark.parametrize("page", pages(), ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    broken = [link for link in links if not (page.parent / link).exists()]
    assert not broken, f"{page_id(page)}: {broken}"


def test_commands_run_elsewhere_are_run_there() -> None:
    used = {
        command
        for page in pages()
        for block in blocks_of(page.read_text(encoding="utf-8"))
        if block.tag == "bash"
        for command in block.commands()
    }
    for command, (file, words) in RUN_ELSEWHERE.items():
        if command in used:
            assert words in (ROOT / file).read_text(encoding="utf-8"), f"{file} does not run `{command}`"


def test_the_readme_begins_with_two_commands_and_shows_a_session() -> None:
    blocks = blocks_of((ROOT / "README.md").read_text(encoding="utf-8"))
    first = next(block for block in blocks if block.tag in RUN)
    assert (first.tag, first.commands()) == ("bash", FIRST_SCREEN)
    assert [block for block in blocks if block.tag == "console"], "README.md shows no session (a console block)"


PAGE = """
<!-- file: rows.jsonl -->
```json
{"a": 1}
```
```console
$ mkdir sub && cp rows.jsonl \\
    sub/copied.jsonl
output that is not run
$ cd sub
$ grep -q a copied.jsonl
$ false  # exit 1
```
<!-- slow -->
```bash
# a comment
exit 3
make test
```
"""


def test_a_page_is_read_and_run_as_promised(tmp_path: Path) -> None:
    blocks = blocks_of(PAGE)
    assert [(block.tag, block.slow, block.file) for block in blocks] == [
        ("json", False, "rows.jsonl"),
        ("console", False, None),
        ("bash", True, None),
    ]
    assert blocks[1].commands()[0] == "mkdir sub && cp rows.jsonl \\\n    sub/copied.jsonl"
    assert run_blocks(blocks[:2], tmp_path, 10) == []
    assert (tmp_path / "sub" / "copied.jsonl").read_text() == '{"a": 1}\n'
    assert run_blocks(blocks[2:], tmp_path, 10)[0] == "line 15: `exit 3` ended with 3, wanted 0"
    assert run_blocks([Block("bash", ("make test",), 1)], tmp_path, 10) == []


def test_an_open_block_is_reported() -> None:
    with pytest.raises(ValueError, match="line 2 is never closed"):
        blocks_of("text\n```bash\nls\n")
