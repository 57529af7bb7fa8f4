"""Records slides until it is killed; prints a line after each commit. Started by test_crash."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[3]))

from slide_samples import Samples

from appliance.journal import Journal

FINDINGS, KEEP_TOP, FIELDS_A_SLIDE = 60, 12, 3


def one_long_slide(journal: Journal, samples: Samples) -> None:
    if journal.unfinished():
        journal.note_resumed("run-1")
    else:
        journal.begin(samples.run(1), "{}")
    say("ready")
    index = len(journal.recorded_indexes("run-1"))
    while True:
        found = samples.findings(index, FINDINGS)
        pictures = {n: bytes([index % 256]) * 3000 for n in range(FINDINGS)}
        journal.record_field("run-1", samples.field(index), found, pictures, KEEP_TOP)
        say(str(index))
        index += 1


def many_short_slides(journal: Journal, samples: Samples) -> None:
    say("ready")
    for run in journal.unfinished():
        journal.abandon(run.run_id, "crash")
    number = journal.next_run_number("S26-001234", "A1")
    while True:
        run = samples.run(number)
        journal.begin(run, "{}")
        for index in range(FIELDS_A_SLIDE):
            journal.record_field(run.run_id, samples.field(index), samples.findings(index, 5))
        journal.finish(run.run_id, "{}", samples.message(run, journal.next_seq()))
        say(str(number))
        number += 1


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    work = {"long": one_long_slide, "short": many_short_slides}[sys.argv[2]]
    work(Journal.open(Path(sys.argv[1])), Samples())
