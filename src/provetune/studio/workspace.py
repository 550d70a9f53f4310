"""The folder that the studio shows: projects in it, data files in it, new projects."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from provetune.errors import DataError, FolderError, SpecError
from provetune.spec.text import SPEC_FILE

LARGEST_UPLOAD = 4 * 2**30
"""Bytes."""
DATA_ENDINGS = (".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".xlsx", ".parquet", ".arrow", ".feather", ".txt")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DRAFT = "upload"
"""Folder of a project whose file was taken and whose project file is not written yet."""


@dataclass(frozen=True)
class Workspace:
    """`folder` is a project itself, or holds projects, each in a folder of its own."""

    folder: Path

    @property
    def is_project(self) -> bool:
        """Whether only this one project is shown."""
        return (self.folder / SPEC_FILE).is_file()

    def projects(self) -> dict[str, Path]:
        """Project folders by the name in their address, those with a draft included."""
        if self.is_project:
            return {_address(self.folder.resolve().name): self.folder}
        found = [one for one in sorted(self.folder.iterdir()) if NAME.fullmatch(one.name) and one.is_dir()]
        return {one.name: one for one in found if (one / SPEC_FILE).is_file() or (one / DRAFT).is_dir()}

    def project(self, name: str) -> Path:
        """The folder of one project; FolderError where there is none. Nothing outside the listed folders can be named."""
        found = self.projects().get(name)
        if found is None:
            raise FolderError(f"found no project named {name[:64]!r} in {self.folder}")
        return found

    def files(self) -> list[str]:
        """Names of data files that lie in the folder."""
        if self.is_project:
            return []
        return [one.name for one in sorted(self.folder.iterdir()) if one.suffix.lower() in DATA_ENDINGS and one.is_file()][:200]

    def begin(self, wanted: str, file: str) -> tuple[str, Path]:
        """A folder for a new project and the place where its data file goes: (name, file)."""
        if self.is_project:
            raise SpecError("this studio shows one project; start `provetune studio` in the folder above to make others")
        name = Path(file.replace("\\", "/")).name
        if not name or name.startswith(".") or Path(name).suffix.lower() not in DATA_ENDINGS or len(name) > 200:
            raise DataError(f"found a file named {name[:200]!r}, wanted one that ends with {', '.join(DATA_ENDINGS)}")
        address = _address(wanted or Path(name).stem)
        folder = self.folder / address
        if folder.exists():
            raise FolderError(f"{folder}: is there already; take another name")
        (folder / DRAFT).mkdir(parents=True)
        return address, folder / DRAFT / name

    def begin_with(self, wanted: str, file: str) -> str:
        """A new project with a copy of a file that lies in the folder; its name."""
        if file not in self.files():
            raise DataError(f"found no data file named {file[:200]!r} in {self.folder}")
        name, place = self.begin(wanted, file)
        shutil.copyfile(self.folder / file, place)
        return name

    async def receive(self, wanted: str, file: str, parts: AsyncIterator[bytes]) -> str:
        """A new project with a file as it comes in; its name. What was only half received is removed."""
        name, place = self.begin(wanted, file)
        size, whole = 0, False
        try:
            with place.open("wb") as out:
                async for part in parts:
                    size += len(part)
                    if size > LARGEST_UPLOAD:
                        raise DataError(f"found more than {LARGEST_UPLOAD:,} bytes; put the file into {self.folder} and choose it there")
                    out.write(part)
            if not size:
                raise DataError(f"{file[:200]}: found an empty file, wanted rows")
            whole = True
        finally:
            if not whole:
                shutil.rmtree(self.folder / name)
        return name


def _address(name: str) -> str:
    """A name that can stand in an address.

    >>> _address("Tickets März (2)")
    'Tickets-M-rz-2'
    """
    found = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:64]
    return found or "project"
