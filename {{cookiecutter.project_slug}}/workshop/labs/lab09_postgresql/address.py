"""Write the address of the lab's database into .env, for who wants to compare or to go on."""

import sys

from workshop.labs.lab09_postgresql.server import read_made
from workshop.project import Project

if __name__ == "__main__":
    project = Project()
    made = read_made(project)
    if made is None:
        sys.exit("There is no database yet: python -m workshop.labs.lab09_postgresql.server")
    line = f"DATABASE_URL={made.url.render_as_string(hide_password=False)}"
    before, _, after = project.read(".env").rpartition("\nDATABASE_URL=")  # the one that counts
    project.write(".env", f"{before}\n{line}\n{after.partition(chr(10))[2]}")
    print(line)
