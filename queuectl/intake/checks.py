"""What a service would refuse at once for a reason of its flags, known before anything is started."""

from __future__ import annotations

from queuectl.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from queuectl.service import Plan
    from queuectl.store.base import Store


def check(plan: Plan, store: Store, environ: Mapping[str, str]) -> None:
    """Raise what a service of this plan would raise: UsageError, Refused. Opens and makes nothing.

    An address or a socket that somebody has at the moment is no fault of the flags.
    """
    if store.name == "memory:":
        raise UsageError("serve: a store in memory is not there for other processes")
    if plan.resources:
        from queuectl.resources import parse_resources

        parse_resources(plan.resources, environ)
    if plan.socket is not None:
        from queuectl.sockets import check_place

        check_place(plan.socket)
    if plan.messages is not None:
        from queuectl.intake.limits import resolve

        resolve("--messages", plan.messages, allow_remote=plan.allow_remote)
    if plan.spool is not None:
        from queuectl.commands.spooling import check_directory

        check_directory("--spool ", plan.spool)
    if plan.http is not None:
        from queuectl.intake.web import check_web

        check_web(
            store, plan.http, environ,
            token_file=plan.token_file, tls=plan.tls, allow_insecure=plan.allow_insecure,
        )  # fmt: skip
