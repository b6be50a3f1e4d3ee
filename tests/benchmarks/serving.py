"""7: requests per second."""

from benchmarks.measure import Lab, Row


def serving(lab: Lab) -> list[Row]:
    """Requests per second."""
    return []
