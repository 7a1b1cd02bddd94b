"""`dlq`: the dead-letter queue, jobs whose retries are used up."""

from __future__ import annotations

from queuectl.commands import acting, looking, picking, views
from queuectl.errors import UsageError
from queuectl.grammar.selection import Selection
from queuectl.job import DEAD
from queuectl.store.base import Changed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from queuectl.commands.context import Context
    from queuectl.commands.result import Result
    from queuectl.grammar.table import Args
    from queuectl.store.base import Store


#: jobs that somebody edits one after the other
_EDITED = 20


def list_dead(ctx: Context, args: Args) -> Result:
    """Run `dlq list`."""
    chosen = _dead(ctx, args)
    jobs = picking.jobs_of(ctx, chosen)
    columns, cells = views.DEAD_COLUMNS, views.dead_cells
    return looking.listing(ctx, jobs, chosen, columns=columns, cells=cells)


def retry(ctx: Context, args: Args) -> Result:
    """Run `dlq retry`."""
    keep: bool = args.keep_attempts
    planned = acting.restarts(args)
    # what was cancelled because of dead jobs is asked for with them, and is not dead
    also: frozenset[int] = frozenset()

    def plan(store: Store, ids: Sequence[int]) -> acting.Plan:
        nonlocal also
        made = planned(store, ids)
        also = made.also
        return made

    def change(store: Store, ids: Sequence[int]) -> list[Changed]:
        return _if_dead(store, ids, lambda dead: store.retry(dead, keep_attempts=keep), also)

    verb = acting.Verb("retry", "to be run again", change, (DEAD,), (DEAD,), plan=plan)
    chosen = picking.selection_of(ctx, args)
    if args.edit:
        return acting.act(ctx, args, verb, _edited(ctx, chosen))
    return acting.act(ctx, args, verb, chosen)


def _edited(ctx: Context, chosen: Selection) -> Selection:
    """Open the dead jobs of a selection in an editor one by one; return those, to be retried.

    Raises Refused at the first that is given up; those before it stay changed, none is retried.
    """
    from queuectl.commands.editing import can_edit, edit_as_text

    if not can_edit(ctx):
        raise UsageError(
            "dlq retry --edit: no editor here: set EDITOR, or use `edit ID` with flags"
        )
    if chosen.empty:
        raise UsageError("dlq retry what? give ids, names, `last`, or `all`")
    chosen = chosen._replace(states=(DEAD,)) if not chosen.only_single else chosen
    jobs = [job for job in picking.jobs_of(ctx, chosen) if job.state == DEAD]
    if len(jobs) > _EDITED:
        raise UsageError(f"dlq retry --edit: {len(jobs)} jobs are too many to edit one by one")
    for job in jobs:
        edit_as_text(ctx, job)
    return chosen


def purge(ctx: Context, args: Args) -> Result:
    """Run `dlq purge`: everything in it unless something is selected."""
    verb = acting.Verb(
        "remove", "removed", lambda store, ids: _if_dead(store, ids, store.remove), (DEAD,), (DEAD,),
        destructive=True,
    )  # fmt: skip
    chosen = picking.selection_of(ctx, args)
    return acting.act(ctx, args, verb, Selection(all=True) if chosen.empty else chosen)


def _dead(ctx: Context, args: Args) -> Selection:
    return picking.selection_of(ctx, args)._replace(states=(DEAD,))


def _if_dead(
    store: Store,
    ids: Sequence[int],
    change: Callable[[Sequence[int]], list[Changed]],
    also: Container[int] = (),
) -> list[Changed]:
    """Change those jobs that are dead, or are asked for too; the others say what they are."""
    refused: dict[int, Changed] = {}
    with store.transaction():
        for job_id, state in store.states_of(ids).items():
            if state != DEAD and job_id not in also:
                why = f"is {state}, not dead"
                refused[job_id] = Changed(job_id, done=False, why=why, state=state)
        changed = change([job_id for job_id in ids if job_id not in refused])
    return [*changed, *refused.values()]
