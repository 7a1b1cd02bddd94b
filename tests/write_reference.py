"""Writes docs/reference/commands.md and settings.md from the tables they describe.

Run `python -m tests.write_reference` after a change; tests/test_docs.py fails until then.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from queuectl.commands import TABLE
from queuectl.grammar.table import TAIL
from queuectl.settings import SETTINGS

if TYPE_CHECKING:
    from queuectl.grammar.table import Command, Param

REFERENCE = Path("docs/reference")


def commands() -> str:
    """Return the page of the commands."""
    lines = [
        "# Commands",
        "",
        "Generated from the command table (`python -m tests.write_reference`). The same commands work at the prompt, as"
        " `queuectl COMMAND …`, in scripts and with `-c`. Every one takes `--json` and `--help`,"
        " on the command line also `--store`, `--schema` and `--token-file`.",
        "",
    ]
    topics: dict[str, list[Command]] = {}
    for command in TABLE:
        topics.setdefault(command.topic or "Other", []).append(command)
    for topic, members in topics.items():
        lines += [f"## {topic}", ""]
        for command in members:
            lines += _command(command)
    return "\n".join(lines).rstrip() + "\n"


def _command(command: Command) -> list[str]:
    lines = [
        f"### {command.name}",
        "",
        f"{_sentence(command.summary)}",
        "",
        f"    {command.usage}",
        "",
    ]
    if command.aliases:
        lines += [f"Also: {', '.join(f'`{alias}`' for alias in command.aliases)}.", ""]
    if command.description:
        lines += [command.description.replace("\n", "\n\n"), ""]
    shown = [param for param in command.params if param.help]
    if shown:
        lines += ["| | |", "|---|---|"]
        lines += [
            f"| `{_spelled(param)}` | {param.help.replace('|', chr(92) + '|')} |" for param in shown
        ]
        lines.append("")
    lines += [f"    {example}" for example in command.examples]
    return [*lines, ""] if command.examples else lines


def _spelled(param: Param) -> str:
    if param.kind in ("option", "flag"):
        short = f"{param.short}, " if param.short else ""
        value = f" {param.placeholder}" if param.kind == "option" else ""
        return f"{short}{param.flag}{value}"
    return param.placeholder + ("" if param.kind == TAIL or param.nargs in ("", "?") else " …")


def settings() -> str:
    """Return the page of the settings."""
    lines = [
        "# Settings",
        "",
        "Generated from the table of settings (`python -m tests.write_reference`). `set` lists them with their values and where each"
        " comes from, `set NAME VALUE` makes one for the store, `set NAME --default` takes it back. The first of job, queue, store,"
        " environment (`QUEUECTL_MAX_RETRIES`) and default decides. Those marked ● are copied into a job when it is enqueued; the"
        " others apply at once.",
        "",
        "| setting | default | | meaning |",
        "|---|---|---|---|",
    ]
    for setting in SETTINGS:
        mark = "●" if setting.per_job else ""
        default = f"`{setting.default}`" if setting.default else "none"
        lines.append(f"| `{setting.name}` | {default} | {mark} | {setting.help} |")
    return "\n".join(lines) + "\n"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


#: pages and what they hold
PAGES = {"commands.md": commands, "settings.md": settings}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")
