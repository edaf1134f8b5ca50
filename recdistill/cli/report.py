"""`recdistill report FOLDER`: draws a run's report again and prints its table."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "draw a run's report.html again from its report.json, and print the comparison"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="a run's folder")
    parser.add_argument("--json", action="store_true", help="print report.json instead of the table")


def main(options: argparse.Namespace) -> int:
    import json

    from recdistill.files import read_json
    from recdistill.report.html import write_html
    from recdistill.report.table import comparison_table

    folder = Path(options.folder)
    report = read_json(folder / "report.json", "a run's folder")
    write_html(report, folder / "report.html")
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        print(comparison_table(report))
        print(f"\nReport     {folder / 'report.html'}")
    return 0
