"""The command `sgreplay`: the program itself, in this process."""

import sys

from . import _sgreplay


def main() -> "int":
    """Run the program with the arguments of this process; the exit status."""
    return _sgreplay.run_program(["sgreplay", *sys.argv[1:]])
