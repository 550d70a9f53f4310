"""An HTML page as an element tree, read by the standard library; refuses tags that are not closed in order."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from xml.etree import ElementTree

VOID = {"meta", "br", "img", "link", "input", "hr"}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tree = ElementTree.TreeBuilder()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tree.start(tag, {key: value or "" for key, value in attrs})
        if tag in VOID:
            self.tree.end(tag)
        else:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            raise AssertionError(f"</{tag}> at {self.getpos()} closes nothing")
        self.tree.end(tag)

    def handle_data(self, data: str) -> None:
        if self.open:
            self.tree.data(data)


def tree_of(page: str) -> ElementTree.Element:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader.tree.close()


def words_of(element: ElementTree.Element) -> str:
    """All text below an element, spaces joined."""
    return " ".join("".join(element.itertext()).split())


def attributes(root: ElementTree.Element, *names: str) -> Iterator[str]:
    """Values of these attributes, anywhere."""
    return (node.attrib[name] for node in root.iter() for name in names if name in node.attrib)


def table_of(root: ElementTree.Element, caption: str) -> ElementTree.Element:
    (found,) = (table for table in root.iter("table") if words_of(table[0]) == caption)
    return found


def section_of(root: ElementTree.Element, name: str) -> ElementTree.Element:
    (found,) = (section for section in root.iter("section") if section.get("id") == name)
    return found


def rows_of(table: ElementTree.Element) -> list[list[str]]:
    """The cells of the body."""
    return [[words_of(cell) for cell in row] for row in table.findall("./tbody/tr")]
