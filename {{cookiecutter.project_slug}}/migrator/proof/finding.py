"""What is wrong with a revision, and the comment that allows it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

# A comment on a line of its own. The "<reason>" that a message prints does not count as a reason.
ALLOWED = re.compile(r"^\s*# allow (.+?): +[^<\s]", re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a revision.

    `kind` is what is wrong:

    - difference: the database is not what the models say
    - trace: the downgrade is not the opposite of the upgrade
    - loss: values are lost
    - rows: there was no row, or no value, that could have been lost
    - sql: the revision cannot be written as SQL
    - lock: a statement stops a running service
    - release: an earlier release cannot use the database any more

    `subject` is what it is about: an object of the database, a function of the revision, or a
    statement. `waiver` is what a comment in the revision names to allow it, or "" if none may.
    `text` says what is wrong.
    """

    kind: str
    subject: str
    waiver: str
    text: str

    def __str__(self) -> str:
        return f"{self.text}\n  # allow {self.waiver}: <reason>" if self.waiver else self.text


def not_allowed(findings: Iterable[Finding], path: Path) -> list[Finding]:
    """Return the findings that no comment in the revision at `path` allows.

    Findings of one kind that the same comment would allow are joined into one.
    """
    allowed = waivers(path)
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        if finding.waiver not in allowed:
            groups.setdefault((finding.kind, finding.waiver), []).append(finding)
    return [as_one(group) for group in groups.values()]


def as_one(findings: list[Finding]) -> Finding:
    """Return the first of these findings with the texts of all, without duplicates."""
    texts = dict.fromkeys(finding.text for finding in findings)
    return replace(findings[0], text="\n".join(texts))


def waivers(path: Path) -> set[str]:
    """Return the waivers that a revision has, each from a comment `# allow <waiver>: <reason>`."""
    return set(ALLOWED.findall(path.read_text("utf-8")))
