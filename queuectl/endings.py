"""Endings of attempts as people name them: `75,100-110,TERM,timeout,lost`. Pure."""

from __future__ import annotations

from queuectl.errors import BadValue
from queuectl.job import EXIT, LOST, OUTPUT, SIGNAL, TIMEOUT


def parse_endings(text: str, what: str) -> frozenset[tuple[str, int | None]]:
    """Return the endings named by `75,100-110,TERM,timeout,lost` as (kind, code) pairs.

    Raises BadValue for what is no exit code (1 to 255), signal name, `timeout` or `lost`.
    """
    endings: set[tuple[str, int | None]] = set()
    for word in text.replace(",", " ").split():
        first, dash, last = word.partition("-")
        if word.lower() in (TIMEOUT, LOST, OUTPUT):
            endings.add((word.lower(), None))
        elif _is_code(first) and (_is_code(last) if dash else not last):
            low, high = int(first), int(last or first)
            if not 1 <= low <= high <= 255:
                raise BadValue(what=what, value=word, expected="an exit code from 1 to 255")
            endings.update((EXIT, code) for code in range(low, high + 1))
        else:
            endings.add((SIGNAL, _signal_number(word, what)))
    return frozenset(endings)


def _is_code(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) < 10


def _signal_number(word: str, what: str) -> int:
    import signal

    name = word.upper().removeprefix("SIG")
    try:
        return int(signal.Signals[f"SIG{name}"])
    except KeyError:
        raise BadValue(
            what=what, value=word, expected="an exit code, a signal such as TERM, timeout or lost"
        ) from None
