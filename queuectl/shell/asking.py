"""Questions that one key answers: which keys do, and what was typed before anybody could have read them."""

from __future__ import annotations

from contextlib import contextmanager

from prompt_toolkit.application import get_app
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, has_focus
from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.keys import Keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prompt_toolkit.input import Input
    from prompt_toolkit.key_binding import KeyPress, KeyPressEvent

_ENTERS = frozenset((Keys.ControlM, Keys.ControlJ))


@contextmanager
def typed_before(keyboard: Input) -> Iterator[None]:
    """Set apart what has been typed and not been read, for the next prompt after what is within.

    Raises KeyboardInterrupt when Ctrl-C is among it.
    """
    held = get_typeahead(keyboard)
    while keys := keyboard.read_keys():
        held += keys
    held += keyboard.flush_keys()
    if any(press.key == Keys.ControlC for press in held):
        raise KeyboardInterrupt
    try:
        yield
    finally:
        # behind it, what came together with the answer
        later = get_typeahead(keyboard)
        # an answer of the terminal's was about what has gone by then
        held = [press for press in held if press.key != Keys.CPRResponse]
        store_typeahead(keyboard, held + later)


def answering(answers: Iterable[str], safe: str) -> KeyBindings:
    """Return keys that end a question with one of the answers.

    Only on an empty line, and only one that came by itself: what begins a longer text that arrives
    at once, as a paste does, is none. Enter and Escape give `safe`, where that is not empty.
    """
    keys = KeyBindings()
    nothing_typed = Condition(lambda: not get_app().current_buffer.text)
    first = has_focus(DEFAULT_BUFFER) & nothing_typed & Condition(_is_last)

    def add(key: str, answer: str) -> None:
        @keys.add(key, filter=first, eager=True)
        def _answer(event: KeyPressEvent) -> None:
            event.app.exit(result=answer)

    for answer in answers:
        add(answer, answer)
    if safe:
        for key in ("enter", "escape"):
            add(key, safe)
    return keys


def _is_last() -> bool:
    """Whether nothing, or only Enter, came together with the key that is being looked at."""
    waiting: list[KeyPress] = list(get_app().key_processor.input_queue)
    return all(press.key in _ENTERS for press in waiting)
