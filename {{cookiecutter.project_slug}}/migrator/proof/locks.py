"""What stops a service that is running while a revision is applied, as squawk knows it.

squawk (https://squawkhq.com) reads PostgreSQL's SQL and has a rule for each statement that locks a
table for long, or that takes something away which a running release still uses.
"""

import json
import re
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass

from migrator.proof.finding import Finding


@dataclass(frozen=True)
class Remark:
    """What squawk says about a statement."""

    place: int  # of the statement, from 0
    rule: str
    message: str


def lock_findings(sql: str, rules: re.Pattern[str]) -> list[Finding]:
    """Return squawk's last remark on each statement, of the rules whose names match.

    The last one is the most specific. Statements that squawk cannot read are left out.
    Raises RuntimeError when squawk is not installed.
    """
    lines = statements(sql)
    remarks = ask_squawk(lines)
    while unread := {remark.place for remark in remarks if remark.rule == "syntax-error"}:
        # After a syntax error squawk does not look at the other statements.
        lines = [line for place, line in enumerate(lines) if place not in unread]
        remarks = ask_squawk(lines)
    last = {remark.place: remark for remark in remarks if rules.match(remark.rule)}
    return [
        Finding("lock", lines[place], remark.rule, f"{lines[place]}\n  {remark.message}")
        for place, remark in last.items()
    ]


def statements(sql: str) -> list[str]:
    """Return the statements of a revision, without comments and each on one line."""
    return [" ".join(re.sub("--.*", "", text).split()) for text in sql.split(";\n")]


def ask_squawk(lines: list[str]) -> list[Remark]:
    """Return what squawk says about these statements, in their order."""
    # Of this environment before that of the PATH: pytest may run without its activation.
    tool = shutil.which("squawk", path=sysconfig.get_path("scripts")) or shutil.which("squawk")
    if tool is None:
        raise RuntimeError("squawk is not installed: install the group `dev` of pyproject.toml")
    command = [tool, "--reporter=json", "--assume-in-transaction"]
    # Its exit status says only whether it found anything.
    done = subprocess.run(  # noqa: S603
        command, input=";\n".join(lines), capture_output=True, encoding="utf-8", check=False
    )
    return [
        Remark(item["line"], item["rule_name"], f"{item['message']} {item['help'] or ''}")
        for item in json.loads(done.stdout)
    ]
