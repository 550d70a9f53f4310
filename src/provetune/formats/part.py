"""One part of a file or folder that holds several: `book.xlsx#Sheet`, `folder#train`."""

from __future__ import annotations

from pathlib import Path


def split_part(path: Path) -> tuple[Path, str | None]:
    """The file or folder, and the part that is named after a `#`; a name that exists as it stands has no part.

    >>> split_part(Path("no-such-book.xlsx#Sheet1"))
    (PosixPath('no-such-book.xlsx'), 'Sheet1')
    """
    text = str(path)
    if path.exists() or "#" not in text:
        return path, None
    places = [place for place, character in enumerate(text) if character == "#"]
    cut = next((place for place in places if Path(text[:place]).exists()), places[0])
    return Path(text[:cut]), text[cut + 1 :]


def joined(path: Path, part: str) -> str:
    """The name of one part, as `data.path` takes it."""
    return f"{path}#{part}" if part else str(path)
