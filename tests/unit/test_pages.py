"""How the tests of the documents read a page, and that they notice what is wrong with it."""

from pathlib import Path

import pytest

from tests import pages

PAGE = """\
```bash
job=1
python watch.py $job
```
```json
{"status": "…", "attempt": 1}
```
```python
# watch.py
print(1)
```
```sh
rm -rf /
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "page.md"


def test_commands_programs_and_what_is_for_the_eye_only(page: Path) -> None:
    page.write_text(PAGE)

    read = pages.read(page)

    assert [commands.text for commands in read.commands] == ["job=1\npython watch.py $job\n"]
    assert read.commands[0].expected == ['{"status": "…", "attempt": 1}\n']
    assert read.programs == {"watch.py": "# watch.py\nprint(1)\n"}
    assert "rm" not in read.script


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (PAGE.replace("# watch.py\n", ""), "names its file"),
        (PAGE.replace("python watch.py", "true"), "nothing runs watch.py"),
        ("```json\n{}\n```\n", "nothing was run"),
    ],
)
def test_a_page_that_shows_what_is_not_run(page: Path, text: str, says: str) -> None:
    page.write_text(text)

    with pytest.raises(AssertionError, match=says):
        pages.read(page)


def test_programs_that_cannot_run_here_go_with_their_commands(page: Path) -> None:
    page.write_text(PAGE)
    read = pages.read(page)

    read.leave_out("print(")

    assert (read.programs, read.commands) == ({}, [])


@pytest.mark.parametrize(
    ("expected", "written", "lacks"),
    [
        ('{"a": …, "b": 2}', '{"a":1,"b":2}', None),
        ('"b": 2…"a": 1', '{"a":1,"b":2}', '"a": 1'),
        ("HTTP/1.1 200 OK\nETag: …", "HTTP/1.1 200 OK\r\nX: y\r\nETag: 7", None),
        ("HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found", "HTTP/1.1 200 OK"),
        ("one\none", "one", "one"),
    ],
)
def test_what_is_missing_in_an_output(expected: str, written: str, lacks: str | None) -> None:
    found = pages.missing(expected, written)

    assert (found.strip() if found else found) == lacks
