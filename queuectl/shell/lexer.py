"""Colours of the line being typed: the grammar's own tokens, so colouring cannot disagree with it.

JSON and the job's own words are coloured by pygments. It is not imported here but by
`load_pygments`, in the background once the first prompt stands: until then they are plain.
"""

from __future__ import annotations

from prompt_toolkit.formatted_text.utils import split_lines
from prompt_toolkit.lexers import Lexer

from queuectl.grammar import reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from prompt_toolkit.document import Document
    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from queuectl.grammar import Grammar
    from queuectl.grammar.reading import Token

    Fragment = tuple[str, str]

_STYLES = {
    reading.COMMAND: "class:word.command",
    reading.FLAG_WORD: "class:word.flag",
    reading.VALUE: "class:word.value",
    reading.REMARK: "class:word.comment",
    reading.TAIL_TEXT: "class:word.tail",
    reading.JSON_TEXT: "class:word.json",
    reading.ERROR: "class:word.error",
}
_PYGMENTS = {
    reading.TAIL_TEXT: ("pygments.lexers.shell", "BashLexer"),
    reading.JSON_TEXT: ("pygments.lexers.data", "JsonLexer"),
}
#: longer tails stay plain: pygments manages about a thousand characters in a millisecond
LONGEST = 4000


#: filled by `load_pygments`
_lexers: dict[str, Any] = {}


def load_pygments() -> None:
    """Import what colours JSON and command lines; takes some 30 ms. Any thread."""
    for kind, (module, name) in _PYGMENTS.items():
        _lexers[kind] = getattr(__import__(module, fromlist=[name]), name)()


class ShellLexer(Lexer):
    """Colours a line of the shell."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar

    def invalidation_hash(self) -> object:
        """Return another value once pygments is there, so that what stands is coloured anew."""
        return len(_lexers)

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        """Return the styled text of each row."""
        rows = list(split_lines(list(self.fragments(document.text, document.cursor_position))))
        return lambda row: rows[row] if row < len(rows) else []

    def fragments(self, text: str, cursor: int) -> Iterator[Fragment]:
        """Yield the whole text in styled pieces; a word that is still being typed is no error."""
        for token in self._grammar.tokenize(text):
            piece = text[token.start : token.end]
            kind = token.kind
            if kind == reading.ERROR and self._unfinished(text, token, cursor):
                kind = reading.VALUE
            if kind in _lexers and len(piece) <= LONGEST:
                yield from _by_pygments(kind, piece)
            else:
                yield _STYLES.get(kind, ""), piece

    def _unfinished(self, text: str, token: Token, cursor: int) -> bool:
        """Whether the cursor stands at the end of a word that can still become a right one."""
        if cursor != token.end:
            return False
        expected = self._grammar.expected_at(text, cursor)
        known = (*expected.words, *(flag.flag for flag in expected.flags))
        return bool(expected.quote) or any(word.startswith(token.text) for word in known)


def _by_pygments(kind: str, text: str) -> Iterator[Fragment]:
    from pygments.token import Error, String

    end = len(text)
    for start, token, piece in _lexers[kind].get_tokens_unprocessed(text):
        # what is wrong at the very end is a string that is still being typed
        unfinished = token in Error and start + len(piece) == end
        name = ".".join(("pygments", *(String if unfinished else token))).lower()
        yield f"{_STYLES[kind]} class:{name}", piece
