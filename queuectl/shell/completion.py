"""`completion`: what makes bash, zsh and fish complete command lines, and the answers to what they ask.

A shell asks `queuectl completion --at LINE` at every Tab, so prompt_toolkit is not imported, only
what the word at the cursor needs is read, and a store that is not there is not made.
"""

from __future__ import annotations

import os

from queuectl.commands import GRAMMAR
from queuectl.commands.result import Result, Stream, Text
from queuectl.errors import UsageError
from queuectl.grammar.cursor import A_COMMAND, A_VALUE, ARGUMENTS, IN_TAIL
from queuectl.grammar.reading import VALUE, WordsSource, read
from queuectl.grammar.table import OPTION, SESSION, TAIL
from queuectl.grammar.tokens import next_word
from queuectl.job import STATES
from queuectl.record import Record
from queuectl.render import cut, visible
from queuectl.shell import values
from queuectl.shell.known import MOST, KnownJob, KnownQueue, Picture
from queuectl.shell.values import ACTS_ON, Asked, Offer
from queuectl.store.base import Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import TypeVar

    from queuectl.commands.context import Context
    from queuectl.grammar.cursor import Expected
    from queuectl.grammar.table import Args
    from queuectl.store.base import Store

    T = TypeVar("T")

#: answers that leave it to the shell
FILES, PROGRAMS = ":files", ":programs"
#: flags in front of the command, whether they take a value, and what they are for
_IN_FRONT: Mapping[str, tuple[bool, str]] = {
    **{param.flag: (True, param.help) for param in SESSION},
    "--json": (False, "print one JSON document for each command"),
    "-c": (True, "run a line"),
    "--keep-going": (False, "go on after a line that fails"),
    "--version": (False, "show the version"),
    "--help": (False, "show help"),
}
_PATHS = frozenset(("files", "directories"))
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-@%,:=^")
_ABOUT = 60

BASH = r"""# bash completion for queuectl: eval "$(queuectl completion bash)"
_queuectl() {
  local line=${COMP_LINE:0:COMP_POINT} word=$2 before='' found
  COMPREPLY=()
  compopt +o default 2>/dev/null
  while IFS= read -r found; do
    case $found in
      :files) compopt -o default 2>/dev/null; return ;;
      :programs)
        while IFS= read -r found; do COMPREPLY+=("$found"); done < <(compgen -c -- "$word")
        return ;;
      :from*) before=${found#:from}; continue ;;
    esac
    found=${found%%$'\t'*}
    # bash takes what stands behind a quote, a = or a : for a word of its own
    found=${found#"${before%"$word"}"}
    case $found in
      *=) compopt -o nospace 2>/dev/null ;;
    esac
    COMPREPLY+=("$found")
  done < <("$1" completion --at "$line" 2>/dev/null)
}
complete -o default -F _queuectl queuectl
"""
ZSH = r"""#compdef queuectl
# zsh completion for queuectl: eval "$(queuectl completion zsh)", behind compinit
_queuectl() {
  local found
  local -a candidates shown
  for found in ${(f)"$("${words[1]}" completion --at "${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null)"}; do
    case $found in
      :files) _files; return ;;
      :programs) _command_names -e; return ;;
      :from*) continue ;;
    esac
    candidates+=("${found%%$'\t'*}")
    shown+=("${found/$'\t'/  }")
  done
  (( $#candidates )) && compadd -Q -l -d shown -a candidates
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _queuectl "$@"
else
  compdef _queuectl queuectl
fi
"""
FISH = r"""# fish completion for queuectl: queuectl completion fish | source
function __queuectl_complete
  set -l program (commandline -opc)[1]
  for found in ($program completion --at (commandline -cp | string collect) 2>/dev/null)
    switch $found
      case :files
        __fish_complete_path (commandline -ct)
      case :programs
        __fish_complete_command
      case ':from*'
      case '*'
        printf '%s\n' $found
    end
  end
end
complete -c queuectl -f -a '(__queuectl_complete)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


class _Line(Record):
    """A line up to the cursor, without the program and the flags in front of the command."""

    text: str
    #: flags of the session, wherever they stand
    session: Mapping[str, str]
    #: the word at the cursor stands before the command: a flag, or the value of one
    flag: str | None = None
    value: bool = False


def completion(ctx: Context, args: Args) -> Result:
    """Run the command."""
    if args.at is not None:
        # answered even when something is wrong: nobody reads an error at a Tab
        lines = answers(args.at, lambda session: _store(ctx, session))
        return Result(None, (Stream((1, os.fsencode(f"{line}\n")) for line in lines),))
    if args.shell is None:
        raise UsageError('completion for which shell? for bash: eval "$(queuectl completion bash)"')
    script = SCRIPTS[args.shell]
    return Result({"shell": args.shell, "script": script}, (Text(script.rstrip("\n")),))


def answers(line: str, store: Callable[[Mapping[str, str]], Store | None]) -> Iterator[str]:
    """Yield the answer for the end of a line that begins with the program: `WORD<tab>remark`.

    `store` opens the store for the flags of the session, None when there is none. The first line
    is `:from` and what stands of the word already; `:files` and `:programs` leave it to the shell.
    """
    given = _behind_program(line)
    if given.value:
        yield FILES
        return
    if given.flag is not None:
        yield f":from{given.flag}"
        for flag, (_, about) in _IN_FRONT.items():
            if flag.startswith(given.flag):
                yield f"{flag}\t{about}"
        return
    expected = GRAMMAR.expected_at(given.text, len(given.text))
    special = _left_to_the_shell(expected)
    if special:
        yield special
        return
    typed = _word_at_end(given.text)
    # with commas only the last piece is completed, and a flag may be joined to its value
    kept = given.text[len(given.text) - len(typed) : expected.start]
    yield f":from{typed}"
    for offer in _offers(given, expected, store):
        if offer.word.startswith(expected.prefix):
            word = f"{kept}{_quoted(offer.word, expected.quote)}"
            yield f"{word}\t{cut(visible(offer.about), _ABOUT)}" if offer.about else word


def _behind_program(line: str) -> _Line:
    """Take off the program and what stands in front of the command."""
    word = next_word(line, 0)
    position = word.end if word is not None else 0
    session: dict[str, str] = {}
    while (word := next_word(line, position)) is not None and word.text.startswith("-"):
        name, equals, value = word.text.partition("=")
        takes = _IN_FRONT.get(name, (False, ""))[0]
        if word.end == len(line):
            return _Line("", session, name, value=bool(takes and equals))
        position = word.end
        if takes and not equals:
            word = next_word(line, position)
            if word is None or word.end == len(line):
                return _Line("", session, "", value=True)
            value, position = word.text, word.end
        if takes:
            session[name[2:].replace("-", "_")] = value
    text = line[position:].lstrip()
    return _Line(text, {**session, **_among_arguments(text)})


def _among_arguments(text: str) -> Mapping[str, str]:
    """Return the flags of the session behind the command."""
    words = []
    position = 0
    while (word := next_word(text, position)) is not None:
        words.append(word.text)
        position = word.end
    found = read(GRAMMAR.index, WordsSource(words)).session
    return {name: value for name, value in found.items() if value}


def _word_at_end(text: str) -> str:
    """Return the word that ends at the end of a text as it is written."""
    position = 0
    while (word := next_word(text, position)) is not None:
        if word.end == len(text):
            return text[word.start :]
        position = word.end
    return ""


def _left_to_the_shell(expected: Expected) -> str:
    param, prefix = expected.param, expected.prefix
    if expected.kind == IN_TAIL:
        return FILES
    if param is None or (expected.kind == ARGUMENTS and prefix.startswith("-")):
        return ""
    if param.kind == TAIL:
        return FILES if "/" in prefix or param.name == "messages" else PROGRAMS
    in_session = any(param is one for one in SESSION)
    return FILES if param.completer in _PATHS or in_session else ""


def _offers(
    given: _Line, expected: Expected, store: Callable[[Mapping[str, str]], Store | None]
) -> Iterator[Offer]:
    if expected.kind == A_COMMAND:
        group = GRAMMAR.read(given.text[: expected.start]).group
        if group:
            yield from values.second_words(GRAMMAR, group)
        else:
            yield from values.first_words(GRAMMAR, expected.words)
    elif expected.kind == ARGUMENTS and expected.prefix.startswith("-"):
        command = expected.command
        for param in expected.flags:
            yield Offer(param.flag, param.help)
        for param in SESSION:
            if command is not None and command.session_flag(param.flag):
                yield Offer(param.flag, param.help)
    elif expected.kind in (ARGUMENTS, A_VALUE) and expected.param is not None:
        yield from _values(given, expected, store)


def _values(
    given: _Line, expected: Expected, store: Callable[[Mapping[str, str]], Store | None]
) -> Iterator[Offer]:
    param = expected.param
    assert param is not None  # noqa: S101 (whoever calls has asked)
    tokens = GRAMMAR.read(given.text[: expected.start]).tokens
    there = tuple(
        token.text for token in tokens
        if token.kind == VALUE and token.param is not None
        and (token.param == param if param.kind == OPTION else token.param.kind == param.kind)
    )  # fmt: skip
    yield from (Offer(choice) for choice in param.choices)
    command = expected.command.name if expected.command else ""
    states = ACTS_ON.get(command, STATES)
    if param.completer == "job-ids":
        jobs = _asked(store, given, lambda found: _jobs(found, states)) or ()
        yield from values.jobs(jobs, states, expected.prefix, there)
        # of these, `edit` takes only the last job
        many = param.nargs in ("*", "+") and command != "edit"
        for offer in values.selections(states, {}, many=many):
            yield offer._replace(about="")
        return
    if param.completer == "states":
        yield from (Offer(state) for state in STATES)
        return
    picture = _PICTURES.get(param.completer)
    known = _asked(store, given, picture) if picture is not None else None
    yield from values.values(param.completer, Asked(GRAMMAR, known or Picture(), there))


def _asked(
    store: Callable[[Mapping[str, str]], Store | None], given: _Line, ask: Callable[[Store], T]
) -> T | None:
    try:
        opened = store(given.session)
        return None if opened is None else ask(opened)
    except Exception:  # noqa: BLE001 (whatever is wrong with a store, a Tab is no place to say it)
        return None


def _jobs(store: Store, states: tuple[str, ...]) -> tuple[KnownJob, ...]:
    found = store.jobs(Filter(states=states), limit=MOST, newest=True)  # type: ignore[arg-type]
    return tuple(KnownJob(job.id, job.name, job.state, job.words) for job in found)


def _queues(store: Store) -> Picture:
    return Picture(
        queues=tuple(
            KnownQueue(queue.name, "paused" if queue.paused else "") for queue in store.queues()
        )
    )


def _hosts(store: Store) -> Picture:
    return Picture(
        hosts=tuple((host.id[:8], host.hostname) for host in store.hosts() if host.workers)
    )


def _resources(store: Store) -> Picture:
    names = {name: "" for host in store.hosts() for name in host.resources}
    return Picture(resources=tuple(sorted(names.items())))


_PICTURES: Mapping[str, Callable[[Store], Picture]] = {
    "queues": _queues, "hosts": _hosts, "resources": _resources,
    "schedules": lambda store: Picture(schedules=tuple((one.name, one.spec) for one in store.schedules())),
    "settings": lambda store: Picture(settings={**store.local_settings, **store.settings()}),
    "setting-values": lambda store: Picture(settings={**store.local_settings, **store.settings()}),
}  # fmt: skip


def _store(ctx: Context, session: Mapping[str, str]) -> Store | None:
    """Return the store that a line means, None when it is not there. Raises what opening raises."""
    if "token_file" in session:
        os.environ["QUEUECTL_TOKEN_FILE"] = os.path.abspath(
            os.path.expanduser(session["token_file"])
        )
    url = session.get("store") or (ctx.url() if ctx.url is not None else "")
    if url.startswith(("./", "../", "~")):
        url = os.path.abspath(os.path.expanduser(url))
    if url.startswith(("postgresql:", "postgres:")):
        # a server that is away is not waited for
        os.environ.setdefault("PGCONNECT_TIMEOUT", "2")
        if "schema" in session:
            url = f"{url}{'&' if '?' in url else '?'}schema={session['schema']}"
        if not _is_in_postgres(url):
            return None
    elif not url.startswith(("http:", "https:")):
        path = "/" + url.partition(":")[2].lstrip("/") if url.startswith("sqlite:") else url
        if not os.path.isfile(path):
            return None
    from queuectl.store import open_store

    return open_store(url)


def _is_in_postgres(url: str) -> bool:
    from queuectl.store.postgres.connect import connect
    from queuectl.store.postgres.schema import quoted
    from queuectl.store.postgres.url import parse

    target = parse(url, os.environ)
    with connect(target) as connection:
        table = f"{quoted(target.schema)}.store"
        row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone()
    return row is not None and bool(row[0])


def _quoted(word: str, quote: str) -> str:
    """Return a word as it is typed: behind the open quote it stands in, else with backslashes."""
    if quote:
        return quote + word.replace(quote, "")
    return "".join(char if char in _SAFE or ord(char) > 127 else "\\" + char for char in word)
