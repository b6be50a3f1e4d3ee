"""The proof: each new revision is applied, taken back and applied again, with rows in the tables.

finding.py      what is wrong with a revision, and the comment that allows it
rehearsal.py    apply, take back, apply again
rows.py         made-up rows
differences.py  what a database holds, and what differs between two moments
spot.py         what revisions make, held against what the database makes of the models
todo.py         what was found, as a comment in the revision
running.py      running the steps of revisions
locks.py        what stops a service that is running, as squawk knows it
special.py      what a kind of database adds, in `migrator/<kind>/proof.py`
"""

from migrator.proof.finding import Finding
from migrator.proof.rehearsal import prove

__all__ = ["Finding", "prove"]
