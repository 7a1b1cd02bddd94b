"""Other ways in: Unix socket, TCP messages, spool directory, HTTP. Each is one module.

An intake has `start()`, `stop()`, `reload()` and a `where` that says what it listens to; it writes
through the host's `call`, so that what comes from many clients at once is committed in groups.
"""
