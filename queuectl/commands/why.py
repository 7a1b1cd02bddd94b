"""`why`: one sentence on why a job is not running, and what would change that."""

from __future__ import annotations

from queuectl.commands import picking
from queuectl.commands.chains import Roots
from queuectl.commands.reasons import reasons_for, sentence, surroundings
from queuectl.commands.result import Result, Text, say
from queuectl.commands.turns import rivals
from queuectl.errors import NotFound
from queuectl.grammar.selection import LAST
from queuectl.host.life import living
from queuectl.timespec import describe_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from queuectl.commands.context import Context
    from queuectl.commands.reasons import Surroundings
    from queuectl.grammar.table import Args
    from queuectl.job import Job
    from queuectl.store.base import Schedule, Store


def why(ctx: Context, args: Args) -> Result:
    """Run the command; the last job without a selection."""
    chosen = picking.selection_of(ctx, args)
    if chosen.empty:
        chosen = chosen._replace(single=(LAST,))
    # the jobs first: one that has changed since is then told of as it is now
    try:
        jobs = list(picking.jobs_of(ctx, chosen))
    except NotFound:
        schedules = _schedules(ctx, args.which)
        if not schedules:
            raise
        return _together([_of_schedule(ctx, one) for one in schedules])
    around, roots = surroundings(ctx.store), Roots(ctx.store)
    answers = [_answer(ctx.store, job, around, roots) for job in jobs]
    if not answers:
        return Result([], notes=(picking.where_they_are(ctx.store, chosen),))
    lines = "\n".join(f"job {answer['id']} {answer['why']}" for answer in answers)
    single = chosen.only_single and len(answers) == 1
    return Result(answers[0] if single else answers, (Text(lines),))


def _schedules(ctx: Context, words: Sequence[str]) -> list[Schedule]:
    """Return the schedules that words name, none where one of them names none."""
    known = {one.name: one for one in ctx.store.schedules()}
    named = dict.fromkeys(words)
    return [known[word] for word in named] if known.keys() >= named.keys() else []


def _together(answers: Sequence[Result]) -> Result:
    """Return several answers as one; one stays as it is."""
    if len(answers) == 1:
        return answers[0]
    blocks = [block for answer in answers for block in answer.blocks]
    return Result([answer.data for answer in answers], blocks)


def _of_schedule(ctx: Context, one: Schedule) -> Result:
    """Say when a schedule fires next, or why it does not."""
    from queuectl.commands.schedules import last as last_of
    from queuectl.commands.schedules import last_job, local_zone, moment

    now, here = ctx.store.now(), local_zone(ctx.environ) if one.zone else ""
    hosts = any(host.workers for host in living(ctx.store))
    if one.paused:
        kind, text = "paused", f"is paused; `schedule resume {one.name}` lets it go on"
    elif one.next_at is None:
        kind, text = "never", "never fires again"
    elif not hosts:
        kind = "no-workers"
        text = "fires while a host with workers runs, and there is none; `worker start` starts one"
    else:
        left = describe_duration(one.next_at - now)
        kind, text = "next", f"fires next in {left}, at {moment(one.next_at, now, one.zone, here)}"
    at, made, note = last_of(one, last_job(ctx.store, one))
    last = "" if at is None else f"; last at {moment(at, now, one.zone, here)}"
    if note:
        last += f": {note}"
    elif made is not None:
        last += f": job {made}"
    data = {"schedule": one.name, "reasons": [kind], "why": text + last}
    return say(f"schedule {one.name} {text}{last}", data)


def _answer(store: Store, job: Job, around: Surroundings, roots: Roots) -> dict[str, object]:
    reasons = roots.advised(job, reasons_for(job, around))
    if reasons[0].kind == "turn":
        reasons = reasons_for(job, around, rivals(store, job, around))
    return {
        "id": job.id,
        "state": job.state,
        "reasons": [reason.kind for reason in reasons],
        "why": sentence(reasons),
    }
