"""Endings of attempts as people name them: `75,100-110,TERM,signals,timeout,lost`. Pure."""

from __future__ import annotations

from queuectl.errors import BadValue, nearest
from queuectl.job import EXIT, LOST, OUTPUT, SIGNAL, TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Container


#: the word for whatever signal
SIGNALS = "signals"


def parse_endings(text: str, what: str, lowest: int = 1) -> frozenset[tuple[str, int | None]]:
    """Return the endings named by `75,100-110,TERM,timeout,lost` as (kind, code) pairs.

    `signals` are (SIGNAL, None): any of them. Exit codes begin at `lowest`. Raises BadValue for
    what is no exit code (to 255), signal name, `signals`, `timeout`, `lost` or `output`.
    """
    endings: set[tuple[str, int | None]] = set()
    for word in text.replace(",", " ").split():
        first, dash, last = word.partition("-")
        if word.lower() in (TIMEOUT, LOST, OUTPUT):
            endings.add((word.lower(), None))
        elif word.lower() == SIGNALS:
            endings.add((SIGNAL, None))
        elif _is_code(first) and (_is_code(last) if dash else not last):
            low, high = int(first), int(last or first)
            if not lowest <= low <= high <= 255:
                expected = f"an exit code from {lowest} to 255"
                raise BadValue(what=what, value=word, expected=expected)
            endings.update((EXIT, code) for code in range(low, high + 1))
        else:
            endings.add((SIGNAL, _signal_number(word, what)))
    return frozenset(endings)


def sort_endings(text: str, what: str) -> tuple[tuple[str, int | None], ...]:
    """Return the endings that a text names, also `0`, as a filter has them. Raises BadValue."""
    if not text:
        return ()
    found = parse_endings(text, what, lowest=0)
    return tuple(sorted(found, key=lambda one: (one[0], one[1] or 0)))


def is_among(kind: str, code: int | None, endings: Container[tuple[str, int | None]]) -> bool:
    """Whether an ending, with its exit status or signal, is one of those that were named."""
    if kind == EXIT:
        return (EXIT, code) in endings
    return (kind, None) in endings or (kind == SIGNAL and (SIGNAL, code) in endings)


def _is_code(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) < 10


def _signal_number(word: str, what: str) -> int:
    import signal

    name = word.upper().removeprefix("SIG")
    try:
        return int(signal.Signals[f"SIG{name}"])
    except KeyError:
        known = {
            one.name.removeprefix("SIG").lower(): one.name.removeprefix("SIG")
            for one in signal.Signals
        }
        close = nearest(name.lower(), (TIMEOUT, LOST, OUTPUT, SIGNALS, *known))
        hint = f"; did you mean {known.get(close, close)}?" if close else ""
        raise BadValue(
            what=what,
            value=word,
            expected=f"an exit code, a signal such as TERM, signals, timeout or lost{hint}",
        ) from None


def describe(endings: Collection[tuple[str, int | None]]) -> str:
    """Return endings for reading: `exit 3-5, signal 9 or timeout`."""
    parts: list[str] = []
    codes = sorted(code for kind, code in endings if kind == EXIT and code is not None)
    while codes:
        run = [code for at, code in enumerate(codes) if code == codes[0] + at]
        parts.append(f"exit {run[0]}" + (f"-{run[-1]}" if len(run) > 1 else ""))
        codes = codes[len(run) :]
    for kind, code in endings:
        if kind == SIGNAL:
            parts.append("a signal" if code is None else f"signal {code}")
        elif kind != EXIT:
            parts.append("its worker lost" if kind == LOST else kind)
    return " or ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)
