"""Statements that stop a running service while a revision is applied, found by squawk.

squawk (https://squawkhq.com) reads PostgreSQL's SQL. It has rules for statements that lock a table
for long, and for those that remove something which a running release still uses.
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
    """What squawk says about a statement.

    `place` is the number of the statement, from 0. `rule` is the name of squawk's rule.
    """

    place: int
    rule: str
    message: str


def lock_findings(sql: str, rules: re.Pattern[str]) -> list[Finding]:
    """Return a finding for each statement of `sql` that breaks one of squawk's rules.

    `rules` matches the names of the rules that count. Of several remarks on one statement, the last
    one is the most specific. Statements that squawk cannot read are left out.

    Raises RuntimeError if squawk is not installed.
    """
    lines = statements(sql)
    remarks = ask_squawk(lines)
    while unreadable := {remark.place for remark in remarks if remark.rule == "syntax-error"}:
        # After a syntax error squawk does not look at the other statements, so ask without it.
        lines = [line for place, line in enumerate(lines) if place not in unreadable]
        remarks = ask_squawk(lines)
    last = {remark.place: remark for remark in remarks if rules.match(remark.rule)}
    return [
        Finding("lock", lines[place], remark.rule, f"{lines[place]}\n  {remark.message}")
        for place, remark in last.items()
    ]


def statements(sql: str) -> list[str]:
    """Return the statements of a revision, each on one line and without comments."""
    return [" ".join(re.sub("--.*", "", text).split()) for text in sql.split(";\n")]


def ask_squawk(lines: list[str]) -> list[Remark]:
    """Return what squawk says about statements, each of which is one line."""
    # First look beside this Python: it may run without its environment being activated.
    tool = shutil.which("squawk", path=sysconfig.get_path("scripts")) or shutil.which("squawk")
    if tool is None:
        raise RuntimeError("squawk is not installed: install the group `dev` of pyproject.toml")
    command = [tool, "--reporter=json", "--assume-in-transaction"]
    # Its exit status is no error: it says only whether squawk has found anything.
    done = subprocess.run(  # noqa: S603
        command, input=";\n".join(lines), capture_output=True, encoding="utf-8", check=False
    )
    return [
        Remark(item["line"], item["rule_name"], f"{item['message']} {item['help'] or ''}")
        for item in json.loads(done.stdout)
    ]
