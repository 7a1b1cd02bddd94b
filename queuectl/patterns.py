"""One job for each argument, as GNU parallel's users know it: `convert {} {.}.png ::: *.jpg`. Pure.

The part before the first unquoted `:::` or `::::` is the command. In a line for a shell every
replacement is inserted so that the shell reads it as the argument it is, also inside quotes; the
words of an argv are filled in plainly. After GNU parallel's manual, sections "COMMAND" and ":::".
"""

from __future__ import annotations

from itertools import pairwise

from queuectl.errors import UsageError
from queuectl.grammar.tokens import COMMENT, OPERATOR, next_word
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: what begins a source of arguments: words or files; with a + it goes in step with the one before
ARGUMENTS, FILES, LINKED = ":::", "::::", "+"
SEPARATORS = frozenset((ARGUMENTS, FILES, ARGUMENTS + LINKED, FILES + LINKED))
_LONGEST_REPLACEMENT = 12


class Argument(Record):
    """A word behind a separator: what it says, and how it is written."""

    text: str
    #: as it was typed, where queuectl is to expand it; None: a shell has done so
    raw: str | None = None


class Source(Record):
    """A separator and the words behind it."""

    separator: str
    arguments: tuple[Argument, ...]

    @property
    def of_files(self) -> bool:
        """Whether the words name files whose lines are the arguments."""
        return self.separator.startswith(FILES)

    @property
    def linked(self) -> bool:
        """Whether it goes in step with the source before it."""
        return self.separator.endswith(LINKED)


class Pattern(Record):
    """A command and its sources, taken apart."""

    #: a line for a shell, or the words of an argv
    command: str | tuple[str, ...]
    sources: tuple[Source, ...]


def split_line(text: str) -> Pattern | None:
    """Return the pattern that a line is, None without an unquoted separator. Raises UsageError."""
    position = 0
    command: str | None = None
    sources: list[tuple[str, list[Argument]]] = []
    while (word := next_word(text, position)) is not None:
        raw = text[word.start : word.end]
        position = word.end
        if raw in SEPARATORS:
            if command is None:
                command = text[: word.start].rstrip()
            sources.append((raw, []))
        elif command is None or word.kind == COMMENT:
            continue
        elif word.kind == OPERATOR:
            raise UsageError(
                f"`{raw}` behind `{ARGUMENTS}` means nothing: put it into the command,"
                f" or in quotes as an argument"
            )
        elif word.open_quote:
            raise UsageError(f"the quote {word.open_quote} behind `{ARGUMENTS}` is not closed")
        else:
            sources[-1][1].append(Argument(word.text, raw))
    return None if command is None else _pattern(command, sources)


def split_words(words: Sequence[str]) -> Pattern | None:
    """Return the pattern that words of a command line are; a single one before `:::` is a line."""
    first = next((at for at, word in enumerate(words) if word in SEPARATORS), None)
    if first is None:
        return None
    sources: list[tuple[str, list[Argument]]] = []
    for word in words[first:]:
        if word in SEPARATORS:
            sources.append((word, []))
        else:
            sources[-1][1].append(Argument(word))
    before = tuple(words[:first])
    return _pattern(before if len(before) > 1 else "".join(before), sources)


def _pattern(
    command: str | tuple[str, ...], sources: Sequence[tuple[str, list[Argument]]]
) -> Pattern:
    for separator, arguments in sources:
        if not arguments:
            what = "files" if separator.startswith(FILES) else "arguments"
            raise UsageError(f"nothing stands behind `{separator}`: it takes {what}")
    if sources[0][0].endswith(LINKED):
        raise UsageError(f"`{sources[0][0]}` goes with the source before it, and there is none")
    return Pattern(command, tuple(Source(name, tuple(words)) for name, words in sources))


# ---- replacements -------------------------------------------------------------------------------


def _without_extension(value: str) -> str:
    dot = value.rfind(".")
    return value[:dot] if dot > value.rfind("/") else value


def _base(value: str) -> str:
    return value[value.rfind("/") + 1 :]


def _directory(value: str) -> str:
    head, slash, _ = value.rstrip("/").rpartition("/")
    return head.rstrip("/") or ("/" if slash or value.startswith("/") else ".")


_CHANGES: dict[str, Callable[[str], str]] = {
    "": lambda value: value,
    ".": _without_extension,
    "/": _base,
    "//": _directory,
    "/.": lambda value: _without_extension(_base(value)),
}


class _Replacement(Record):
    """One replacement string: `{2.}` is what is put in, and how."""

    change: Callable[[str], str]
    #: of the argument that is meant, from 0; None: all of them
    position: int | None = None
    #: `{#}`: the number of the job
    number: bool = False
    #: the quote it stands in
    quote: str = ""

    def values(self, number: int, arguments: Sequence[str]) -> list[str]:
        """Return what it stands for."""
        if self.number:
            return [str(number)]
        if self.position is not None:
            return [self.change(arguments[self.position])]
        return [self.change(argument) for argument in arguments]


def _replacement_at(text: str, start: int, sources: int) -> tuple[_Replacement, int] | None:
    """Return the replacement string that begins at a brace, and where it ends. Raises UsageError."""
    end = text.find("}", start, start + _LONGEST_REPLACEMENT)
    if end < 0:
        return None
    inside = text[start + 1 : end]
    if inside == "#":
        return _Replacement(_CHANGES[""], number=True), end + 1
    if inside == "%":
        raise UsageError("{%} is known when a job runs: use $QUEUECTL_SLOT, in a line for a shell")
    digits = len(inside) - len(inside.lstrip("-0123456789"))
    change = _CHANGES.get(inside[digits:])
    if change is None:
        return None
    if not digits:
        return _Replacement(change), end + 1
    try:
        position = int(inside[:digits])
    except ValueError:
        return None
    if not 0 < abs(position) <= sources:
        there = "is only one source" if sources == 1 else f"are only {sources} sources"
        raise UsageError(f"{text[start : end + 1]}: there {there} of arguments")
    return _Replacement(change, position - 1 if position > 0 else position), end + 1


def begins_with_replacement(text: str) -> bool:
    """Whether a text begins with a replacement string, not with JSON or a group of commands."""
    end = text.find("}", 0, _LONGEST_REPLACEMENT)
    return (
        text.startswith("{") and end > 0 and text[1:end].lstrip("-0123456789") in (*_CHANGES, "#")
    )


class Line:
    """A line for a shell with replacement strings in it."""

    def __init__(self, text: str, sources: int) -> None:
        """Take a line apart; without a replacement string the arguments follow it.

        Raises UsageError for one that stands where no quoting can keep an argument whole.
        """
        self._parts = list(_parts_of_line(text, sources))
        #: the argument itself is the command line
        self._bare = not text.strip() or text.strip() == "{}"
        if not any(isinstance(part, _Replacement) for part in self._parts):
            self._parts += [" ", _Replacement(_CHANGES[""])]

    def fill(self, number: int, arguments: Sequence[str]) -> str:
        """Return the command line for some arguments; the first job has the number 1."""
        if self._bare:
            return " ".join(arguments)
        from shlex import quote

        found = []
        for part in self._parts:
            if isinstance(part, str):
                found.append(part)
                continue
            values = part.values(number, arguments)
            if part.quote:
                # the quote is closed for it and opened again: still one word to the shell
                found += [part.quote, quote(" ".join(values)), part.quote]
            else:
                found.append(" ".join(map(quote, values)))
        return "".join(found)


#: what reads an argument of its own as a shell's code
_SHELL_FLAGS = frozenset(("-c", "-lc", "-ic", "-ec", "-xc", "-exc", "-euc", "-ce"))
_READERS = frozenset(("eval", "ssh"))


def read_again(command: str | tuple[str, ...]) -> str:
    """Return the first place inside a word that another shell reads as code; empty: there is none.

    As in `sh -c 'echo {}'`: no quoting reaches through it. A hint: only the usual forms are seen.
    """
    if isinstance(command, tuple):
        for before, word in pairwise(command):
            at = next((at for at in range(len(word)) if begins_with_replacement(word[at:])), -1)
            if at >= 0 and word[at:].find("}") != len(word) - 1 - at and before in _SHELL_FLAGS:
                return word[at : word.find("}", at) + 1]
        return ""
    for at, around in _braces(command):
        if around in ("'", '"') and begins_with_replacement(command[at:]):
            in_front = command[: command.rfind(around, 0, at)].split()
            # of ssh a host stands between
            if not (_SHELL_FLAGS.isdisjoint(in_front[-1:]) and _READERS.isdisjoint(in_front[-2:])):
                return command[at : command.find("}", at) + 1]
    return ""


class Words:
    """The words of an argv with replacement strings in them."""

    def __init__(self, words: Sequence[str], sources: int) -> None:
        """Take words apart; without a replacement string the arguments follow them."""
        self._words = [list(_parts_of_word(word, sources)) for word in words]
        if not any(isinstance(part, _Replacement) for parts in self._words for part in parts):
            self._words.append([_Replacement(_CHANGES[""])])

    def fill(self, number: int, arguments: Sequence[str]) -> tuple[str, ...]:
        """Return the argv for some arguments; a word that is only `{}` becomes as many as they."""
        found: list[str] = []
        for parts in self._words:
            if len(parts) == 1 and isinstance(parts[0], _Replacement):
                found += parts[0].values(number, arguments)
                continue
            found.append(
                "".join(
                    part if isinstance(part, str) else " ".join(part.values(number, arguments))
                    for part in parts
                )
            )
        return tuple(found)


def _parts_of_word(word: str, sources: int) -> Iterator[str | _Replacement]:
    """Yield what a word says between replacement strings, and these. Never nothing."""
    begin = position = 0
    while (position := word.find("{", position)) >= 0:
        found = _replacement_at(word, position, sources)
        if found is None:
            position += 1
            continue
        if position > begin:
            yield word[begin:position]
        yield found[0]
        begin = position = found[1]
    if begin < len(word) or not word:
        yield word[begin:]


def _parts_of_line(text: str, sources: int) -> Iterator[str | _Replacement]:
    """Yield what a line says between replacement strings, and these with the quote around them."""
    begin = 0
    for position, around in _braces(text):
        if position < begin:
            continue
        found = _replacement_at(text, position, sources)
        if found is None:
            continue
        replacement, end = found
        if around not in ("", "'", '"'):
            raise UsageError(
                f"{text[position:end]} inside {around} cannot be quoted safely: use $(…)"
            )
        if position > begin:
            yield text[begin:position]
        yield replacement._replace(quote=around)
        begin = end
    if begin < len(text):
        yield text[begin:]


def _braces(text: str) -> Iterator[tuple[int, str]]:
    """Yield the place of every brace that is not escaped, with what quotes it.

    That is '' for nothing, a quote, or `…` and ${…}, where quoting has rules of its own. Commands
    in $(…) and (…) begin afresh (POSIX, XCU 2.2 and 2.6).
    """
    inside = [""]
    position = 0
    while position < len(text):
        char, top = text[position], inside[-1]
        step = 1
        if char == "\\":
            step = 2
        elif char == "'" and top in _PLAIN:
            end = text.find("'", position + 1)
            end = len(text) if end < 0 else end
            yield from ((at, "'") for at in range(position + 1, end) if text[at] == "{")
            step = end + 1 - position
        elif nested := _nested(inside, text[position : position + 2]):
            step = nested
        elif char == "{":
            yield position, "" if top == "(" else top
        position += step


#: what closes what is open, and where quotes begin afresh
_CLOSES = {'"': '"', "`…`": "`", "(": ")", "${…}": "}"}
_PLAIN = ("", "(")


def _nested(inside: list[str], two: str) -> int:
    """Note what the next characters open or close; return how many they are, 0 for neither."""
    char, top = two[0], inside[-1]
    if _CLOSES.get(top) == char:
        inside.pop()
    elif two in ("$(", "${"):
        inside.append("(" if two == "$(" else "${…}")
        return 2
    elif char == "(" and top in _PLAIN:
        inside.append("(")
    elif char == "`" or (char == '"' and top != "`…`"):
        inside.append("`…`" if char == "`" else char)
    else:
        return 0
    return 1


# ---- arguments ----------------------------------------------------------------------------------


def combinations(
    sources: Sequence[tuple[Sequence[str], bool]],
) -> tuple[int, Iterator[tuple[str, ...]]]:
    """Return how many combinations of arguments there are, and these; the last source varies fastest.

    Each source is its arguments and whether it goes in step with the one before it: then the
    shorter of the two decides.
    """
    groups: list[list[tuple[str, ...]]] = []
    for values, linked in sources:
        if linked:
            groups[-1] = [
                (*before, value) for before, value in zip(groups[-1], values, strict=False)
            ]
        else:
            groups.append([(value,) for value in values])
    import itertools
    import math

    together = itertools.product(*groups)
    total = math.prod(len(group) for group in groups)
    if len(groups) == 1:
        return total, iter(groups[0])
    return total, (tuple(itertools.chain.from_iterable(parts)) for parts in together)
