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
            if isinstance(value, dict):
                value = ", ".join(f"{key} {inner}" for key, inner in value.items())
            print(f"{name:18} {'none' if value is None else value}")
        print("\nOK: every file is as it was written, and the bytes are those that it claims.")
    return 0
