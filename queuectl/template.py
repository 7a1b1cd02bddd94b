"""The command that a queue's messages are arguments of. Pure.

A message is one argument, whatever is in it: it stands in place of `{}` in the words of the
command, or behind the last of them. A command for a shell gets it as `$1` and never as text.
"""

from __future__ import annotations

import os

from queuectl.errors import BadValue, UsageError
from queuectl.job import LONGEST_WORD, NewJob
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: what stands for the message
PLACE = "{}"
#: the settings of a queue that make its template
SETTINGS = ("command", "command-shell", "command-cwd")
_MESSAGE = NewJob._fields.index("message")


class Template(Record):
    """A queue's command, taken apart."""

    #: the words of an argv; for a shell the one line
    words: tuple[str, ...]
    shell: bool = False
    #: absolute directory it runs in; empty: that of who submits
    cwd: str = ""

    def argv(self, message: str) -> tuple[str, tuple[str, ...] | None, bool]:
        """Return command, args and shell of the job for a message. Raises UsageError."""
        return self._filler()(message)

    def _filler(self) -> Callable[[str], tuple[str, tuple[str, ...] | None, bool]]:
        words, rest = self.words, self.words[1:]
        longest = max(map(len, words))
        if self.shell:
            line = words[0]

            def fill(message: str) -> tuple[str, tuple[str, ...] | None, bool]:
                check_message(message)
                return line, (message,), True

        elif not any(PLACE in word for word in words):

            def fill(message: str) -> tuple[str, tuple[str, ...] | None, bool]:
                check_message(message)
                return words[0], (*rest, message), False

        else:

            def fill(message: str) -> tuple[str, tuple[str, ...] | None, bool]:
                check_message(message, longest)
                first, *others = [word.replace(PLACE, message) for word in words]
                return first, tuple(others) or None, False

        return fill

    def maker(self, like: NewJob) -> Callable[[str], NewJob]:
        """Return what makes the job of a message; all else is as in `like`, but for the directory.

        What it returns raises UsageError for a message that cannot be an argument.
        """
        if self.cwd:
            like = like._replace(cwd=self.cwd)
        before, after = tuple(like[3:_MESSAGE]), tuple(like[_MESSAGE + 1 :])
        argv = self._filler()

        def job(message: str) -> NewJob:
            return NewJob._make((*argv(message), *before, message, *after))

        return job


def template_of(settings: Mapping[str, str]) -> Template | None:
    """Return the template that a queue's settings make, None where there is no command.

    Raises UsageError for a command whose quotes do not close.
    """
    line = settings.get("command", "")
    if not line.strip():
        return None
    shell = settings.get("command-shell") == "on"
    return read_template(line, shell=shell, cwd=settings.get("command-cwd", ""))


def read_template(line: str, *, shell: bool = False, cwd: str = "") -> Template:
    """Return the template of a command line, its words split as a POSIX shell would.

    Raises UsageError for one that is empty, cannot be passed on, or whose quotes do not close.
    """
    if not line.strip() or "\0" in line:
        raise BadValue(what="command", value=line, expected="a command line")
    if shell:
        return Template((line,), shell, cwd)
    from queuectl.quoting import split_words

    try:
        words = split_words(line)
    except ValueError as error:
        reason = str(error).lower()
        raise UsageError(f"command: {line!r} cannot be split into words: {reason}") from None
    if not words[0]:
        raise BadValue(what="command", value=line, expected="a command line")
    return Template(tuple(words), shell=False, cwd=cwd)


def check_message(message: str, beside: int = 0) -> None:
    """Raise UsageError for a message that no program can be given as an argument.

    `beside` is the length of what stands in the same word.
    """
    if "\0" in message:
        raise BadValue(what="message", value=message, expected="a text without NUL characters")
    if len(message) + beside > LONGEST_WORD // 4 and (
        len(os.fsencode(message)) + 4 * beside > LONGEST_WORD
    ):
        raise UsageError(
            f"message: {message[:20]!r}… has more than the {LONGEST_WORD} bytes that a program can"
            " be given as one argument"
        )
