"""`python -m queuectl.detached worker start …`: what `worker start --detach` leaves behind."""

from queuectl.cli import main_detached

if __name__ == "__main__":
    main_detached()
