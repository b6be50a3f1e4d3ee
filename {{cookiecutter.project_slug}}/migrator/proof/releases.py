"""Other releases of a project, out of git."""

import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from alembic.util import CommandError

DEFAULT_BRANCHES = ("origin/HEAD", "origin/main", "origin/master", "main", "master")


def git(folder: Path, *words: str) -> bytes | None:
    """Return what git prints in a folder, or None where it fails.

    Raises CommandError where there is no git.
    """
    try:
        done = subprocess.run(  # noqa: S603 (the words are ours, and a name is one word)
            ["git", *words],  # noqa: S607 (the user's own git, wherever it is)
            cwd=folder,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise CommandError("git is not installed, which keeps the release before") from None
    return None if done.returncode else done.stdout


def name_of(folder: Path, *words: str) -> str | None:
    """Return the one line that git prints, or None where it fails or there is none."""
    printed = git(folder, *words)
    return printed.decode().strip() or None if printed else None


def release_before(folder: Path) -> str | None:
    """Return the release before what is in a folder, or None where there is none.

    Of a tagged commit it is the tag before; of a branch, the commit where it left the default
    branch; else the newest tag.
    """
    if name_of(folder, "describe", "--exact-match", "--tags", "HEAD"):
        changed = name_of(folder, "status", "--porcelain", "--", "*.py")
        return name_of(folder, "describe", "--tags", "--abbrev=0", "HEAD" if changed else "HEAD^")
    head = name_of(folder, "rev-parse", "HEAD")
    for branch in DEFAULT_BRANCHES:
        base = name_of(folder, "merge-base", "HEAD", branch)
        if base and base != head:
            return base
    return name_of(folder, "describe", "--tags", "--abbrev=0")


@contextmanager
def checked_out(folder: Path, release: str) -> Iterator[Path]:
    """Put the files of a release, as they are in a folder of the project, into a temporary one.

    Raises CommandError for a release that git does not know.
    """
    # "./" is the folder within the repository: a service may be one of several there.
    tree = name_of(folder, "rev-parse", "--verify", "--quiet", f"{release}:./")
    files = tree and git(folder, "archive", "--format=tar", tree)
    if not files:
        raise CommandError(
            f"git knows no {release} of {folder}: name a commit or a tag, and fetch it where the "
            "clone is shallow (git fetch --unshallow --tags)"
        )
    with TemporaryDirectory(ignore_cleanup_errors=True) as place:
        with tarfile.open(fileobj=io.BytesIO(files)) as archive:
            archive.extractall(place, filter="data")
        yield Path(place)
