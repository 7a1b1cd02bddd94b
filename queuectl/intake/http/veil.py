"""What a token for looking is not shown: the variables of jobs, which is where secrets are given.

Whoever may not enqueue commands has no use for them. Commands, hooks, messages and output are
shown to everybody with a token.
"""

from __future__ import annotations

from queuectl.schedule import pack, unpack
from queuectl.store.base import Schedule
from queuectl.store.remote.wire import WORK, allows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def shown_to(role: str, value: Any) -> Any:
    """Return what a method of the store returned, as far as a role may see it."""
    return value if allows(role, WORK) else _veiled(value)


def _veiled(value: Any) -> Any:
    if isinstance(value, Schedule):
        new = unpack(value.job, value.name)
        return value._replace(job=pack(new._replace(env={}, stdin=None)))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        if "env" in value._fields:
            return value._replace(env={})  # type: ignore[attr-defined]
        return type(value)._make(map(_veiled, value))  # type: ignore[attr-defined]
    if isinstance(value, (list, tuple)):
        return type(value)(map(_veiled, value))
    if isinstance(value, dict):
        return {key: _veiled(item) for key, item in value.items()}
    return value
