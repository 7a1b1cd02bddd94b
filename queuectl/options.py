"""What stands in front of a command: flags of the session, and the store that they name.

Imported by every one-shot command, so it imports next to nothing (docs/adr/0002).
"""

from __future__ import annotations

import os

from queuectl.errors import UsageError
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from queuectl.store.base import Store

USAGE = """\
usage: queuectl [--store URL] [--json] [COMMAND …]
       queuectl [--store URL] [--json] [--keep-going] -c LINE [-c LINE …]
       queuectl [--store URL] [--json] [--keep-going] < SCRIPT

Without a command: an interactive shell on a terminal, else a script on standard input.
The first four may also stand among the flags of the command: queuectl worker start 4 --store URL.

  --store URL   where the jobs live: a path, sqlite:///absolute/path, postgresql://host/database
                or http://host:port of a `serve` (QUEUECTL_STORE)
  --token-file FILE
                what to show a `serve` (QUEUECTL_TOKEN_FILE)
  --schema NAME the schema of a PostgreSQL store; queuectl by default (QUEUECTL_SCHEMA)
  --json        print one JSON document for each command
  -c LINE       run a line; may be repeated, and hold several lines
  --keep-going  go on after a line that fails
  -V, --version show the version
  -h, --help    show this help
"""


class Options(Record):
    """What stands in front of the command."""

    words: tuple[str, ...] = ()
    store: str | None = None
    schema: str | None = None
    token_file: str | None = None
    json: bool = False
    lines: tuple[str, ...] = ()
    keep_going: bool = False
    #: --version or --help
    wants: str = ""
    #: the command only looks at what is in the store
    looks: bool = False
    #: the process ends after this, so what the kernel closes need not be closed
    last: bool = False


def read_options(argv: Sequence[str]) -> Options:
    """Read the flags before the command. Raises UsageError."""
    values: dict[str, str] = {}
    lines: list[str] = []
    flags: set[str] = set()
    words = list(argv)
    while words and words[0].startswith("-") and len(words[0]) > 1:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if name in ("--store", "--schema", "--token-file", "-c"):
            if not equals:
                if not words:
                    raise UsageError(f"{name} needs a value")
                value = words.pop(0)
            if name == "-c":
                lines.append(value)
            else:
                values[name] = value
        elif word in ("--json", "--keep-going", "--version", "--help"):
            flags.add(word)
        elif word in ("-h", "-V"):
            flags.add("--help" if word == "-h" else "--version")
        else:
            from queuectl.errors import did_you_mean

            known = (
                "--store", "--schema", "--token-file", "--json", "-c", "--keep-going", "--version",
                "--help",
            )  # fmt: skip
            raise UsageError(
                f"no flag {name}{did_you_mean(name, known)}; flags of a command follow it"
            )
    if lines and words:
        raise UsageError(f"-c and a command: put {' '.join(words)!r} in a -c of its own")
    wants = "version" if "--version" in flags else "help" if "--help" in flags else ""
    return Options(
        tuple(words), values.get("--store"), values.get("--schema"),
        values.get("--token-file"), "--json" in flags,
        tuple(lines), "--keep-going" in flags, wants,
    )  # fmt: skip


def open_chosen(options: Options) -> Store:
    """Open the store; the default one is made with its directory, one that was named without.

    Raises what `open_store` raises, UsageError.
    """
    from queuectl.paths import default_url
    from queuectl.settings import from_environment
    from queuectl.store import check_place, open_store

    url = url_of(options)
    if url != default_url(os.environ):
        check_place(url, file=options.looks)
    return open_store(url, local_settings=from_environment(os.environ))


def url_of(options: Options) -> str:
    """Return the store's URL as it was given, secrets and all. Raises UsageError."""
    if options.store is not None and not options.store.strip():
        raise UsageError(
            "--store is empty: a store is sqlite:///absolute/path or postgresql://host/database"
        )
    if options.token_file is not None:
        # for hosts in the background, too
        os.environ["QUEUECTL_TOKEN_FILE"] = os.path.abspath(options.token_file)
    url = options.store or os.environ.get("QUEUECTL_STORE")
    if not url:
        from queuectl.paths import default_url

        url = default_url(os.environ)
    elif url.startswith(("./", "../", "~")):
        # the same one from every directory
        url = os.path.abspath(os.path.expanduser(url))
    return _with_schema(url, options.schema)


def _with_schema(url: str, given: str | None) -> str:
    """Return the URL with the schema of the flag or QUEUECTL_SCHEMA, where it names none."""
    schema = given or os.environ.get("QUEUECTL_SCHEMA")
    if not url.startswith(("postgresql:", "postgres:")):
        if given:
            raise UsageError("--schema: only a postgresql:// store has schemas")
        return url
    if not schema or ("schema=" in url and not given):
        return url
    return f"{url}{'&' if '?' in url else '?'}schema={schema}"
