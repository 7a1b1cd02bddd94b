"""One attempt: a process group, what it writes, and its end. `attempt` runs one."""
