"""queuectl: a job queue for shell commands that a person talks to."""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.client import connect as connect


def __getattr__(name: str) -> object:
    """Return `connect`, the Python API, imported when it is first asked for."""
    if name == "connect":
        return __import__("queuectl.client", fromlist=[name]).connect
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
