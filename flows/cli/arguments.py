"""Whether what a shell gave is text: names are printed, asked of the database and written into JSON."""

from __future__ import annotations

import os
import sys

from flows.cli.errors import WRONG_INPUT
from flows.cli.output import note


def check_arguments() -> None:
    """End the command with one line if an argument is not UTF-8: Python then has half characters for its bytes."""
    for number, argument in enumerate(sys.argv[1:], start=1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            shown = " ".join(os.fsencode(argument).decode("utf-8", "backslashreplace").split())
            note(f"tutti: argument {number}, '{shown}', is not UTF-8; of a file, change its name")
            sys.exit(WRONG_INPUT)
