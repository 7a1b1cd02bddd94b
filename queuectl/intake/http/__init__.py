"""The HTTP API: `routes` is the table of it, `server` what listens."""
