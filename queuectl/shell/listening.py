"""What commands tell of the ends of jobs while they run, so that no notice tells it again."""

from __future__ import annotations

import re

from queuectl.commands.result import Stream
from queuectl.process.output import STDERR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from queuectl.commands.result import Result
    from queuectl.grammar import Invocation
    from queuectl.shell.notices import Told

_FOLLOW, _STOP = ("follow",), ("worker", "stop")
#: what `follow` says of several jobs when one of them, or an attempt, has ended: its id in front, in
#: colour or not. What a job writes there itself says at least that it is followed
_END = re.compile(
    rb"(?:\x1b\[\d+m)?(\d+) \|(?:\x1b\[0m)? "
    rb"(?:completed|failed|dead|cancelled|removed|attempt \d+:)"
)


def tells_of_ends(invocation: Invocation) -> bool:
    """Whether a command says itself how jobs of this shell's workers end."""
    path = invocation.command.path
    return path == _FOLLOW or (path == _STOP and invocation.args.now)


def listened_to(result: Result, told: Told) -> Result:
    """Return the same answer, which notes in `told` what it tells while it is shown."""
    if isinstance(result.data, dict):
        told.handed_back.update(result.data.get("running", ()))
    blocks = [
        block._replace(pieces=_heard(block.pieces, told)) if isinstance(block, Stream) else block
        for block in result.blocks
    ]
    return result._replace(blocks=tuple(blocks))


def _heard(pieces: Iterable[tuple[int, bytes]], told: Told) -> Iterator[tuple[int, bytes]]:
    for stream, data in pieces:
        end = _END.match(data) if stream == STDERR else None
        if end is not None:
            told.ended.add(int(end[1]))
        yield stream, data
