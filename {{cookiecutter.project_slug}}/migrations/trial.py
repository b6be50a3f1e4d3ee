"""Run in the folder of another release, and use its models as migrator/proof/trial.py asks.

The arguments are the path of this release's migrator/proof/trial.py, and the name of a bind or "".
migrations/compatible.py starts it.
"""

import os
import runpy
import sys

import sqlalchemy as sa

if __name__ == "__main__":
    path, bind = sys.argv[1:]
    answers, sys.stdout = sys.stdout, sys.stderr  # keep what that release prints out of the answers
    sys.path.insert(0, os.getcwd())  # import that release's `app`, not an installed one

    from app.db import db, import_models

    import_models()
    metadata = db.metadatas.get(bind or None, sa.MetaData())
    runpy.run_path(path)["serve"](metadata, sys.stdin, answers)
