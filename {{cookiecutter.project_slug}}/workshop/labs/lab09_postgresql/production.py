"""Load the service as a server in production does, and say whether it starts."""

import re
import sys

from workshop.project import Done, Project, run_python

CODE = """
import click

try:
    import wsgi
    wsgi.create_app()
except click.ClickException as error:
    raise SystemExit(error.format_message())
"""


def start(project: Project) -> Done:
    """Load the service with the settings of .env, and APP_ENV=production."""
    return run_python(project.folder, "-c", CODE, APP_ENV="production")


def refusals(output: str) -> list[str]:
    """Return the lines of the configuration's error, one for each variable."""
    return re.findall(r"(?m)^\s+- (.*)$", output)


if __name__ == "__main__":
    done = start(Project())
    print(done.output.strip() if done.status else "Production starts.")
    sys.exit(done.status)
