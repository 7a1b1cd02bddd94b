"""Retry when, or bury: decided from counts alone. Pure: the random number is passed in."""

from __future__ import annotations

from queuectl.endings import is_among, parse_endings
from queuectl.record import Record
from queuectl.settings import value_of
from queuectl.timespec import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: claims without an end, beyond max-retries, that a job may have before it is buried
SPARE_DELIVERIES = 3


class Retry(Record):
    """Run it again after `delay` milliseconds."""

    delay: int


class Bury(Record):
    """Move it to the dead-letter queue; `reason` is added to the attempt's own, if not empty."""

    reason: str = ""


def after_failure(
    attempts: int, max_retries: int, policy: Mapping[str, str], random: float = 0.5
) -> Retry | Bury:
    """Decide what follows a failed attempt. `attempts` counts it already.

    `random` in [0, 1) spreads the wait by the setting `jitter`; 0.5 is the plain wait.
    """
    if attempts > max_retries:
        return Bury()
    return Retry(backoff(attempts, policy, random))


def refused(kind: str, code: int | None, policy: Mapping[str, str]) -> str:
    """Return why a job's own rules forbid a retry after such an ending; empty if they do not."""
    only = policy.get("retry-on", "")
    if only and not is_among(kind, code, parse_endings(only, "retry-on")):
        return "not in retry-on"
    never = policy.get("no-retry-on", "")
    if never and is_among(kind, code, parse_endings(never, "no-retry-on")):
        return "in no-retry-on"
    return ""


def after_lost_claim(deliveries: int, max_retries: int) -> Retry | Bury:
    """Decide what follows a claim that was lost and is not known to have started."""
    if deliveries > max_retries + SPARE_DELIVERIES:
        return Bury(f"claimed {deliveries} times without an end")
    return Retry(0)


def backoff(attempts: int, policy: Mapping[str, str], random: float = 0.5) -> int:
    """Return the milliseconds before the retry that follows `attempts` attempts.

    base ** attempts seconds, at most backoff-max, then jitter around it (exponential backoff).
    """
    base = float(value_of("backoff-base", policy))
    longest = int(value_of("backoff-max", policy))
    try:
        wait = min(base**attempts * SECOND, longest) if base > 0 else 0.0
    except OverflowError:
        wait = longest
    wait *= 1 + float(value_of("jitter", policy)) * (2 * random - 1)
    return round(wait)
