"""What a job asks beside its command: other jobs before it, no second one like it, what a host has."""

from __future__ import annotations

from queuectl.commands.drafts import AUTO
from queuectl.demands import WHEN, check_after, check_key, key_of
from queuectl.errors import NoSuchJob, NotFound, UsageError
from queuectl.grammar.selection import LAST, parse_words
from queuectl.job import SLOTS, WHEN_COMPLETED, WHEN_ENDED, WHEN_FAILED, After
from queuectl.store.base import Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.store.base import Store

#: those of queuectl.demands are for commands too
__all__ = [
    "WHEN",
    "check_after",
    "check_key",
    "check_there",
    "demands",
    "jobs_before",
    "key_of",
    "needs_of",
    "waits_for",
]
_MET = {
    WHEN_COMPLETED: ("has completed", "have completed"),
    WHEN_ENDED: ("has ended", "have ended"),
    WHEN_FAILED: ("is dead", "are dead"),
}


def demands(ctx: Context, args: Args, *, new: bool) -> dict[str, object]:
    """Return what --after, --unique, --slots and --need say, as fields of NewJob.

    `new`: the job is being enqueued, not edited. Raises UsageError and NotFound.
    """
    fields: dict[str, object] = {}
    after: dict[After, None] = {}
    for name, when in WHEN:
        words: list[str] = getattr(args, name, None) or []
        if words:
            flag = "--" + name.replace("_", "-")
            after.update(dict.fromkeys(jobs_before(ctx, flag, words, when)))
    if after:
        check_after(after)
        fields["after"] = tuple(after)
    if getattr(args, "unique", None) is not None:
        fields["unique"] = check_key(args.unique)
        if not new and args.unique == AUTO:
            raise UsageError("edit: --unique auto is for new jobs: give a key")
    needs = needs_of(getattr(args, "slots", None), getattr(args, "need", None) or [])
    if needs is not None:
        fields["needs"] = needs
    return fields


def needs_of(slots: str | None, texts: Sequence[str]) -> Mapping[str, int] | None:
    """Return what --slots and --need ask for, None when they say nothing. Raises UsageError."""
    if slots is None and not texts:
        return None
    from queuectl.resources import parse_needs, parse_slots

    # in one piece, so that a name given twice is seen
    needs = dict(parse_needs(",".join(texts))) if texts else {}
    if slots is not None:
        needs[SLOTS] = parse_slots(slots)
    return needs


def jobs_before(ctx: Context, flag: str, words: Sequence[str], when: str) -> Iterator[After]:
    """Yield the dependencies that words mean; `flag` is what they are the value of.

    Raises UsageError, and NotFound for a range without jobs.
    """
    chosen = parse_words(words)
    if chosen.all or chosen.states:
        raise UsageError(f"{flag}: give ids, ranges, names or `last`")
    for item in chosen.single:
        if item == LAST:
            newest = ctx.last_job()
            if newest is None:
                raise NotFound(f"{flag}: there is no last job: you have enqueued none")
            yield After(newest, when)
        else:
            yield After(item, when)
    for first, last in chosen.ranges:
        if last is None:
            raise UsageError(f"{flag}: where does {first}- end? give both ends")
        found = ctx.store.jobs(Filter(ranges=((first, last),)))
        ids = [job.id for job in found]
        if not ids:
            raise NotFound(f"{flag}: there are no jobs {first}-{last}")
        for job_id in ids:
            yield After(job_id, when)


def check_there(store: Store, after: Sequence[After]) -> None:
    """Raise NoSuchJob for the first dependency on a job that is not there."""
    ids = [one.on for one in after if isinstance(one.on, int)]
    there = store.states_of(ids) if ids else {}
    for one in after:
        if (store.id_of_name(one.on) is None) if isinstance(one.on, str) else one.on not in there:
            raise NoSuchJob(job=one.on)


def waits_for(store: Store, job_id: int) -> str:
    """Return what a job waits for, as a sentence without its subject; empty: nothing."""
    by_when: dict[str, list[int]] = {}
    for dependency in store.dependencies(job_id):
        if dependency.met is not True:
            by_when.setdefault(dependency.when, []).append(dependency.on)
    parts = []
    for when, ids in by_when.items():
        one, many = _MET[when]
        shown = ", ".join(map(str, ids[:10])) + (", …" if len(ids) > 10 else "")
        parts.append(f"{shown} {one if len(ids) == 1 else many}")
    return f"waits until {' and '.join(parts)}" if parts else ""
