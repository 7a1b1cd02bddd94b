"""Completion: what the grammar expects at the cursor, filled from what is known. No SQL, no waiting.

Only names of files are looked up when they are asked for, off the event loop.
"""

from __future__ import annotations

from prompt_toolkit.completion import Completer, Completion

from queuectl.cursor import A_COMMAND, A_VALUE, ARGUMENTS, IN_TAIL
from queuectl.grammar import OPTION, TAIL
from queuectl.job import CANCELLED, COMPLETED, DEAD, FAILED, PENDING, PROCESSING, STATES
from queuectl.record import Record
from queuectl.render import cut, visible
from queuectl.selection import ALL, LAST
from queuectl.settings import BY_NAME, SETTINGS
from queuectl.shell.files import complete_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    from queuectl.cursor import Expected
    from queuectl.grammar import Command, Grammar, Param
    from queuectl.job import State
    from queuectl.reading import Token
    from queuectl.shell.known import Known, KnownJob

#: states that a verb can act on; one that is not here takes any job
ACTS_ON: Mapping[str, tuple[State, ...]] = {
    "cancel": (PENDING, FAILED, PROCESSING),
    "retry": (FAILED, DEAD, CANCELLED, COMPLETED),
    "remove": (PENDING, FAILED, COMPLETED, DEAD, CANCELLED),
    "output": (PROCESSING, FAILED, COMPLETED, DEAD, CANCELLED),
    "dlq list": (DEAD,),
    "dlq retry": (DEAD,),
    "dlq purge": (DEAD,),
}
_FILES = {"files": False, "directories": True}
#: most entries of a menu that come from one source, and columns of the remark beside each
MOST, META = 60, 60


class Offer(Record):
    """A word that may be put at the cursor, and a remark about it."""

    word: str
    about: str = ""
    #: what the menu shows in place of the word
    shown: str = ""


class ShellCompleter(Completer):
    """Completes lines of the shell."""

    def __init__(self, grammar: Grammar, known: Known, directory: Callable[[], str]) -> None:
        """`directory` is the one that names of files are relative to."""
        self._grammar = grammar
        self._known = known
        self._directory = directory
        #: the line, up to the cursor, whose last completions came from what is known of the jobs
        self.wanted_jobs_for: str | None = None

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        """Yield what can stand at the cursor."""
        self._known.attend()
        self.wanted_jobs_for = None
        expected = self._grammar.expected_at(document.text, document.cursor_position)
        back = expected.start - document.cursor_position
        asked = complete_event.completion_requested
        if self._wants_files(document.text, expected, asked=asked):
            yield from complete_path(expected, document.cursor_position, self._directory())
            return
        offers = list(self._offers(document.text, expected, asked=asked))
        if [offer.word for offer in offers] == [expected.prefix]:
            # it stands there already: a menu would only be in the way of Enter
            return
        for offer in offers:
            yield Completion(
                offer.word,
                back,
                display=offer.shown or offer.word,
                display_meta=cut(visible(offer.about), META),
            )

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """Do the same without keeping the event loop: a slow directory does not slow down typing."""
        expected = self._grammar.expected_at(document.text, document.cursor_position)
        if not self._wants_files(
            document.text, expected, asked=complete_event.completion_requested
        ):
            for completion in self.get_completions(document, complete_event):
                yield completion
            return
        from prompt_toolkit.eventloop import run_in_executor_with_context

        found = await run_in_executor_with_context(
            lambda: list(self.get_completions(document, complete_event))
        )
        for completion in found:
            yield completion

    def _wants_files(self, text: str, expected: Expected, *, asked: bool) -> bool:
        param = expected.param
        if param is not None and param.completer in _FILES:
            return not (expected.kind == ARGUMENTS and expected.prefix.startswith("-"))
        if expected.kind == IN_TAIL:
            tail = self._grammar.read(text[: expected.start]).tail
            in_json = tail is not None and not tail.verbatim and (tail.text or "").startswith("{")
            return not in_json and (asked or bool(expected.prefix))
        if expected.kind == ARGUMENTS and param is not None and param.kind == TAIL:
            # the program: one in a directory, or anything when somebody asks
            return not expected.prefix.startswith(("-", "{")) and (
                "/" in expected.prefix or (asked and bool(expected.prefix))
            )
        return False

    def _offers(self, text: str, expected: Expected, *, asked: bool) -> Iterator[Offer]:
        if expected.kind == A_COMMAND:
            yield from self._commands(text, expected, asked=asked)
        elif expected.kind == A_VALUE:
            yield from self._values(text, expected, asked=asked)
        elif expected.kind == ARGUMENTS and expected.prefix.startswith("-"):
            yield from self._flags(expected)
        elif expected.kind == ARGUMENTS:
            yield from self._values(text, expected, asked=asked)
            if asked and not expected.prefix:
                yield from self._flags(expected)

    # ---- words of the grammar -----------------------------------------------------------------

    def _commands(self, text: str, expected: Expected, *, asked: bool) -> Iterator[Offer]:
        group = self._grammar.read(text[: expected.start]).group
        entry = self._grammar.index.get(group)
        if isinstance(entry, dict):
            for word, command in entry.items():
                if word.startswith(expected.prefix):
                    yield Offer(word, command.summary)
            return
        fitting = [word for word in expected.words if word.startswith(expected.prefix)]
        yield from self._first_words(fitting)
        if expected.prefix or asked:
            for word in fitting:
                command_or_group = self._grammar.index[word]
                if not isinstance(command_or_group, dict) and word != command_or_group.path[0]:
                    yield Offer(word, f"{command_or_group.name}: {command_or_group.summary}")

    def _first_words(self, words: Iterable[str]) -> Iterator[Offer]:
        """Yield the words that are no aliases."""
        for word in words:
            entry = self._grammar.index[word]
            if isinstance(entry, dict):
                yield Offer(word, ", ".join(entry))
            elif word == entry.path[0]:
                yield Offer(word, entry.summary)

    def _flags(self, expected: Expected) -> Iterator[Offer]:
        for param in expected.flags:
            if param.flag.startswith(expected.prefix):
                value = f" {param.placeholder}" if param.kind == OPTION else ""
                yield Offer(param.flag, param.help, f"{param.flag}{value}")

    # ---- values -------------------------------------------------------------------------------

    def _values(self, text: str, expected: Expected, *, asked: bool) -> Iterator[Offer]:
        param, prefix = expected.param, expected.prefix
        if param is None:
            return
        given = self._given(text, expected)
        if param.completer == "job-ids":
            self.wanted_jobs_for = text
            yield from self._jobs(expected, given, asked=asked)
            return
        for offer in self._plain_values(param, given):
            if offer.word.startswith(prefix) and (offer.word == prefix or offer.word not in given):
                yield offer

    def _plain_values(self, param: Param, given: tuple[str, ...]) -> Iterator[Offer]:
        picture = self._known.picture
        for choice in param.choices:
            yield Offer(choice)
        if param.completer == "states":
            for state in STATES:
                yield Offer(state, _jobs_in_words(picture.counts.get(state, 0)))
        elif param.completer == "queues":
            for queue in picture.queues:
                yield Offer(queue.name, queue.about)
        elif param.completer == "hosts":
            for word, about in picture.hosts:
                yield Offer(word, about)
            yield Offer(ALL, "every host")
        elif param.completer == "settings":
            for setting in SETTINGS:
                now = picture.settings.get(setting.name, setting.default)
                yield Offer(setting.name, f"{now or '-'}: {setting.help}")
        elif param.completer == "setting-values" and given:
            yield from self._setting_values(given[0])
        elif param.completer == "commands":
            yield from self._words_for_help(given)

    def _setting_values(self, name: str) -> Iterator[Offer]:
        setting = BY_NAME.get(name.replace("_", "-"))
        if setting is None:
            return
        now = self._known.picture.settings.get(setting.name, setting.default)
        values = {now: "as it is now", setting.default: "the default"}
        if setting.kind == "switch":
            values = {"on": "", "off": "", **values}
        elif setting.kind == "path":
            values = {**values, "/bin/sh": "", "/bin/bash": ""}
        for value, about in values.items():
            if value:
                yield Offer(value, about)

    def _words_for_help(self, given: tuple[str, ...]) -> Iterator[Offer]:
        if not given:
            yield from self._first_words(self._grammar.index)
            return
        group = self._grammar.index.get(given[0])
        if isinstance(group, dict) and len(given) == 1:
            for word, command in group.items():
                yield Offer(word, command.summary)

    def _given(self, text: str, expected: Expected) -> tuple[str, ...]:
        """Return the values of the same kind that stand in the line already."""
        tokens = self._grammar.read(text[: expected.start]).tokens
        words = [token.text for token in tokens if _is_value_beside(token, expected.param)]
        commas = expected.param is not None and expected.param.commas
        return tuple(piece for word in words for piece in (word.split(",") if commas else [word]))

    # ---- jobs ---------------------------------------------------------------------------------

    def _jobs(self, expected: Expected, given: tuple[str, ...], *, asked: bool) -> Iterator[Offer]:
        prefix = expected.prefix
        command = expected.command
        states = ACTS_ON.get(command.name if command else "", STATES)
        found = 0
        for job in self._known.jobs:
            if job.state not in states or str(job.id) in given or (job.name or "") in given:
                continue
            offer = _job_offer(job, prefix)
            if offer is not None:
                yield offer
                found += 1
            if found == MOST:
                break
        if prefix or asked:
            yield from self._words_for_jobs(command, expected, given)

    def _words_for_jobs(
        self, command: Command | None, expected: Expected, given: tuple[str, ...]
    ) -> Iterator[Offer]:
        words = {LAST: "the newest job you enqueued"}
        if expected.param is not None and expected.param.nargs in ("*", "+"):
            states = ACTS_ON.get(command.name if command else "", STATES)
            words[ALL] = "all it can act on"
            words |= {
                state: _jobs_in_words(self._known.picture.counts.get(state, 0)) for state in states
            }
        for word, about in words.items():
            if word.startswith(expected.prefix) and word not in given:
                yield Offer(word, about)


def _job_offer(job: KnownJob, prefix: str) -> Offer | None:
    about = f"{job.state}  {job.command}"
    if str(job.id).startswith(prefix):
        name = f" {visible(job.name)}" if job.name else ""
        return Offer(str(job.id), about, f"{job.id}{name}")
    if job.name and job.name.startswith(prefix):
        return Offer(job.name, about)
    return None


def _is_value_beside(token: Token, param: Param | None) -> bool:
    """Whether a token is a value that the same parameter, or another positional, has got."""
    if token.param is None or param is None or token.kind != "value":
        return False
    if param.kind == OPTION:
        return token.param == param
    return token.param.kind == param.kind


def _jobs_in_words(number: int) -> str:
    return "1 job" if number == 1 else f"{number:,} jobs"
