"""Completion: what the grammar expects at the cursor, filled from what is known. No SQL, no waiting.

Only names of files are looked up when they are asked for, off the event loop while typing.
"""

from __future__ import annotations

from prompt_toolkit.completion import Completer, Completion

from queuectl.grammar.cursor import A_COMMAND, A_VALUE, ARGUMENTS, IN_TAIL
from queuectl.grammar.reading import VALUE
from queuectl.grammar.table import OPTION, TAIL
from queuectl.job import STATES
from queuectl.render import cut, visible
from queuectl.shell import values
from queuectl.shell.files import complete_path
from queuectl.shell.values import ACTS_ON, Asked, Offer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    from queuectl.grammar import Grammar
    from queuectl.grammar.cursor import Expected
    from queuectl.grammar.reading import Token
    from queuectl.grammar.table import Param
    from queuectl.shell.known import Known

_JOBS = "job-ids"
_FILES = ("files", "directories")
#: columns of the remark beside a word
META = 60


class ShellCompleter(Completer):
    """Completes lines of the shell."""

    def __init__(self, grammar: Grammar, known: Known, directory: Callable[[], str]) -> None:
        """`directory` is the one that names of files are relative to."""
        self._grammar = grammar
        self._known = known
        self._directory = directory
        #: the line whose last completions came from what is known of the jobs
        self.wanted_jobs_for: str | None = None

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        """Yield what can stand at the cursor."""
        self._known.attend()
        self.wanted_jobs_for = None
        text, cursor = _in_one_row(document.text), document.cursor_position
        asked = complete_event.completion_requested
        expected = self._grammar.expected_at(text, cursor)
        if self._wants_files(text, expected, asked=asked):
            yield from complete_path(expected, cursor, self._directory())
            return
        offers = list(self._offers(text, expected, asked=asked))
        if [offer.word for offer in offers] == [expected.prefix]:
            # it stands there already: a menu would only be in the way of Enter
            return
        for offer in offers:
            yield Completion(
                offer.word,
                expected.start - cursor,
                display=offer.shown or offer.word,
                display_meta=cut(visible(offer.about), META),
            )

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """Do the same without keeping the event loop: a slow directory must not slow down typing."""
        asked = complete_event.completion_requested
        text = _in_one_row(document.text)
        expected = self._grammar.expected_at(text, document.cursor_position)
        if self._wants_files(text, expected, asked=asked):
            from prompt_toolkit.eventloop import run_in_executor_with_context

            found = await run_in_executor_with_context(
                lambda: list(self.get_completions(document, complete_event))
            )
        else:
            found = list(self.get_completions(document, complete_event))
        for completion in found:
            yield completion

    def ending(self, document: Document) -> str:
        """Return what ends the word at the cursor now that it is complete: a blank, as a rule.

        Behind the quote that it stands in. Empty where it may go on: a directory, `NAME=`, what
        commas separate; and where something follows already.
        """
        text, cursor = _in_one_row(document.text), document.cursor_position
        expected = self._grammar.expected_at(text, cursor)
        param, prefix = expected.param, expected.prefix
        if document.text_after_cursor or not prefix or prefix.endswith(("/", "=")):
            return ""
        is_value = expected.kind in (ARGUMENTS, A_VALUE) and not prefix.startswith("-")
        # flags with several values take them with commas, a selection is more often of words
        in_list = (
            param is not None
            and param.commas
            and (param.kind == OPTION or text[: expected.start].endswith(","))
        )
        return "" if is_value and in_list else f"{expected.quote} "

    def is_whole(self, document: Document) -> bool:
        """Whether the word at the cursor is one that is known, and no other begins with it."""
        text = _in_one_row(document.text)
        expected = self._grammar.expected_at(text, document.cursor_position)
        if not expected.prefix or self._wants_files(text, expected, asked=False):
            return False
        offers = self._offers(text, expected, asked=False)
        return [offer.word for offer in offers] == [expected.prefix]

    def _wants_files(self, text: str, expected: Expected, *, asked: bool) -> bool:
        param, prefix = expected.param, expected.prefix
        if param is not None and param.completer in _FILES:
            return not (expected.kind == ARGUMENTS and prefix.startswith("-"))
        if expected.kind == IN_TAIL:
            tail = self._grammar.read(text[: expected.start]).tail
            in_json = tail is not None and not tail.verbatim and (tail.text or "").startswith("{")
            return not in_json and (asked or bool(prefix))
        if expected.kind == ARGUMENTS and param is not None and param.kind == TAIL:
            # a program: one with a directory in front, or any file when somebody asks
            return not prefix.startswith(("-", "{")) and ("/" in prefix or (asked and bool(prefix)))
        return False

    def _offers(self, text: str, expected: Expected, *, asked: bool) -> Iterator[Offer]:
        if expected.kind == A_COMMAND:
            yield from self._commands(text, expected, asked=asked)
        elif expected.kind == ARGUMENTS and expected.prefix.startswith("-"):
            yield from _flags(expected)
        elif expected.kind in (ARGUMENTS, A_VALUE):
            yield from self._values(text, expected, asked=asked)
            if asked and not expected.prefix:
                yield from _flags(expected)

    def _commands(self, text: str, expected: Expected, *, asked: bool) -> Iterator[Offer]:
        index, prefix = self._grammar.index, expected.prefix
        group = self._grammar.read(text[: expected.start]).group
        if group:
            for offer in values.second_words(self._grammar, group):
                if offer.word.startswith(prefix):
                    yield offer
            return
        fitting = [word for word in expected.words if word.startswith(prefix)]
        yield from values.first_words(self._grammar, fitting)
        for word in fitting if prefix or asked else ():
            entry = index[word]
            if not isinstance(entry, dict) and word != entry.path[0]:
                yield Offer(word, f"{entry.name}: {entry.summary}")

    def _values(self, text: str, expected: Expected, *, asked: bool) -> Iterator[Offer]:
        param, prefix = expected.param, expected.prefix
        if param is None:
            return
        given = self._given(text, expected, param)
        if param.completer == _JOBS:
            self.wanted_jobs_for = text
            command = expected.command.name if expected.command else ""
            states = ACTS_ON.get(command, STATES)
            yield from values.jobs(self._known.jobs, states, prefix, given)
            if not prefix and not asked:
                return
            many = param.nargs in ("*", "+")
            found = values.selections(states, self._known.picture.counts, many=many)
        else:
            choices = (Offer(choice) for choice in param.choices)
            named = values.values(param.completer, Asked(self._grammar, self._known.picture, given))
            found = (offer for offers in (choices, named) for offer in offers)
        for offer in found:
            if offer.word.startswith(prefix) and (offer.word == prefix or offer.word not in given):
                yield offer

    def _given(self, text: str, expected: Expected, param: Param) -> tuple[str, ...]:
        """Return the values of the same kind that stand in the line already."""
        # a list with commas has its earlier pieces right in front of the cursor's
        tokens = self._grammar.read(text[: expected.start]).tokens
        words = [token.text for token in tokens if _is_value_beside(token, param)]
        if not param.commas:
            return tuple(words)
        return tuple(piece for word in words for piece in word.split(",") if piece)


def _in_one_row(text: str) -> str:
    """Return a text with blanks where its rows go on behind a backslash: places stay the same."""
    return text.replace("\\\n", "  ")


def _flags(expected: Expected) -> Iterator[Offer]:
    for param in expected.flags:
        if param.flag.startswith(expected.prefix):
            value = f" {param.placeholder}" if param.kind == OPTION else ""
            yield Offer(param.flag, param.help, f"{param.flag}{value}")


def _is_value_beside(token: Token, param: Param) -> bool:
    """Whether a token is a value that the same parameter, or another positional, has got."""
    if token.param is None or token.kind != VALUE:
        return False
    return token.param == param if param.kind == OPTION else token.param.kind == param.kind
