"""`recdistill diagnose RUN`: who lost what between teacher and student of a finished run, and why."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "say who lost what between teacher and student of a run, where they disagree, and why"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="RUN", help="a finished run's folder")
    parser.add_argument(
        "--minutes", type=float, default=10.0, metavar="M", help="plan trainings for about M minutes (default 10)"
    )
    parser.add_argument(
        "--no-training", action="store_true", help="train nothing: who lost what, and what the run already knows"
    )
    parser.add_argument("--json", action="store_true", help="print diagnosis.json instead of the text")
    parser.add_argument("--quiet", action="store_true", help="no progress on the terminal")


def main(options: argparse.Namespace) -> int:
    import json

    from recdistill import files
    from recdistill.analysis.diagnose import diagnose
    from recdistill.report.diagnosis_page import write_page
    from recdistill.report.diagnosis_text import diagnosis_text
    from recdistill.training.progress import NullProgress, TqdmProgress

    folder = Path(options.folder)
    found = diagnose(
        folder,
        minutes=None if options.no_training else options.minutes,
        progress=NullProgress() if options.quiet else TqdmProgress(),
    )
    write_page(found, folder / "diagnosis.html")
    with files.whole_file(folder / "diagnosis.json") as path:
        files.write_json(path, found)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print(diagnosis_text(found))
        print(f"\nPage       {folder / 'diagnosis.html'}   (numbers: diagnosis.json)")
    return 0
