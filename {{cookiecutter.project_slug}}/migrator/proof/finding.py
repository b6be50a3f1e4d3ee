"""What is wrong with a revision, and the comment that allows it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

# A comment of its own line; the "<reason>" that a message prints is not a reason yet.
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
    - lock: a running service is stopped

    `subject` is what it is about: an object of the database, a function of the revision, or a
    statement. `waiver` is what a comment in the revision names to allow it.
    """

    kind: str
    subject: str
    waiver: str
    text: str

    def __str__(self) -> str:
        return f"{self.text}\n  # allow {self.waiver}: <reason>" if self.waiver else self.text


def not_allowed(findings: Iterable[Finding], path: Path) -> list[Finding]:
    """Return the findings that no comment in the revision at `path` allows.

    Those of one kind that one comment would allow come as one.
    """
    allowed = waivers(path)
    alike: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        if finding.waiver not in allowed:
            alike.setdefault((finding.kind, finding.waiver), []).append(finding)
    return [as_one(group) for group in alike.values()]


def as_one(findings: list[Finding]) -> Finding:
    """Return one finding that says what all of them say, each text once."""
    texts = dict.fromkeys(finding.text for finding in findings)
    return replace(findings[0], text="\n".join(texts))


def waivers(path: Path) -> set[str]:
    """Return what the comments `# allow <this>: <reason>` in a revision allow."""
    return set(ALLOWED.findall(path.read_text("utf-8")))
