"""A process with workers: its queue model, the thread that talks to the store, and how it shows that it lives."""
