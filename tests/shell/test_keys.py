"""Keys of the prompt, through prompt_toolkit's pipe input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from queuectl.commands import GRAMMAR
from queuectl.commands.context import SHELL, Context
from queuectl.shell.notices import Notices
from queuectl.shell.prompt import Prompt
from queuectl.store.sqlite.engine import MemoryStore
from tests.shell.known import something_known
from tests.support.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prompt_toolkit.input import PipeInput


class Keyboard:
    """A prompt and the keys pressed at it."""

    def __init__(self, directory: Path, keys: PipeInput) -> None:
        store = MemoryStore({}, Clock())
        context = Context(lambda: store, environ={}, mode=SHELL)
        self._keys = keys
        self.prompt = Prompt(
            context, GRAMMAR, something_known(), Notices(), str(directory / "history"),
            keys=keys, output=DummyOutput(),
        )  # fmt: skip

    def read(self, keys: str) -> str:
        """Return the line that these keys make."""
        self._keys.send_text(keys)
        return self.prompt.read()

    def paste(self, text: str) -> str:
        """Return the line that a pasted text makes."""
        return self.read(f"\x1b[200~{text}\x1b[201~")


@pytest.fixture
def keyboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keyboard]:
    monkeypatch.setenv("TERM", "xterm")
    with create_pipe_input() as keys:
        yield Keyboard(tmp_path, keys)


def test_enter_ends_a_line(keyboard: Keyboard) -> None:
    assert keyboard.read("list\r") == "list"


def test_tab_completes_the_only_word(keyboard: Keyboard) -> None:
    assert keyboard.read("dlq pu\t\r") == "dlq purge "


def test_tab_completes_what_all_words_have_in_common(keyboard: Keyboard) -> None:
    assert keyboard.read("set backoff-\tb\t\r") == "set backoff-base "
    assert keyboard.read("worker s\t\r") == "worker st"


def test_enter_goes_on_while_json_is_open(keyboard: Keyboard) -> None:
    line = keyboard.read('enqueue {"command":\r"echo {",\r"args": []\r}\r')
    assert line == 'enqueue {"command":\n"echo {",\n"args": []\n}'


def test_ctrl_c_and_ctrl_d(keyboard: Keyboard) -> None:
    with pytest.raises(KeyboardInterrupt):
        keyboard.read("half\x03")
    assert keyboard.prompt.text == "half"
    with pytest.raises(EOFError):
        keyboard.read("\x04")


def test_pasted_lines_wait_for_their_turn(keyboard: Keyboard) -> None:
    assert keyboard.paste('list\rstatus\renqueue {"a":\r1}\rhal') == "list"
    assert keyboard.prompt.next_pasted() == "status"
    assert keyboard.prompt.next_pasted() == 'enqueue {"a":\n1}'
    assert keyboard.prompt.next_pasted() is None
    assert keyboard.read("f\r") == "half"


def test_pasted_lines_go_on_from_what_stands_there(keyboard: Keyboard) -> None:
    assert keyboard.read("enqueue \x1b[200~echo 1\nlist\n\x1b[201~") == "enqueue echo 1"
    assert keyboard.prompt.drop_pasted() == 1
    assert keyboard.prompt.next_pasted() is None


def test_one_pasted_line_is_only_inserted(keyboard: Keyboard) -> None:
    assert keyboard.read("\x1b[200~list\n\x1b[201~ dead\r") == "list dead"


def ask(keyboard: Keyboard, *typed: str, safe: str = "") -> str:
    """Return the answer to a question, at which these texts are typed one after the other."""
    texts = list(typed)

    def moot() -> bool:
        if texts:
            keyboard._keys.send_text(texts.pop(0))
        return False

    return keyboard.prompt.ask("what?", {"w": "wait", "s": "stop"}, safe=safe, moot=moot)


def test_a_question_takes_one_key(keyboard: Keyboard) -> None:
    assert ask(keyboard, "w") == "w"
    assert ask(keyboard, "w\r") == "w"
    assert ask(keyboard, "\r", safe="s") == "s"


def test_a_question_takes_no_text(keyboard: Keyboard) -> None:
    assert ask(keyboard, "who\r", "xs\r", "s") == "s"


def test_what_was_typed_before_a_question_is_for_the_next_prompt(keyboard: Keyboard) -> None:
    keyboard._keys.send_text("wait 1\rst")
    assert ask(keyboard, "s") == "s"
    assert keyboard.read("") == "wait 1"
    assert keyboard.read("atus\r") == "status"


def test_ctrl_c_before_a_question_takes_it_back(keyboard: Keyboard) -> None:
    keyboard._keys.send_text("\x03")
    with pytest.raises(KeyboardInterrupt):
        ask(keyboard)
