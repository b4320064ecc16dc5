"""Pictures decoded by several processes, each of which takes a share of the rows.

Threads would take turns on small pictures: most of the time of one is Python's own. The processes
are started as programs: a user's own program, which `multiprocessing` would begin once more in
each, need not be written for that.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np

from pipeline.data.pictures.decoding import decode_into
from pipeline.data.pictures.sources import Source, source_of
from pipeline.errors import KerasweepError
from pipeline.names import search_path

# Fewer are decoded in a second, and the processes take as long to start.
WORTH_PIXELS = 50_000_000
MOST_PROCESSES = 32
SAY_EVERY = 20  # pictures; a process whose reader is gone ends after so many
LOOK_S = 0.2


def decode_in_processes(
    array: Path, source: Source, told: Callable[[int], None], processes: int
) -> list[str]:
    """Decode pictures into the `.npy` file `array`, which has their size and number.

    Args:
        array: the file.
        source: the pictures.
        told: hears now and then how many are done.
        processes: how many.

    Returns:
        What is wrong with the pictures that do not decode.

    Raises:
        KerasweepError: a process was ended.
    """
    job = array.with_suffix(".json")
    job.write_text(json.dumps({"array": str(array), "source": source.plain()}))
    command = [sys.executable, "-m", __name__, str(job)]
    environment = os.environ | {"PYTHONPATH": search_path()}
    started: list[subprocess.Popen[str]] = []
    done, faults = [0] * processes, list[str]()

    def follow(share: int) -> int:
        process = started[share]
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            done[share] = said["done"]
            faults.extend(said["faults"])
        return process.wait()

    with contextlib.ExitStack() as stack:
        stack.callback(job.unlink)
        for share in range(processes):
            process = subprocess.Popen(
                [*command, str(share), str(processes)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,  # Ctrl-C is for the program that asks for it
            )
            started.append(stack.enter_context(process))
        pool = stack.enter_context(ThreadPoolExecutor(processes))
        for process in started:  # before the threads that follow them are waited for
            stack.callback(process.kill)
        following = [pool.submit(follow, share) for share in range(processes)]
        while wait(following, timeout=LOOK_S).not_done:
            told(sum(done))
        ended = [code for future in following if (code := future.result())]
    if ended:
        raise KerasweepError(
            f"Pictures must be decoded to the end; {len(ended)} of {processes} processes that "
            f"decode them ended with code {ended[0]}."
        )
    return faults


def usable_processes() -> int:
    """How many processes this one may keep busy."""
    return min(MOST_PROCESSES, len(os.sched_getaffinity(0)))


def _main(job: str, share: int, shares: int) -> None:
    """Decode every so-manieth picture, and say so."""
    asked = json.loads(Path(job).read_text())
    found, source = np.load(asked["array"], mmap_mode="r+"), source_of(asked["source"])
    rows = range(share, len(source), shares)
    faults: list[str] = []
    for done, fault in enumerate(decode_into(found, source, rows), start=1):
        faults += [fault] if fault else []
        if done % SAY_EVERY == 0 or done == len(rows):
            print(json.dumps({"done": done, "faults": faults}), flush=True)
            faults = []
    found.flush()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        _main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
