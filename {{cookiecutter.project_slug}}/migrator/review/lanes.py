"""Arrange revisions in rows, the newest first, with lines between them, like `git log --graph`."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from alembic.script import Script
from alembic.util import to_tuple


@dataclass(frozen=True)
class Line:
    """The part in one row of the line from a revision down to the one that it follows.

    `part` is "above" or "below", the upper or lower half of the lane `lane`, or "across", from that
    lane to the lane of the row's revision. `child` is the revision at the upper end of the line.
    """

    part: str
    lane: int
    child: str


@dataclass
class Row:
    """A revision, the lane that it is in, and the lines that run through its row."""

    script: Script
    lane: int
    lines: list[Line] = field(default_factory=list)


@dataclass(frozen=True)
class Waiting:
    """The revision that a lane leads down to: `parent`, which `child` follows."""

    parent: str
    child: str


def rows(revisions: Iterable[Script]) -> list[Row]:
    """Return the rows of revisions that are in the order of `ScriptDirectory.walk_revisions()`.

    In that order, a revision comes before those that it follows.
    """
    lanes: list[Waiting | None] = []
    found = []
    for script in revisions:
        arriving = [
            lane
            for lane, waiting in enumerate(lanes)
            if waiting and waiting.parent == script.revision
        ]
        row = Row(script, arriving[0] if arriving else first_free(lanes))
        for lane, waiting in enumerate(lanes):
            if not waiting:
                continue
            row.lines.append(Line("above", lane, waiting.child))
            if lane not in arriving:
                row.lines.append(Line("below", lane, waiting.child))
            elif lane != row.lane:
                row.lines.append(Line("across", lane, waiting.child))
        for lane in arriving:
            lanes[lane] = None
        begin_lines(row, lanes)
        found.append(row)
    return found


def begin_lines(row: Row, lanes: list[Waiting | None]) -> None:
    """Begin a line from a revision to each that it follows: the first one in the row's lane."""
    for number, parent in enumerate(to_tuple(row.script.down_revision, ())):
        lane = first_free(lanes) if number else row.lane
        set_lane(lanes, lane, Waiting(parent, row.script.revision))
        row.lines.append(Line("below", lane, row.script.revision))
        if number:
            row.lines.append(Line("across", lane, row.script.revision))


def first_free(lanes: list[Waiting | None]) -> int:
    """Return the first lane that waits for nothing."""
    return lanes.index(None) if None in lanes else len(lanes)


def set_lane(lanes: list[Waiting | None], lane: int, waiting: Waiting) -> None:
    lanes.extend([None] * (lane + 1 - len(lanes)))
    lanes[lane] = waiting
