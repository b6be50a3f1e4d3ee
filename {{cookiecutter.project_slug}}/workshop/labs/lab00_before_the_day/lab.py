"""Lab 0 is the doctor: nothing is staged, and the check is that nothing is wrong."""

from workshop.doctor import findings
from workshop.project import Project

MINUTES = 5


def is_ready(project: Project) -> str | None:
    problems = [found.problem for found in findings(project) if found.problem]
    return "\n".join(problems) or None


STEPS = [("this laptop is ready", is_ready)]
