"""docs/errors.md is made of the messages that tests provoke: ``pytest --write-error-table`` writes it anew.

Without the option every such test compares its message with the line that stands there.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

TABLE = Path(__file__).resolve().parents[1] / "docs" / "errors.md"
HEADER = """# Errors and what they say

Made by the tests that provoke them: `python -m pytest --write-error-table`. `DIR` stands for a folder of the test.

| what is wrong | error | message |
|---|---|---|
"""
DocumentedError = Callable[[str, type[BaseException]], AbstractContextManager[None]]
_rows = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-error-table", action="store_true", help="write docs/errors.md from the messages")
    parser.addoption("--write-exports-table", action="store_true", help="write docs/exports_tried.md anew")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_rows] = {}


def pytest_sessionfinish(session: pytest.Session) -> None:
    rows = session.config.stash[_rows]
    if session.config.getoption("--write-error-table") and rows:
        old = TABLE.read_text().splitlines(keepends=True) if TABLE.is_file() else []
        kept = {line.split(" | ")[0].removeprefix("| "): line for line in old if " | `" in line}
        TABLE.write_text(HEADER + "".join(line for _, line in sorted((kept | rows).items())))


def message_of(error: BaseException) -> str:
    """What a user reads, on one line."""
    return " ".join(str(error).split()).replace("|", "\\|")


@pytest.fixture
def documented_error(request: pytest.FixtureRequest, tmp_path: Path) -> DocumentedError:
    """``with documented_error('what is wrong', ErrorClass): ...`` expects the error and its line in docs/errors.md."""

    @contextmanager
    def expect(case: str, kind: type[BaseException]) -> Iterator[None]:
        with pytest.raises(kind) as caught:
            yield
        message = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", message_of(caught.value).replace(str(tmp_path), "DIR"))
        message = message.replace(str(Path.cwd()), "DIR")
        # Random weights, and so their hashes, differ in their last bits with the instructions of a CPU.
        message = re.sub(r"\b[0-9a-f]{12}\.\.\.", "HASH...", message)
        row = f"| {case} | `{type(caught.value).__name__}` | {message} |\n"
        request.config.stash[_rows][case] = row
        if not request.config.getoption("--write-error-table"):
            assert row in TABLE.read_text(), "docs/errors.md is old: python -m pytest --write-error-table"

    return expect
