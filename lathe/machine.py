"""What this machine offers."""

import os


def count_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))
