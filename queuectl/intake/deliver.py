"""Messages become jobs: what the network and spool files have in common with `submit`.

Only a queue that has a command and the setting accept-messages takes them, so whoever can reach a
port or a file may choose an argument and nothing else.
"""

from __future__ import annotations

from queuectl.commands.drafts import captured
from queuectl.errors import NoSuchQueue, QueuectlError, Refused, StoreUnavailable, did_you_mean
from queuectl.job import NewJob
from queuectl.settings import BY_NAME, value_of
from queuectl.template import template_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from queuectl.commands.context import Context
    from queuectl.store.base import Store

    Make = Callable[[str], NewJob]


class Deliverer:
    """Makes jobs of messages, by what the store says at the moment. One thread's."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._makers: dict[str, Make | QueuectlError] = {}

    def look_again(self) -> None:
        """Ask the store anew about queues from now on."""
        self._makers.clear()

    def maker(self, queue: str) -> Make:
        """Return what makes the job of a message to a queue; it raises BadValue for a bad one.

        Raises NoSuchQueue, or Refused for a queue that takes no messages.
        """
        found = self._makers.get(queue)
        if found is None:
            try:
                found = self._make(queue)
            except StoreUnavailable:
                raise
            except QueuectlError as error:
                found = error
            self._makers[queue] = found
        if isinstance(found, QueuectlError):
            raise found
        return found

    def _make(self, queue: str) -> Make:
        store = self._ctx.store
        names = [info.name for info in store.queues()]
        if queue not in names:
            raise NoSuchQueue(queue=queue, hint=did_you_mean(queue, names))
        settings = store.settings(queue)
        name = "accept-messages"
        if not value_of(name, {name: settings.get(name, BY_NAME[name].default)}):
            raise Refused(f"queue {queue} takes no messages: queue set {queue} --{name}")
        template = template_of(settings)
        if template is None:
            raise Refused(
                f"queue {queue} has no command: queue set {queue} --command 'PROGRAM {{}}'"
            )
        like = NewJob(
            "", queue=queue, cwd=self._ctx.cwd, env=captured(self._ctx),
            submitter=self._ctx.submitter,
        )  # fmt: skip
        return template.maker(like)


def add_each(store: Store, jobs: Sequence[NewJob]) -> list[int | QueuectlError]:
    """Enqueue jobs in one transaction, each on its own; return an id or the error for each.

    Raises StoreUnavailable: then none is enqueued.
    """
    with store.transaction():
        try:
            with store.transaction():
                return list(store.add(jobs))
        except StoreUnavailable:
            raise
        except QueuectlError:
            return [_add_one(store, job) for job in jobs]


def _add_one(store: Store, job: NewJob) -> int | QueuectlError:
    try:
        with store.transaction():
            return store.add((job,))[0]
    except StoreUnavailable:
        raise
    except QueuectlError as error:
        return error
