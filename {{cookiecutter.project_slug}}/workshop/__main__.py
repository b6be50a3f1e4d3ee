"""`python -m workshop` is `flask workshop`, and works even where `flask` does not start."""

from workshop.commands import workshop

if __name__ == "__main__":
    workshop(prog_name="python -m workshop")
