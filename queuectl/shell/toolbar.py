"""The line at the bottom of the shell: jobs by state, workers, the store, and what is wrong. Pure."""

from __future__ import annotations

from queuectl.job import CANCELLED, COMPLETED, STATES
from queuectl.render import cut, visible, width_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from queuectl.shell.known import Picture

    Part = tuple[str, str]

_BETWEEN = "  "
#: letters of a state when there is little room
_SHORT = 4
#: columns that the store's name must leave, and the most it takes
_LONGEST_STORE = 40


def toolbar(picture: Picture, store: str, width: int, hint: str = "") -> list[Part]:
    """Return styled text of at most `width` columns; what matters least is left out first.

    `hint` stands for a moment in place of everything else.
    """
    if picture.trouble:
        return _fitted([("class:toolbar.trouble", visible(picture.trouble))], width)
    if hint:
        return _fitted([("class:toolbar.hint", hint)], width)
    workers = [*_halted(picture), ("class:toolbar.workers", _workers(picture))]
    shown = _shortened(visible(store))
    final = (COMPLETED, CANCELLED)
    for parts in (
        [*_counts(picture), *workers, ("class:toolbar.store", shown)],
        [*_counts(picture), *workers],
        [*_counts(picture, without=final), *workers],
        [*_counts(picture, letters=_SHORT, without=final), *workers],
        [*_counts(picture, letters=_SHORT), ("class:toolbar.workers", _few_words(picture))],
        [
            *_counts(picture, letters=_SHORT, without=final),
            ("class:toolbar.workers", _few_words(picture)),
        ],
    ):
        if _width(parts) <= width:
            return _joined(parts)
    return _fitted(parts, width)


def _counts(picture: Picture, *, letters: int = 99, without: Sequence[str] = ()) -> Iterator[Part]:
    nothing = True
    for state in STATES:
        number = picture.counts.get(state, 0)
        if number and state not in without:
            nothing = False
            yield f"class:toolbar.{state}", f"{number:,} {state[:letters]}"
    if nothing:
        yield (
            "class:toolbar.none",
            "no jobs" if not any(picture.counts.values()) else "none waiting",
        )


def _halted(picture: Picture) -> Iterator[Part]:
    """Yield which queue has paused itself, or how many have, and how many hosts are dead."""
    if picture.dead:
        hosts = "1 host" if picture.dead == 1 else f"{picture.dead} hosts"
        yield "class:toolbar.trouble", f"{hosts} dead"
    if picture.halted:
        first, *more = picture.halted
        yield (
            "class:toolbar.trouble",
            f"{len(more) + 1} queues halted" if more else f"queue {visible(first)} halted",
        )


def _workers(picture: Picture) -> str:
    elsewhere = f"{picture.elsewhere} elsewhere" if picture.elsewhere else ""
    if not picture.workers and not picture.running:
        return f"{elsewhere and 'workers: '}{elsewhere}" or "no workers"
    here = f"{picture.running}/{picture.workers} workers busy"
    return f"{here}, {elsewhere}" if elsewhere else here


def _few_words(picture: Picture) -> str:
    return f"{picture.running}/{picture.workers + picture.elsewhere}w"


def _shortened(store: str) -> str:
    """Return the end of a long name: what tells one store from another."""
    excess = len(store) - _LONGEST_STORE
    return store if excess <= 0 else "…" + store[excess + 1 :]


def _width(parts: Sequence[Part]) -> int:
    return sum(width_of(text) + len(_BETWEEN) for _, text in parts)


def _joined(parts: Sequence[Part]) -> list[Part]:
    joined: list[Part] = []
    for style, text in parts:
        joined.append(("", " " if not joined else _BETWEEN))
        joined.append((style, text))
    return joined


def _fitted(parts: Sequence[Part], width: int) -> list[Part]:
    """Return as much of the parts as fits, the last of it cut."""
    left = width
    fitted: list[Part] = []
    for style, text in _joined(parts):
        if left <= 0:
            break
        fitted.append((style, cut(text, left)))
        left -= width_of(text)
    return fitted
