"""What an unquoted word stands for: files that match, braces, a home. Where no shell has done it."""

from __future__ import annotations

import os
from itertools import pairwise

from queuectl.errors import Refused, UsageError
from queuectl.grammar.tokens import next_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_GLOB = frozenset("*?[")
_LONGEST_SEQUENCE = 1_000_000


def expand(raw: str, directory: str) -> list[str]:
    """Return what a word as typed stands for, files being those of a directory, in order of name.

    Raises Refused for a pattern that no file matches: nobody wants a job for `*.jpg` itself.
    """
    return [word for one in expand_braces(raw) for word in _files(one, directory)]


def _files(raw: str, directory: str) -> Sequence[str]:
    pattern = glob_of(raw)
    home = raw.startswith("~")
    if pattern is None:
        text = unquoted(raw)
        return (os.path.expanduser(text) if home else text,)
    from glob import glob

    found = glob(os.path.expanduser(pattern) if home else pattern, root_dir=directory)
    if not found:
        raise Refused(f"no file matches {raw} in {directory}; nothing enqueued")
    return sorted(found)


def glob_of(raw: str) -> str | None:
    """Return the pattern that a word as typed is for names of files, None when it is none.

    What is quoted in it stands for itself.
    """
    parts: list[str] = []
    magic = False
    quote = ""
    position = 0
    while position < len(raw):
        char = raw[position]
        position += 1
        if char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
        elif char == "\\" and quote != "'":
            follower = raw[position : position + 1]
            escapes = not quote or follower in '$`"\\'
            parts.append(_literal(follower if escapes else char))
            position += escapes
        elif quote:
            parts.append(_literal(char))
        else:
            magic = magic or char in "*?" or (char == "[" and "]" in raw[position:])
            parts.append(char)
    return "".join(parts) if magic else None


def _literal(char: str) -> str:
    return f"[{char}]" if char in _GLOB else char


def unquoted(raw: str) -> str:
    """Return what a word as typed says."""
    word = next_word(f"\\{raw}" if raw.startswith("#") else raw, 0)
    return word.text if word is not None else ""


def expand_braces(raw: str) -> list[str]:
    """Return the words that `a{b,c}` and `{1..10}` make, as bash would; any other is itself.

    What is quoted stays; the results are still quoted. After bash's manual, "Brace Expansion".
    """
    return [word for word in _expanded(raw) if word]


def _expanded(raw: str) -> list[str]:
    found = _first_braces(raw)
    if found is None:
        return [raw]
    start, commas, end = found
    inside = raw[start + 1 : end]
    if commas:
        ends = [start, *commas, end]
        pieces = [
            piece for begin, stop in pairwise(ends) for piece in _expanded(raw[begin + 1 : stop])
        ]
    else:
        pieces = _sequence(inside) or [f"{{{piece}}}" for piece in _expanded(inside)]
    rest = _expanded(raw[end + 1 :])
    return [f"{raw[:start]}{piece}{tail}" for piece in pieces for tail in rest]


def _first_braces(raw: str) -> tuple[int, list[int], int] | None:
    """Return the place of the first pair of braces that is not quoted, and of the commas in it."""
    depth = start = position = 0
    commas: list[int] = []
    quote = ""
    while position < len(raw):
        char = raw[position]
        if char == "\\" and quote != "'":
            position += 1
        elif quote or char in "'\"":
            quote = "" if char == quote else quote or char
        elif char == "{":
            start = start if depth else position
            depth += 1
        elif char == "," and depth == 1:
            commas.append(position)
        elif char == "}" and depth:
            depth -= 1
            if not depth:
                return start, commas, position
        position += 1
    return None


def _sequence(inside: str) -> list[str]:
    """Return what `1..10`, `01..10`, `0..20..5` or `a..e` count; nothing for any other text."""
    parts = inside.split("..")
    if len(parts) not in (2, 3):
        return []
    try:
        step = abs(int(parts[2])) or 1 if len(parts) == 3 else 1
        first, last = (int(part) for part in parts[:2])
    except ValueError:
        if len(parts) != 2 or any(len(part) != 1 or not part.isascii() for part in parts):
            return []
        if not all(part.isalpha() for part in parts):
            return []
        first, last = map(ord, parts)
        return [chr(code) for code in _counted(first, last, 1)]
    padded = any(
        part.lstrip("-").startswith("0") and len(part.lstrip("-")) > 1 for part in parts[:2]
    )
    width = max(len(part) for part in parts[:2]) if padded else 0
    if abs(last - first) // step >= _LONGEST_SEQUENCE:
        raise UsageError(f"{{{inside}}} counts more than {_LONGEST_SEQUENCE:,} arguments")
    return [f"{number:0{width}d}" for number in _counted(first, last, step)]


def _counted(first: int, last: int, step: int) -> range:
    return range(first, last + 1, step) if first <= last else range(first, last - 1, -step)
