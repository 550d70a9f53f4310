"""The studio from outside: who may come in, what is refused; a file becomes a project; rows are shown as they are trained."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from provetune.errors import SpecError
from provetune.spec.text import SPEC_FILE
from provetune.studio import workspace
from provetune.studio.actions import ACTIONS, JOBS
from provetune.studio.app import Studio, guarded
from provetune.studio.screens import COMMANDS, SCREENS, TITLES
from provetune.studio.server import Bind, serve
from provetune.studio.workspace import Workspace

HOME = "http://127.0.0.1:8400"
HOSTS = frozenset({"127.0.0.1:8400"})
ROWS = "id,message,queue\n" + "".join(
    f"t{k},please {word} number {k},{queue}\n"
    for k in range(60)
    for word, queue in [("refund my invoice", "billing") if k % 2 else ("find my parcel", "delivery")]
)


class Visitor:
    """A browser at the studio."""

    def __init__(self, folder: Path, token: str | None = None) -> None:
        self.folder = folder
        self.client = TestClient(guarded(Studio(Workspace(folder), {}), HOSTS, token), base_url=HOME)

    def key(self) -> str:
        found = re.search(r'name="key" value="([^"]+)"', self.client.get("/doctor").text)
        assert found is not None
        return found[1]

    def post(self, path: str, origin: str | None = HOME, **fields: str) -> Response:
        headers = {"origin": origin} if origin else {}
        return self.client.post(path, data={"key": self.key(), **fields}, headers=headers)

    def upload(self, file: str, content: str = ROWS, **more: str) -> Response:
        headers = {"origin": HOME, "x-provetune-form": self.key()}
        return self.client.post("/upload", params={"file": file, **more}, content=content, headers=headers)


@pytest.fixture
def visitor(tmp_path: Path) -> Visitor:
    return Visitor(tmp_path)


@pytest.fixture
def tickets(visitor: Visitor) -> Visitor:
    """A project made from a file."""
    assert visitor.upload("tickets.csv").json() == {"go": "/p/tickets/setup"}
    answered = visitor.post("/p/tickets/setup", base="starter")
    assert str(answered.url) == f"{HOME}/p/tickets/data", answered.text
    return visitor


def test_a_file_becomes_a_project_and_its_rows_are_shown_as_trained(tickets: Visitor) -> None:
    text = tickets.client.get("/p/tickets/data").text
    assert "data: {path: upload/tickets.csv, columns: {prompt: message, target: queue}}" in (
        tickets.folder / "tickets" / SPEC_FILE
    ).read_text(encoding="utf-8")
    assert "please find my parcel number 0" in text and len(re.findall(r"<mark>(?:billing|delivery)&lt;\|end\|&gt;</mark>", text)) == 5
    assert "<dd>60</dd>" in text and "Page 1 of 12" in text
    found = tickets.client.get("/p/tickets/data", params={"q": "NUMBER 17"}).text
    assert "refund my invoice number 17" in found and "1 rows with “NUMBER 17”" in found
    assert tickets.client.get("/p/tickets/data", params={"page": "999"}).text.count("<article") == 5
    assert tickets.client.get("/p/tickets/data", params={"page": "-1"}).status_code == 200


def test_what_a_file_does_not_say_is_asked(visitor: Visitor) -> None:
    rows = "a,b,c\n" + "".join(f"word {k} of a long sentence,other words {k} here too,third text {k} of its own\n" for k in range(30))
    visitor.upload("odd.csv", rows)
    asked = visitor.post("/p/odd/setup").text
    assert 'type="radio" name="answer0"' in asked and not (visitor.folder / "odd" / SPEC_FILE).exists()
    fields: dict[str, str] = {}
    for _ in range(4):
        found = re.search(r'type="radio" name="(answer\d)" value="([^"]+)" checked', asked)
        if found is None:
            break
        fields[found[1]] = found[2]
        asked = visitor.post("/p/odd/setup", **fields).text
    assert (visitor.folder / "odd" / SPEC_FILE).is_file() and 1 <= len(fields) <= 3


def test_every_screen_answers_before_anything_was_run(tickets: Visitor) -> None:
    assert list(TITLES) == [*SCREENS, "settings"] and set(COMMANDS) == set(TITLES)
    for name in TITLES:
        page = tickets.client.get(f"/p/tickets/{name}")
        assert page.status_code == 200 and len(page.content) < 200_000
        assert "The same in the terminal" in page.text and 'aria-current="page"' in page.text
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', page.text)  # nothing from outside
    assert tickets.client.get("/").text.count("No decision yet") == 1
    assert str(tickets.client.get("/p/tickets").url).endswith("/data")


def test_expert_shows_more_on_the_same_page(tickets: Visitor) -> None:
    guided = tickets.client.get("/p/tickets/data").text
    answer = tickets.post("/mode", mode="expert", back="/p/tickets/data")
    assert str(answer.url) == f"{HOME}/p/tickets/data"
    assert "Expert view" in answer.text and "<dt>template</dt>" in answer.text and "<dt>template</dt>" not in guided
    assert str(tickets.post("/mode", mode="guided", back="//evil.example/").url) == f"{HOME}/"


def test_the_project_file_is_written_only_where_it_holds(tickets: Visitor) -> None:
    file = tickets.folder / "tickets" / SPEC_FILE
    before = file.read_text(encoding="utf-8")
    refused = tickets.post("/p/tickets/settings", text=before.replace("margin:", "margim:"))
    assert refused.status_code == 400 and "margim" in refused.text and file.read_text(encoding="utf-8") == before
    taken = tickets.post("/p/tickets/settings", text=before.replace("margin: 0.02", "margin: 0.05"))
    assert str(taken.url).endswith("/data") and "margin: 0.05" in file.read_text(encoding="utf-8")
    assert not list((file.parent / ".provetune").glob("draft-*"))


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:9999", "127.0.0.1", "localhost.evil.example:8400"])
def test_another_host_name_is_refused(visitor: Visitor, host: str) -> None:
    assert visitor.client.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:9999", "http://127.0.0.1:8400.evil.example"])
def test_an_action_from_another_page_is_refused(tickets: Visitor, origin: str | None) -> None:
    assert tickets.post("/p/tickets/do/audit", origin=origin).status_code == 403
    assert not (tickets.folder / "tickets" / JOBS).exists()


def test_a_form_of_another_browser_is_refused(tickets: Visitor) -> None:
    for key in ("", "guess", Visitor(tickets.folder).key()):
        answer = tickets.client.post("/p/tickets/do/audit", data={"key": key}, headers={"origin": HOME})
        assert answer.status_code == 400 and "was not made by the studio for this browser" in answer.text
        headers = {"origin": HOME, "x-provetune-form": key}
        assert tickets.client.post("/upload", params={"file": "b.csv"}, content=ROWS, headers=headers).status_code == 400
    assert not (tickets.folder / "tickets" / JOBS).exists() and not (tickets.folder / "b").exists()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_other_methods_are_refused(visitor: Visitor, method: str) -> None:
    assert visitor.client.request(method, "/").status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        *("/p/%2e%2e/data", "/p/..%2f..%2fetc/data", "/p/nothing/data", "/p/tickets/nothing"),
        *("/p/tickets/runs/..%2f..%2fprovetune.yaml/report.html", "/p/tickets/runs/x/report.html", "/p/tickets/jobs/..%2f..%2fx"),
        *("/p/tickets/jobs/%2e", "/p/tickets/page/vote?person=..%2f..%2fa&job=x", "/static/../../etc/passwd"),
    ],
)
def test_no_path_leaves_the_project(tickets: Visitor, path: str) -> None:
    (tickets.folder.parent / SPEC_FILE).write_text("secret", encoding="utf-8")
    answer = tickets.client.get(path)
    assert answer.status_code in (404, 400) and "secret" not in answer.text and "root:" not in answer.text


@pytest.mark.parametrize("file", ["../../evil.csv", "..\\evil.csv", "/etc/evil.csv"])
def test_an_uploaded_file_stays_in_its_folder(visitor: Visitor, file: str) -> None:
    assert visitor.upload(file).status_code == 200
    assert [str(one.relative_to(visitor.folder)) for one in visitor.folder.rglob("*.csv")] == ["evil/upload/evil.csv"]


@pytest.mark.parametrize("file", ["model.pkl", "weights.bin", ".csv", "..", "", "x" * 250 + ".csv", "a.csv\x00.pkl"])
def test_other_files_are_refused(visitor: Visitor, file: str) -> None:
    answer = visitor.upload(file)
    assert answer.status_code == 400 and "wanted one that ends with .jsonl" in answer.json()["alert"]
    assert not list(visitor.folder.iterdir())


def test_a_project_is_not_overwritten_and_half_a_file_leaves_nothing(tickets: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    again = tickets.upload("tickets.csv", "other")
    assert again.status_code == 404 and "is there already" in again.json()["alert"]
    assert tickets.upload("empty.csv", "").status_code == 400
    monkeypatch.setattr(workspace, "LARGEST_UPLOAD", 100)
    assert "more than 100 bytes" in tickets.upload("large.csv").json()["alert"]
    assert sorted(one.name for one in tickets.folder.iterdir()) == ["tickets"]


def test_a_file_of_the_folder_is_taken_without_javascript(visitor: Visitor) -> None:
    (visitor.folder / "there.csv").write_text(ROWS, encoding="utf-8")
    (visitor.folder / "secret.key").write_text("x", encoding="utf-8")
    home = visitor.client.get("/").text
    assert "<option>there.csv</option>" in home and "secret.key" not in home
    assert str(visitor.post("/new", file="there.csv", name="mine").url).endswith("/p/mine/setup")
    assert visitor.post("/new", file="../there.csv", name="no").status_code == 400


def test_text_of_the_data_is_never_markup(visitor: Visitor) -> None:
    nasty = '<script>alert(1)</script><img src="//evil.example/x">'
    rows = [json.dumps({"prompt": f"{nasty} {k}", "completion": ["yes", "no"][k % 2]}) for k in range(40)]
    visitor.upload("nasty.jsonl", "\n".join(rows))
    page = visitor.post("/p/nasty/setup")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text and "<script>alert" not in page.text and "<img" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "connect-src 'self'" in policy
    assert page.headers["x-content-type-options"] == "nosniff" and page.headers["cache-control"] == "no-store"


def test_a_damaged_project_does_not_hide_the_others(tickets: Visitor) -> None:
    (tickets.folder / "broken").mkdir()
    (tickets.folder / "broken" / SPEC_FILE).write_text("version: [", encoding="utf-8")
    (tickets.folder / "broken" / "runs" / "20260101T000000-aa").mkdir(parents=True)
    (tickets.folder / "broken" / "runs" / "20260101T000000-aa" / "evidence.json").write_text("{", encoding="utf-8")
    home = tickets.client.get("/")
    assert home.status_code == 200 and "/p/tickets" in home.text and "/p/broken" in home.text
    page = tickets.client.get("/p/broken/data")
    assert page.status_code == 400 and SPEC_FILE in page.text


def test_a_token_opens_once_and_then_the_cookie_does(tmp_path: Path) -> None:
    one = Visitor(tmp_path, "s" * 20)
    assert one.client.get("/").status_code == 403 and one.client.get("/", params={"token": "wrong"}).status_code == 403
    opened = one.client.get("/doctor", params={"token": "s" * 20, "a": "b"})
    assert opened.status_code == 200 and str(opened.url) == f"{HOME}/doctor?a=b"
    assert one.client.get("/").status_code == 200 and Visitor(tmp_path, "s" * 20).client.get("/").status_code == 403


def test_nobody_else_is_let_in_without_a_token(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "192.168.1.7", "example.com", "::"):
        with pytest.raises(SpecError, match="--token"):
            serve(tmp_path, Bind(host), lambda address: None)
    with pytest.raises(SpecError, match="fewer than 16"):
        Bind("0.0.0.0", token="short").checked()
    assert Bind("0.0.0.0", 1, "t" * 16, ("studio.example", "b.example:444")).checked().hosts(1) >= {"studio.example", "b.example:444"}
    assert "evil.example:1" not in Bind().hosts(1)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SpecError, match="take another port"):
        serve(tmp_path, Bind(port=taken.getsockname()[1]), lambda address: None)


def test_actions_are_commands_that_are_there() -> None:
    from provetune.cli import app

    verbs = {str(one.name or getattr(one.callback, "__name__", "")) for one in app.registered_commands}
    assert {action.words[0] for action in ACTIONS.values()} <= verbs and {action.then for action in ACTIONS.values()} <= set(TITLES)
