"""Other releases of a project, from its git repository."""

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
    """Run git in a folder; return what it prints, or None if it fails.

    Raises CommandError if git is not installed, or does not trust the folder's owner.
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
    if done.returncode and b"safe.directory" in done.stderr:  # it names the command that helps
        raise CommandError(done.stderr.decode(errors="replace").strip())
    return None if done.returncode else done.stdout


def name_of(folder: Path, *words: str) -> str | None:
    """Return what git prints as text, or None if it fails or prints nothing."""
    printed = git(folder, *words)
    return printed.decode().strip() or None if printed else None


def release_before(folder: Path) -> str | None:
    """Return a commit or a tag of the release before the one in a folder, or None if there is none.

    - If the commit has a tag, it is the tag before. With changes that are not committed, it is the
      tag of the commit.
    - On a branch, it is the commit where the branch left the default branch.
    - Otherwise it is the newest tag.
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
    """Copy the files that a folder has in a release to a temporary folder, and return its path.

    `release` is a commit or a tag. Raises CommandError if git does not know it.
    """
    # "./" is the folder within the repository, which may hold several services.
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
