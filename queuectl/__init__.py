"""queuectl: a job queue for shell commands that a person talks to."""

__version__ = "0.1.0"
