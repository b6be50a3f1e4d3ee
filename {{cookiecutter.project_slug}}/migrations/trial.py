"""Run migrator/proof/trial.py of this release with the models of another release.

migrations/compatible.py starts this file in the folder of the other release. The arguments are the
path of trial.py, and the name of a bind, or "" for the main database.
"""

import os
import runpy
import sys

import sqlalchemy as sa

if __name__ == "__main__":
    path, bind = sys.argv[1:]
    # Without these, an answer could be what the other release prints, and `app` an installed one.
    answers, sys.stdout = sys.stdout, sys.stderr
    sys.path.insert(0, os.getcwd())

    from app.db import db, import_models

    import_models()
    metadata = db.metadatas.get(bind or None, sa.MetaData())
    runpy.run_path(path)["serve"](metadata, sys.stdin, answers)
