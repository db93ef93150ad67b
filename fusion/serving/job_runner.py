"""Runs one job's command and writes down how it ended: `python -m fusion.serving.job_runner FOLDER`.

It stands between the dashboard and the command so that the dashboard may be reloaded, restarted or killed: the lock
that it holds says that the job lives (the kernel lets go of it with the process, so no number of a process that is
gone can be taken for it), and `ended.json` says how it ended. Only the standard library and filelock: it starts at once
and takes little memory for hours.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import filelock

JOB, RUNNING, ENDED, CANCELLED = "job.json", "running.json", "ended.json", "cancelled.json"
EVENTS, LOG, ALIVE = "events.jsonl", "log.txt", "alive.lock"

_POLITE = 5  # the page that shows the job must stay quick while all cores work


def main(folder: Path) -> int:
    """Run the command in `folder/job.json`; return its exit code, 127 where it cannot be started."""
    asked = json.loads((folder / JOB).read_text(encoding="utf-8"))
    command = asked["command"]
    # Who asks whether the job lives takes the lock for a moment.
    with filelock.FileLock(folder / ALIVE, timeout=30):
        # A cancel signals the whole group; this process must outlive the command to say how it ended. Handlers and
        # not SIG_IGN, which the command would inherit.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, frame: None)
        with contextlib.suppress(OSError):
            os.nice(_POLITE)
        write_json(folder / RUNNING, {"pid": os.getpid(), "time_s": time.time()})
        with (folder / EVENTS).open("ab") as events, (folder / LOG).open("ab") as log:
            try:
                code = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=events, stderr=log, check=False
                ).returncode
            except OSError as error:
                log.write(f"error: {command[0]} cannot be started: {error}\n".encode())
                code = 127
        # Uploads that went in need no second copy; where the command failed they wait for another try.
        for path in asked.get("remove", ()) if code == 0 else ():
            shutil.rmtree(path, ignore_errors=True)
        write_json(folder / ENDED, {"code": code, "time_s": time.time()})
    return code


def write_json(path: Path, content: dict) -> None:
    """Write a small file whole or not at all."""
    written = path.with_suffix(".new")
    written.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    written.replace(path)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
