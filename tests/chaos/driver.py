"""One start of the command line, and all that belongs to it."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
STANDSTILL_S = 300.0  # neither a report nor an end


class Driver:
    """A process of `python -m pipeline.run`, in a group of its own. What it prints goes to
    `output`."""

    def __init__(self, run, output, arguments):
        self.run, self.output = run, output
        # In /tmp whatever TMPDIR says: Ray has its sockets there, whose paths may have 107
        # characters.
        self.temporary = Path(tempfile.mkdtemp(prefix="kc-", dir="/tmp"))
        environment = {"TMPDIR": str(self.temporary), "PYTHONFAULTHANDLER": "1"}
        with output.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.run", *map(str, arguments)],
                cwd=ROOT,
                env=os.environ | environment,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def running(self):
        return self.process.poll() is None

    def kill(self):
        """As `kill -9` does; False where it had ended."""
        if not self.running():
            return False
        self.process.kill()
        self.process.wait()
        return True

    def processes(self):
        """Whatever it started and whatever that started, whoever is the parent by now: they have
        its environment."""
        found = []
        for process in psutil.process_iter():
            try:
                if (
                    process.environ().get("TMPDIR") == str(self.temporary)
                    and process.status() != "zombie"
                ):
                    found.append((process, process.name()))
            except psutil.Error:
                continue
        return found

    def workers(self):
        """The processes of its trials."""
        names = ("_Inner", "KerasTrial")  # as Tune and Ray call them, by turns
        return [
            process for process, name in self.processes() if any(part in name for part in names)
        ]

    def reports(self):
        """How many epochs are recorded."""
        history = self.run / "history.jsonl"
        return history.read_bytes().count(b"\n") if history.exists() else 0

    def await_moment(self, reports, seconds):
        """Wait for so many more reports, and then so long; False where the driver ends or stands
        still before."""
        before = self.reports()
        if not self._await(lambda: self.reports() >= before + reports):
            return False
        until = time.monotonic() + seconds
        return self._await(lambda: time.monotonic() >= until)

    def await_end(self):
        """Wait for the exit code; None if it stands still, and the traceback of each thread is in
        its output."""
        self._await(lambda: not self.running())
        if not self.running():
            return self.process.returncode
        self.process.send_signal(signal.SIGABRT)
        self.process.wait()
        return None

    def clear(self):
        """Remove all that is left of it but its output."""
        for process, _ in self.processes():
            process.kill()
        shutil.rmtree(self.temporary, ignore_errors=True)

    def _await(self, moment):
        seen, since = self.reports(), time.monotonic()
        while not moment():
            if (now := self.reports()) != seen:
                seen, since = now, time.monotonic()
            if not self.running() or time.monotonic() - since > STANDSTILL_S:
                return False
            time.sleep(0.02)
        return True
