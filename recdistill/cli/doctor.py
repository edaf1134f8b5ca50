"""`recdistill doctor FOLDER`: is the artifact whole, and does it hold the bytes that it claims?"""

from __future__ import annotations

import argparse

HELP = "check an artifact: every file's SHA-256, and its claim of bytes against the arrays"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="an artifact, for instance runs/demo/artifacts/student")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def main(options: argparse.Namespace) -> int:
    import json

    from recdistill.artifact import doctor

    found = doctor(options.folder)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        for name, value in found.items():
            print(f"{name:18} {value}")
    return 0
