"""`dlq`: the dead-letter queue, jobs whose retries are used up."""

from __future__ import annotations

from queuectl.commands import acting, looking, picking, views
from queuectl.job import DEAD
from queuectl.selection import Selection
from queuectl.store.base import Changed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from queuectl.commands.context import Context
    from queuectl.commands.result import Result
    from queuectl.store.base import Store
    from queuectl.table import Args


def list_dead(ctx: Context, args: Args) -> Result:
    """Run `dlq list`."""
    jobs = picking.jobs_of(ctx, _dead(ctx, args))
    columns, cells = views.DEAD_COLUMNS, views.dead_cells
    return looking.listing(ctx, jobs, (DEAD,), columns=columns, cells=cells)


def retry(ctx: Context, args: Args) -> Result:
    """Run `dlq retry`."""
    verb = acting.Verb(
        "retry",
        "to be run again",
        lambda store, ids: _if_dead(store, ids, store.retry),
        (DEAD,),
        (DEAD,),
    )
    return acting.act(ctx, args, verb, _chosen(ctx, args))


def purge(ctx: Context, args: Args) -> Result:
    """Run `dlq purge`: everything in it unless something is selected."""
    verb = acting.Verb(
        "remove", "removed", lambda store, ids: _if_dead(store, ids, store.remove), (DEAD,), (DEAD,),
        destructive=True,
    )  # fmt: skip
    chosen = _chosen(ctx, args)
    return acting.act(ctx, args, verb, Selection(all=True) if chosen.empty else chosen)


def _dead(ctx: Context, args: Args) -> Selection:
    return picking.selection_of(ctx, args)._replace(states=(DEAD,))


def _chosen(ctx: Context, args: Args) -> Selection:
    return picking.selection_of(ctx, args)


def _if_dead(
    store: Store, ids: Sequence[int], change: Callable[[Sequence[int]], list[Changed]]
) -> list[Changed]:
    """Change those jobs that are dead; the others are refused and say what they are."""
    refused: dict[int, Changed] = {}
    with store.transaction():
        for job_id in ids:
            job = store.get(job_id)
            if job is not None and job.state != DEAD:
                why = f"is {job.state}, not dead"
                refused[job_id] = Changed(job_id, done=False, why=why, state=job.state)
        changed = change([job_id for job_id in ids if job_id not in refused])
    return [*changed, *refused.values()]
