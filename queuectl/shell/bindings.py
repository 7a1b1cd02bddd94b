"""Keys that the shell treats in its own way."""

from __future__ import annotations

from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.completion import CompleteEvent, get_common_complete_suffix
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, completion_is_selected, has_focus
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.keys import Keys

from queuectl.grammar.reading import goes_on, joined
from queuectl.host.handover import link
from queuectl.shell import terminal
from queuectl.shell.paste import lines_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.filters import Filter
    from prompt_toolkit.key_binding import KeyPressEvent

    from queuectl.grammar import Grammar
    from queuectl.shell.completer import ShellCompleter


TYPED, ASKED = CompleteEvent(text_inserted=True), CompleteEvent(completion_requested=True)


def unfinished(grammar: Grammar, text_of: Callable[[], str]) -> Filter:
    """Return a filter: the line's JSON has not closed, or it ends in a backslash: Enter goes on.

    It is asked several times for each key, so the answer for the same text is remembered.
    """
    last: tuple[str, bool] = ("", False)

    def more() -> bool:
        nonlocal last
        text = text_of()
        if text is not last[0] and text != last[0]:
            whole = joined(text)
            last = (text, goes_on(whole) or grammar.needs_more(whole))
        return last[1]

    return Condition(more)


def complete(buffer: Buffer, completer: ShellCompleter) -> None:
    """Complete: the only word, or what all have in common, at once; else go through the menu.

    The only word gets a blank behind it where nothing else can follow, as a shell does it.
    """
    state = buffer.complete_state
    if state is not None and len(state.completions) > 1:
        buffer.complete_next()
        return
    # looked up here, not by the buffer, which drops a request while it completes what was typed
    why = TYPED
    offers = list(completer.get_completions(buffer.document, why))
    if not offers and completer.is_whole(buffer.document):
        buffer.insert_text(completer.ending(buffer.document))
        return
    if not offers:
        why = ASKED
        offers = list(completer.get_completions(buffer.document, why))
    if len(offers) == 1:
        buffer.apply_completion(offers[0])
        buffer.insert_text(completer.ending(buffer.document))
    elif state is None:
        common = get_common_complete_suffix(buffer.document, offers)
        buffer.insert_text(common, fire_event=False)
        buffer.start_completion(complete_event=why)


def bindings(
    grammar: Grammar, completer: ShellCompleter, run_later: Callable[[Sequence[str], str], None]
) -> KeyBindings:
    """Return the bindings. `run_later` takes pasted lines to run after the present one, and a rest."""
    keys = KeyBindings()
    in_line = has_focus(DEFAULT_BUFFER)

    @keys.add("enter", filter=completion_is_selected & in_line)
    def _choose(event: KeyPressEvent) -> None:
        """Close the menu; the chosen word stays and nothing runs."""
        event.current_buffer.complete_state = None

    @keys.add("tab", filter=in_line)
    def _complete(event: KeyPressEvent) -> None:
        complete(event.current_buffer, completer)

    @keys.add("c-z")
    def _suspend(event: KeyPressEvent) -> None:  # noqa: ARG001
        """Give the terminal back to the shell above until `fg`."""
        if link() is not None:
            run_in_terminal(lambda: terminal.suspend(modes=terminal.current()))

    @keys.add(Keys.BracketedPaste, filter=in_line)
    def _paste(event: KeyPressEvent) -> None:
        """Run each line of a pasted text; a single one is only inserted, so it can be looked at."""
        buffer = event.current_buffer
        data = event.data.replace("\r\n", "\n").replace("\r", "\n")
        lines, rest = lines_of(grammar, buffer.text + data)
        at_end = buffer.document.is_cursor_at_the_end
        if not at_end or len(lines) + bool(rest.strip()) < 2:
            buffer.insert_text(data.rstrip("\n") if lines or not at_end else data)
            return
        buffer.text = lines[0]
        buffer.cursor_position = len(lines[0])
        run_later(lines[1:], rest)
        buffer.validate_and_handle()

    return keys
