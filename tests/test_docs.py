"""The documents say what is so: links lead somewhere, pages are fresh, examples parse."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from queuectl.commands import GRAMMAR, TABLE
from tests.write_reference import PAGES, REFERENCE

PAGES_OF_PROSE = [Path("README.md"), *sorted(Path("docs").rglob("*.md"))]


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_fresh(name: str) -> None:
    """`python -m tests.write_reference` would change nothing."""
    assert (REFERENCE / name).read_text(encoding="utf-8") == PAGES[name]()


@pytest.mark.parametrize("page", PAGES_OF_PROSE, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that is there."""
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("command", TABLE, ids=lambda command: command.name)
def test_a_command_is_documented(command: object) -> None:
    """It has a summary, and so has each of its parameters."""
    assert command.summary  # type: ignore[attr-defined]
    for param in command.params:  # type: ignore[attr-defined]
        assert param.help, param.name


@pytest.mark.parametrize("command", TABLE, ids=lambda command: command.name)
def test_examples_parse(command: object) -> None:
    """What help shows can be typed."""
    for example in command.examples:  # type: ignore[attr-defined]
        if not example.startswith("queuectl"):
            assert GRAMMAR.parse_line(example) is not None


def blocks(page: Path) -> list[str]:
    """Return the lines of a page's unmarked code blocks: what one types at the prompt."""
    prompt = "queuectl> "
    lines = []
    for number, part in enumerate(page.read_text(encoding="utf-8").split("```")):
        if number % 2 and part.startswith("\n"):
            block = part.strip("\n").splitlines()
            typed = [line.removeprefix(prompt) for line in block if line.startswith(prompt)]
            lines += typed or block
    return lines


@pytest.mark.parametrize("page", [Path("README.md"), Path("docs/quickstart.md")], ids=str)
def test_what_the_pages_tell_to_type_parses(page: Path) -> None:
    """Each line of a session is a command."""
    found = blocks(page)
    assert found
    for line in found:
        assert GRAMMAR.parse_line(line) is not None


def test_ci_runs_the_readme_test_command() -> None:
    """There is one test command, in the README, and it is one line."""
    readme = Path("README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"<!-- test -->\n```sh\n(.*?)\n```", readme, re.DOTALL)
    assert "\n" not in command
    assert "pytest" in command
    assert "<!-- test -->" in Path(".ci/run").read_text(encoding="utf-8")


def test_every_package_is_shipped() -> None:
    """A directory of modules that pyproject.toml does not name would be missing when installed."""
    configured = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    shipped = set(configured["tool"]["setuptools"]["packages"])
    there = {".".join(path.parent.parts) for path in Path("queuectl").rglob("__init__.py")}
    assert shipped == there


def test_the_architecture_names_every_module_and_no_other() -> None:
    """Its table has modules by name, a whole package as `commands/`."""
    page = Path("docs/explanation/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.*?) \|", page, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    there = {
        str(path.relative_to("queuectl").with_suffix(""))
        for path in Path("queuectl").rglob("*.py") if path.name != "__init__.py"
    }  # fmt: skip

    def covers(name: str, module: str) -> bool:
        return fnmatch(module, f"{name}*" if name.endswith("/") else name)

    assert not {module for module in there if not any(covers(name, module) for name in named)}
    assert not {name for name in named if not any(covers(name, module) for module in there)}
