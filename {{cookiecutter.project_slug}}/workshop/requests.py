"""Requests to the release before, by default the code of the stage, on a database that migrates."""

from workshop.project import STAGED, Database, Done, Project, run_python, stream_python

# It runs in a process of its own, in a folder with the code of the stage. The words that follow are
# the number of rounds, or 0 for no end, and the seconds between them.
CODE = """
import sys
import time
from itertools import count

from app import create_app

rounds, pause = int(sys.argv[1]), float(sys.argv[2])
app = create_app()
app.config["PROPAGATE_EXCEPTIONS"] = True
client = app.test_client()
sent = failed = 0


def answer(method, path, **data):
    global sent, failed
    sent += 1
    try:
        found = client.open(path, method=method, **data)
        failed += found.status_code >= 400
        return f"{method} {path} {found.status_code}"
    except Exception as error:
        failed += 1
        return f"{method} {path} 500 ({getattr(error, 'orig', error)})"


try:
    for number in range(rounds) if rounds else count():
        if number:
            time.sleep(pause)
        title = f"Note {number} of the release before"
        written = answer("POST", "/notes", json={"title": title})
        print(f"{written}, {answer('GET', '/notes')}", flush=True)
except KeyboardInterrupt:
    pass
print(f"{sent} requests, {failed} failed")
sys.exit(bool(failed))
"""
PAUSE = 0.3  # seconds between two rounds


def send(project: Project, rounds: int, commit: str = STAGED) -> int:
    """Send requests and print the answers; 0 rounds have no end. Return 0 if none failed."""
    with project.release(commit) as folder:
        database = project.database
        return stream_python(folder, "-c", CODE, str(rounds), str(PAUSE), **database.variables)


def send_one(project: Project, database: Database, commit: str = STAGED) -> Done:
    """Write and read once, and return what came."""
    with project.release(commit) as folder:
        return run_python(folder, "-c", CODE, "1", "0", **database.variables)
