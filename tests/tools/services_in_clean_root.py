"""The services under a running systemd: `python -m tests.tools.services_in_clean_root [SUITE]`.

A clean system with the appliance installed (`make_clean_root`) is booted in a container, with the twin as its
microscope. One slide is read: the microscope falls silent, the scanner hangs with an engine on trial, the service is
stopped, and the slide has its verdict all the same. A line for each check; exit code 0: all is as it should be.

What a container cannot show: that the devices that a unit does not name are closed, which its host would have to do.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from engines.slots.record import Record, State
from engines.slots.store import SlotStore
from tests.appliance.service.conftest import Client
from tests.tools.asked import Asked
from tests.tools.booted import Booted, Wrong, until

SCANNER = "cytoscan-scanner"
TWIN = "twin"
SOCKET = "/run/cytoscan/scanner.sock"
PYTHON = "/opt/cytoscan/venv/bin/python"
SETTINGS = "/etc/cytoscan/site.yaml"
ENGINE = "afb-zn-450"
CASE = "S26-1"
SLIDE: dict[str, object] = {"request": "scan", "assay": "afb", "accession": CASE, "slide": "A1", "operator": "u:1"}
FIELDS = 40
RESTARTS_ALLOWED = 2
WATCHDOG_S = 20
"""Longer than homing or the survey of the small twin, and than a driver waits for a microscope that is silent."""
START_S = 20
"""Longer than it takes until the scanner asks for more time to load its networks."""
STOP_S = 120
"""As in the unit."""
SMALL = ("camera.width_px=480", "camera.height_px=304")
TWIN_SETTINGS = ("seed=46", "optics.magnification=450", "slide.content=sputum", *SMALL)
VERDICT = """
import json
from pathlib import Path
from appliance.journal import JournalReader
with JournalReader.open(Path("/var/lib/cytoscan/journal.sqlite")) as journal:
    (run,) = journal.runs()
    verdict, whole = journal.verdict(run.run_id), journal.verify_audit().ok
    print(json.dumps({"verdict": verdict, "fields": len(journal.fields(run.run_id)), "whole": whole}))
"""


def main() -> int:
    """0: all is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("suite", nargs="?", default="bookworm", help="of Debian or Ubuntu")
    parser.add_argument("--root", type=Path, help="made by make_clean_root before; it is left as it is")
    given = parser.parse_args()
    try:
        if shutil.which("systemd-nspawn") is None:
            raise Wrong("systemd-nspawn is missing: apt-get install systemd-container")
        with ExitStack() as stack:
            root = given.root or stack.enter_context(clean_root(given.suite))
            Services(stack.enter_context(Booted(root))).try_all()
    except Wrong as wrong:
        tell(f"WRONG {wrong}")
        return 1
    tell("All is as it should be.")
    return 0


@contextmanager
def clean_root(suite: str) -> Iterator[Path]:
    """A folder with the system, removed at the end. Raises Wrong where there is no making one."""
    root = Path(tempfile.mkdtemp())
    try:
        made = subprocess.run([Path(__file__).with_name("make_clean_root"), suite, root], check=False)
        if made.returncode != 0:
            raise Wrong(f"make_clean_root {suite} ended with {made.returncode}")
        yield root
    finally:
        subprocess.run(["rm", "-rf", "--one-file-system", root], check=True)


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def check(what: str, holds: object, found: object = "") -> None:
    if not holds:
        raise Wrong(f"{what}: {found}" if found != "" else what)
    tell(f"ok    {what}")


class Services:
    """What is tried, in this order: each step begins where the one before has left the system."""

    def __init__(self, system: Booted) -> None:
        self._system = system
        self._recorded = 0

    def try_all(self) -> None:
        self.as_installed()
        self.with_the_twin()
        self.with_an_engine_on_trial()
        self.microscope_falls_silent()
        self.scanner_hangs(1)
        self.start_hangs(2)
        self.scanner_hangs(3)
        self.has_fallen_back()
        self.is_stopped()
        self.goes_on_to_its_verdict()
        self.at_the_end()

    def as_installed(self) -> None:
        until("the system has started", lambda: self._system.show("default.target", "ActiveState") == "active")
        for name in (SCANNER, "cytoscan-uplink"):
            state = self._system.show(name, "ActiveState")
            check(f"{name} is ready after the boot with the settings of the installation", state == "active", state)

    def with_the_twin(self) -> None:
        """The twin as a service of the scanner's user, and settings that name it, as a site would write them."""
        twin = [word for setting in TWIN_SETTINGS for word in ("--set", setting)]
        owner = [f"--property={line}" for line in (f"User={SCANNER}", "Group=cytoscan", f"RuntimeDirectory={TWIN}")]
        run_dir = f"/run/{TWIN}"
        command = [PYTHON, "-m", "drivers.twin", "--run-dir", run_dir, *twin]
        self._system.run("systemd-run", f"--unit={TWIN}", "--setenv=OMP_NUM_THREADS=1", *owner, *command)
        until("the twin is ready", lambda: '{"ready": true' in self._system.log(TWIN))
        (ready,) = (json.loads(line) for line in self._system.log(TWIN).splitlines() if line.startswith('{"ready"'))
        area = ready["specimen"]
        middle = {"x_um": area["x_um"] + area["width_um"] / 2, "y_um": area["y_um"] + area["height_um"] / 2}
        file = self._system.path(SETTINGS)
        settings = yaml.safe_load(file.read_text())
        # Each hang leaves a slide unfinished as well, which is not to decide here.
        settings["engines"] |= {"restarts_allowed": RESTARTS_ALLOWED, "failed_allowed": 9}
        settings |= {
            "stage": {"port": ready["port"]},
            "camera": {"kind": "twin", "address": ready["camera"]},
            "optics": ready["calibration"],
            "focus": {"reference_z_um": ready["reference_z_um"], "survey_points": 3, "search_um": 30},
            "scan": {"fields": FIELDS, "region": {**middle, "width_um": 3000, "height_um": 3000}},
        }
        file.write_text(yaml.safe_dump(settings))
        drop_in = self._system.path(f"/etc/systemd/system/{SCANNER}.service.d/bench.conf")
        drop_in.parent.mkdir()
        often = "[Unit]\nStartLimitBurst=20\n"  # it is started more often here than a person would do in five minutes
        drop_in.write_text(f"{often}[Service]\nWatchdogSec={WATCHDOG_S}\nTimeoutStartSec={START_S}\n")
        self._system.run("systemctl", "daemon-reload")
        self._system.run("systemctl", "restart", SCANNER)  # which waits until it is ready
        status = self._system.show(SCANNER, "StatusText")
        check("the scanner is ready with the twin as its microscope", status == "idle", status)

    def with_an_engine_on_trial(self) -> None:
        self._system.run("systemctl", "start", f"cytoscan-engine-build@{ENGINE}")
        record = self._record()
        check("an engine is built by its unit, and is in use on trial", record.state is State.ACTIVE, record.state)

    def microscope_falls_silent(self) -> None:
        """A driver does not wait for ever: that is no hang, and the engine has no part in it."""
        pid = self._system.show(SCANNER, "MainPID")
        asked = self._ask(more=2)
        self._system.run("systemctl", "kill", "--signal=STOP", TWIN)
        end = asked.end()
        self._system.run("systemctl", "kill", "--signal=CONT", TWIN)
        self._recorded = asked.recorded
        check("a microscope that falls silent ends the slide by an error that says so", "gave no" in str(end), end)
        same = self._system.show(SCANNER, "MainPID") == pid
        check("… and not the scanner", same, self._system.log(SCANNER))
        check("… and does not count against the engine", self._record().restarts == 0, self._record().restarts)

    def scanner_hangs(self, hang: int) -> None:
        asked = self._ask(more=2)
        pid = self._freeze()
        asked.end()
        self._recorded = asked.recorded
        self._starts_again(pid, hang, "watchdog")
        log = self._system.log(SCANNER)
        check(
            "… the log says where each thread hung",
            "Fatal Python error: Aborted" in log.rpartition("Watchdog timeout")[2],
            log,
        )
        with Client(self._system.path(SOCKET)) as client:
            interrupted = client.status()["interrupted"]
        check("… the scanner knows which slide was cut off", CASE in str(interrupted), interrupted)

    def start_hangs(self, hang: int) -> None:
        """Before it asks for more time; asked again, it loads the network that is on trial."""
        before = self._system.show(SCANNER, "MainPID")
        self._system.run("systemctl", "restart", "--no-block", SCANNER)
        until(
            "the scanner starts as a new process",
            lambda: (
                self._system.show(SCANNER, "ActiveState") == "activating"
                and self._system.show(SCANNER, "MainPID") not in {before, "0"}
            ),
        )
        self._starts_again(self._freeze(), hang, "timeout")

    def has_fallen_back(self) -> None:
        record = self._record()
        why = record.history[-1].why
        fallen = record.state is State.REJECTED and f"before the engine was good: {record.restarts}" in why
        check("after one more restart than is allowed the engine has fallen back", fallen, record)
        listed = self._system.run(
            "/opt/cytoscan/venv/bin/cytoscan", "engine", "list", "--settings", SETTINGS, user=SCANNER
        )
        check("… as `engine list` tells", f"  {ENGINE} a" in listed and "rejected" in listed, listed)

    def is_stopped(self) -> None:
        asked = self._ask(more=2)
        began = time.monotonic()
        self._system.run("systemctl", "stop", SCANNER, timeout_s=2 * STOP_S)
        took_s = time.monotonic() - began
        end = asked.end()
        self._recorded = asked.recorded
        result = self._system.show(SCANNER, "Result")
        check(f"a stop in the middle of the slide ends well, after {took_s:.1f} s", result == "success", result)
        check("… within its time", took_s < STOP_S, took_s)
        check("… whoever asked for the slide is told", "All fields read so far are recorded" in str(end), end)

    def goes_on_to_its_verdict(self) -> None:
        self._system.run("systemctl", "start", SCANNER)
        end = self._ask().end()
        check("… and comes to its verdict", end.get("event") == "verdict", end)
        kept = json.loads(self._system.run(PYTHON, "-c", VERDICT, user=SCANNER))
        check("… which stands in the journal", kept["verdict"] is not None and kept["whole"], kept)
        read = sum(int(str(end[kind])) for kind in ("usable", "blank", "failed"))
        check("… with each of its fields once", kept["fields"] == read, (kept, end))

    def at_the_end(self) -> None:
        failed = self._system.run("systemctl", "list-units", "--failed", "--no-legend", "--plain")
        check("no unit has failed", not failed.strip(), failed)
        log = self._system.log(SCANNER)
        check("the log names no case", CASE not in log, log)

    def _ask(self, more: int = 0) -> Asked:
        """The slide, after so many fields more were recorded."""
        asked = Asked(self._system.path(SOCKET), SLIDE, silence_s=2 * WATCHDOG_S)
        asked.until_recorded(more)
        what = "the slide goes on with nothing lost" if self._recorded else "a slide is begun"
        check(what, asked.resumed == self._recorded, (asked.resumed, self._recorded))
        return asked

    def _freeze(self) -> str:
        """Nothing moves in the scanner any more; returns its process."""
        pid = self._system.show(SCANNER, "MainPID")
        self._system.run("systemctl", "kill", "--kill-who=main", "--signal=STOP", SCANNER)
        return pid

    def _starts_again(self, pid: str, hang: int, result: str) -> None:
        """Not by us: after a hang, the `hang`th, that systemd calls `result`."""
        until(
            f"the scanner was ended and is ready again (hang {hang})",
            lambda: (
                self._system.show(SCANNER, "MainPID") not in {pid, "0"}
                and self._system.show(SCANNER, "ActiveState") == "active"
            ),
            timeout_s=4 * WATCHDOG_S,
        )
        log = self._system.log(SCANNER)
        called = log.rpartition("Failed with result ")[2].startswith(f"'{result}'")
        check(f"hang {hang}: systemd ends the scanner ({result}) and starts it again", called, log)
        record = self._record()
        check("… it is counted", record.restarts == hang, record)
        if hang <= RESTARTS_ALLOWED:
            check("… the engine stays on trial", record.state is State.ACTIVE, record)

    def _record(self) -> Record:
        """Of the engine in its slot."""
        (slot,) = SlotStore(self._system.path("/var/lib/cytoscan/engines")).slots(ENGINE)
        return slot.record


if __name__ == "__main__":
    raise SystemExit(main())
