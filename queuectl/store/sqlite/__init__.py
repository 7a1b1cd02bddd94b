"""The SQLite store: one file, nothing to set up. `engine` has the store."""
