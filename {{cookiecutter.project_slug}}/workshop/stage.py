"""Set the stage of a lab, set it again, and leave it all as it was found.

A lab is played on a branch of its own and on a database of its own, so the student's branch and
database are not touched. What git has not committed is put away first, and said to be.
"""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from workshop.course import Lab, labs
from workshop.project import CHOOSING, STAGED, Project, WorkshopError

# Later lines of .env replace earlier ones. `leave` brings the file back as it was.
LINES = """
# The workshop's own database, until: flask workshop leave
APP_ENV=development
DATABASE_URL=sqlite:///instance/workshop.db
MIGRATION_DATABASE_URL=
DATABASE_ENGINE_OPTIONS={}
"""
# What git keeps while it waits for a person to go on.
UNFINISHED = {"MERGE_HEAD": "merge", "rebase-merge": "rebase", "rebase-apply": "rebase"}
UNFINISHED |= {"CHERRY_PICK_HEAD": "cherry-pick", "REVERT_HEAD": "revert"}


@dataclass
class Stage:
    """Where the student came from, and what the stage of the lab is made of."""

    home: str  # the branch, or the commit, that was checked out
    base: str  # the commit that all labs begin with
    lab: str = ""
    stash: str = ""  # what was put away at home
    refs: dict[str, str] = field(default_factory=dict)  # branches of the lab and their commits


def stage_file(project: Project) -> Path:
    return project.state / "stage.json"


def read_stage(project: Project) -> Stage | None:
    """Return the stage that is set, or None where no lab has begun."""
    try:
        return Stage(**json.loads(stage_file(project).read_text("utf-8")))
    except FileNotFoundError:
        return None


def write_stage(project: Project, stage: Stage) -> None:
    project.state.mkdir(parents=True, exist_ok=True)
    stage_file(project).write_text(json.dumps(asdict(stage), indent=2) + "\n", "utf-8")


def start(project: Project, lab: Lab) -> Iterator[str]:
    """Set the stage of a lab. Yield what the student should know.

    Raises WorkshopError where the project is not as the lab needs it.
    """
    require_plain_shell()
    require_repository(project)
    stage = read_stage(project)
    if stage is None:
        stage = arrive(project)
    yield from put_away(project, stage)
    yield from clean(project, stage)
    yield from keep_attempt(project, lab.branch, stage)
    delete_branches(project, lab.branch, stage.base)
    project.git("switch", "--quiet", "--force-create", lab.branch, stage.base)
    stage.lab, stage.refs = lab.name, {}
    write_stage(project, stage)
    project.database.delete()
    project.write(".env", saved_env(project).read_text("utf-8") + LINES)
    lab.stage(project)
    commit(project, f"The stage of lab {lab.number}")
    project.git("update-ref", STAGED, "HEAD")
    stage.refs = branches(project, lab.branch)
    write_stage(project, stage)
    if project.database.path.is_file():
        project.database.settle()
        shutil.copyfile(project.database.path, project.staged_file)
    else:
        project.staged_file.unlink(missing_ok=True)
    shutil.copyfile(project.path(".env"), staged_env(project))


def arrive(project: Project) -> Stage:
    """Remember where the student is, before the first lab."""
    where = project.try_git("symbolic-ref", "--quiet", "--short", "HEAD")
    base = project.git("rev-parse", "HEAD")
    project.state.mkdir(parents=True, exist_ok=True)
    if not project.path(".env").is_file():
        raise WorkshopError("There is no .env: copy .env.example to .env")
    shutil.copyfile(project.path(".env"), saved_env(project))
    return Stage(base if where.status else where.output.strip(), base)


def saved_env(project: Project) -> Path:
    """The file that holds .env as it was before the workshop."""
    return project.state / "env.before"


def staged_env(project: Project) -> Path:
    """The file that holds .env as the stage has it."""
    return project.state / "env.staged"


def require_plain_shell() -> None:
    """Raise WorkshopError where a variable of the shell chooses another database than .env."""
    if chosen := [name for name in CHOOSING if name in os.environ]:
        raise WorkshopError(
            f"Your shell sets {', '.join(chosen)}, which comes before .env: unset it, because the "
            "labs have a database of their own"
        )


def require_repository(project: Project) -> None:
    """Raise WorkshopError where the labs cannot make branches and commits."""
    top = project.try_git("rev-parse", "--show-toplevel")
    if top.status or not Path(top.output.strip()).samefile(project.folder):
        raise WorkshopError(
            "The labs need a git repository of this project alone: run `git init` here, `git add "
            "--all` and `git commit -m First`"
        )
    if project.try_git("rev-parse", "--verify", "HEAD").status:
        raise WorkshopError(
            "The repository has no commit yet: run `git add --all` and `git commit -m First`"
        )
    if project.try_git("var", "GIT_COMMITTER_IDENT").status:
        raise WorkshopError(
            "git does not know who you are: run `git config user.name You` and `git config "
            "user.email you@example.org`"
        )


def current_branch(project: Project) -> str:
    return project.try_git("symbolic-ref", "--quiet", "--short", "HEAD").output.strip()


def is_of_lab(branch: str) -> bool:
    """Tell whether a branch is one that the workshop made."""
    return branch.startswith("lab") and branch[3:].partition("-")[0].isdigit()


def put_away(project: Project, stage: Stage) -> Iterator[str]:
    """Leave no uncommitted change: commit it on a lab's branch, else stash it. Yield what is "
    "done."""
    on_lab = bool(stage.lab) and is_of_lab(current_branch(project))
    yield from stop_unfinished(project, on_lab)
    if not project.git("status", "--porcelain"):
        return
    if on_lab:
        commit(project, "What was not committed yet")
        return
    project.git("stash", "push", "--quiet", "--include-untracked", "-m", "before the workshop")
    stage.stash = project.git("rev-parse", "refs/stash")
    write_stage(project, stage)
    yield "Your uncommitted changes are in git's stash. `flask workshop leave` brings them back."


def clean(project: Project, stage: Stage) -> Iterator[str]:
    """Take away what the lab that was played made outside the project. Yield what is left."""
    for lab in labs():
        if lab.name == stage.lab and (left := lab.clean(project)):
            yield left


def stop_unfinished(project: Project, on_lab: bool) -> Iterator[str]:
    """End a merge or the like in a lab, and refuse to begin within one of the student's own."""
    folder = project.path(project.git("rev-parse", "--git-dir"))
    for name, kind in UNFINISHED.items():
        if not (folder / name).exists():
            continue
        if not on_lab:
            raise WorkshopError(f"A {kind} waits for you: finish it, or `git {kind} --abort`")
        project.git(kind, "--abort")
        yield f"The {kind} that was not finished is given up."


def commit(project: Project, message: str) -> None:
    """Commit all that git does not ignore, even nothing, without the student's hooks."""
    project.git("add", "--all")
    unsigned = ("-c", "commit.gpgsign=false")  # a signature may ask for a password
    project.git(*unsigned, "commit", "--quiet", "--no-verify", "--allow-empty", "-m", message)


def branches(project: Project, prefix: str) -> dict[str, str]:
    """Return the branches of a lab with their commits."""
    form = "%(refname:short) %(objectname)"
    listed = project.git("for-each-ref", f"--format={form}", "refs/heads")
    found = dict(line.split() for line in listed.splitlines())
    return {
        name: commit
        for name, commit in found.items()
        if (name == prefix or name.startswith(f"{prefix}-")) and "-attempt-" not in name
    }


def keep_attempt(project: Project, branch: str, stage: Stage) -> Iterator[str]:
    """Keep what a student did on a lab's branch in a branch `…-attempt-1`. Yield its name."""
    found = branches(project, branch).get(branch)
    if found is None or found == stage.refs.get(branch):
        return
    number = 1
    while project.try_git("rev-parse", "--verify", f"{branch}-attempt-{number}").status == 0:
        number += 1
    project.git("branch", f"{branch}-attempt-{number}", found)
    yield f"What you did before is kept in the branch {branch}-attempt-{number}."


def delete_branches(project: Project, prefix: str, base: str) -> None:
    """Delete the branches of a lab; nothing is checked out afterwards but a commit."""
    project.git("switch", "--quiet", "--detach", base)
    for name in branches(project, prefix):
        project.git("branch", "--quiet", "-D", name)


def reset(project: Project, lab: Lab) -> Iterator[str]:
    """Set the stage of the lab again: files, branches, database and .env, byte by byte."""
    stage = read_stage(project)
    if stage is None or stage.lab != lab.name or not stage.refs:
        yield from start(project, lab)
        return
    yield from put_away(project, stage)
    yield from clean(project, stage)
    yield from keep_attempt(project, lab.branch, stage)
    delete_branches(project, lab.branch, stage.base)
    for name, found in stage.refs.items():
        project.git("branch", "--quiet", name, found)
    project.git("switch", "--quiet", lab.branch)
    project.git("update-ref", STAGED, stage.refs[lab.branch])
    shutil.copyfile(staged_env(project), project.path(".env"))
    project.database.delete()
    if project.staged_file.is_file():
        project.database.replace_by(project.staged_file)


def leave(project: Project) -> Iterator[str]:
    """Go back to the student's own branch, database and uncommitted changes."""
    stage = read_stage(project)
    if stage is None:
        return
    yield from put_away(project, stage)
    yield from clean(project, stage)
    project.git("switch", "--quiet", *detach(project, stage.home), stage.home)
    shutil.copyfile(saved_env(project), project.path(".env"))
    project.database.delete()
    yield from bring_back(project, stage.stash)
    stage_file(project).unlink()


def detach(project: Project, home: str) -> list[str]:
    is_branch = project.try_git("rev-parse", "--verify", f"refs/heads/{home}").status == 0
    return [] if is_branch else ["--detach"]


def bring_back(project: Project, stash: str) -> Iterator[str]:
    """Pop the stash of the student's changes, wherever it is in the list by now."""
    stashes = project.git("stash", "list", "--format=%H").splitlines()
    if stash not in stashes:
        return
    number = str(stashes.index(stash))
    done = project.try_git("stash", "pop", "--quiet", "--index", number)
    if done.status:
        yield f"Your changes are still in git's stash: git stash pop {number}"
    else:
        yield "Your uncommitted changes are back."


def forget(project: Project) -> Iterator[str]:
    """Leave, and delete all that the workshop made: branches, attempts, progress, its database."""
    yield from leave(project)
    listed = project.git("for-each-ref", "--format=%(refname:short)", "refs/heads")
    for name in filter(is_of_lab, listed.splitlines()):
        project.git("branch", "--quiet", "-D", name)
    project.try_git("update-ref", "-d", STAGED)
    shutil.rmtree(project.state, ignore_errors=True)
