"""The texts that strategies are made of: one file each, which a project may put its own in place of.

A text is plain, with names in braces for what is filled in; `{{name}}` stands for `{name}` itself. Nothing else is special, so JSON can be
written as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from provetune.errors import SpecError

FOLDER = Path(__file__).parent / "templates"
PLACEHOLDERS = ("labels", "descriptions", "schema", "role", "marker")
NEEDED = {"chain-of-thought": "marker", "role": "role"}
"""What a text is of no use without."""
_NAME = re.compile(r"\{\{([A-Za-z_]+)\}\}|\{([A-Za-z_]+)\}")


def load_templates(folder: Path | None = None) -> dict[str, str]:
    """Every text by name; those of `folder` (`<name>.txt`) stand in place of ours.

    Raises SpecError on a file of `folder` that replaces none, cannot be read, or fills in something that there is not.
    """
    texts = {file.stem: _read(file) for file in sorted(FOLDER.glob("*.txt"))}
    for file in sorted(folder.glob("*.txt")) if folder is not None and folder.is_dir() else []:
        if file.stem not in texts:
            raise SpecError(f"{file}: there is no text of this name to replace; wanted one of {', '.join(sorted(texts))}")
        text = texts[file.stem] = _read(file)
        _check(file, text)
    return texts


def copy_templates(folder: Path) -> list[Path]:
    """Write our texts into `folder`, to be edited there; those that are there already stay as they are. Returns what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / file.name for file in sorted(FOLDER.glob("*.txt")) if not (folder / file.name).exists()]
    for file in written:
        file.write_text((FOLDER / file.name).read_text(encoding="utf-8"), encoding="utf-8")
    return written


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with each `{name}` replaced, once: what is put in is not looked at again.

    >>> fill('One of {labels}. {{labels}} or {"a": 1} stay.', {"labels": "x, {role}"})
    'One of x, {role}. {labels} or {"a": 1} stay.'
    """
    return _NAME.sub(lambda found: f"{{{found[1]}}}" if found[1] else values[found[2]], text)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{file}: cannot be read as text ({error})") from error


def _check(file: Path, text: str) -> None:
    names = set()
    for number, line in enumerate(text.splitlines(), start=1):
        for found in _NAME.finditer(line):
            if found[2] and found[2] not in PLACEHOLDERS:
                known = ", ".join(PLACEHOLDERS)
                raise SpecError(f"{file}:{number}: found {{{found[2]}}}, wanted one of {known}; double the braces to keep them as they are")
            names.add(found[2])
    wanted = NEEDED.get(file.stem)
    if wanted is not None and wanted not in names:
        raise SpecError(f"{file}: found no {{{wanted}}}, which this text must say; compare {FOLDER / file.name}")
