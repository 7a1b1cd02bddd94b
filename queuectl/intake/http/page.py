"""A status page for a browser: one file, nothing from elsewhere; it reads /status with a token."""

from __future__ import annotations

import os

from queuectl.intake.http.call import Answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.intake.http.call import Call

#: nothing but its own script and style, and requests to this server
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page(call: Call) -> Answer:  # noqa: ARG001
    """GET /."""
    path = os.path.join(os.path.dirname(__file__), "status.html")
    with open(path, "rb") as file:
        text = file.read()
    headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
    return Answer(None, raw=text, media="text/html", headers=headers)
