"""The proof that revisions do what they should, on databases that are made for the purpose.

The tests' proof, with rows in the tables:

rehearsal.py    apply each new revision, take it back, and apply it again
contents.py     the rows of the tables, and what is lost of them
rows.py         made-up rows
values.py       the values in them
documents.py    JSON in them, with the keys that a revision reads
locks.py        statements that stop a running service, found by squawk
special.py      what differs between the kinds of databases, in `migrator/<kind>/proof.py`

The proof when a revision is written, without rows:

spot.py         compare the database that the revisions make with that of the models
todo.py         write what is wrong into the revision, as comments

The proof that an earlier release can still work:

compatible.py   try the models of another release on a database with the new revisions
trial.py        what the process of that release executes
releases.py     get the files of another release from git

What they share:

finding.py      what is wrong with a revision, and the comment that allows it
stage.py        a clean database on which a revision is applied, taken back and applied again
running.py      run the steps of revisions
"""

from migrator.proof.finding import Finding
from migrator.proof.rehearsal import prove

__all__ = ["Finding", "prove"]
