"""A process that writes to a city and dies where it is told to; `tests/test_city.py` talks to it.

Each line of its input is a JSON command: `files`, `city`, and one of `die_at` (a progress text), `die_on` (a function,
which of its calls, before or after it), `kill_after_s` (seconds) or `file_limit` (the bytes a file may have, as on a
full disk). It forks, so that imports are paid once, and answers with a line: the child's exit status, the FusionError
that it met and the seconds that it lived.
"""

import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import fusion.city
import fusion.commit
from fusion.errors import FusionError
from fusion.ingest.functions import FunctionOptions, ingest_functions
from fusion.ingest.imagery import ingest_imagery
from fusion.ingest.signaling import ingest_signaling


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_on(name: str, count: int, when: str) -> None:
    """Wrap a function of the commit so that its count-th call is the last."""
    calls = 0

    def wrap(real: Callable) -> Callable:
        def wrapped(*args: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            if calls == count and when == "before":
                die()
            result = real(*args, **options)
            if calls == count:
                die()
            return result

        return wrapped

    if name == "replace":
        Path.replace = wrap(Path.replace)
    elif name == "unlink":
        Path.unlink = wrap(Path.unlink)
    else:
        fusion.city.sync_file = wrap(fusion.commit.sync_file)


def work(command: dict) -> None:
    def progress(_: float, text: str) -> None:
        if text == command.get("die_at"):
            die()

    if "die_on" in command:
        die_on(*command["die_on"])
    if "file_limit" in command:
        resource.setrlimit(resource.RLIMIT_FSIZE, (command["file_limit"], command["file_limit"]))
    files, city = [Path(file) for file in command["files"]], Path(command["city"])
    if files[0].suffix == ".tif":
        ingest_imagery(files, city, progress=progress)
    elif files[0].suffix == ".geojson":
        ingest_functions(files[0], city, FunctionOptions("class"), progress=progress)
    else:
        ingest_signaling(files, city, progress=progress)


def main() -> None:
    for line in sys.stdin:
        command = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            try:
                work(command)
            except FusionError as error:
                os.write(writer, str(error).encode())
                os._exit(2)
            except BaseException as error:  # noqa: BLE001 - a bug must be seen by the test, not by the shell
                os.write(writer, repr(error).encode())
                os._exit(1)
            os._exit(0)
        os.close(writer)
        begun = time.perf_counter()
        # the pipe is readable when the child is done before its time
        if "kill_after_s" in command and not select.select([reader], [], [], command["kill_after_s"])[0]:
            os.kill(child, signal.SIGKILL)
        with os.fdopen(reader) as pipe:
            message = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(
            json.dumps({"status": status, "message": message, "lived_s": time.perf_counter() - begun}) + "\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
