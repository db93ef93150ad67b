"""URFC visit files scanned: numba and numpy against line-by-line Python and against reading the bytes alone.

    python benchmarks/urfc.py [--files 2000] [--rounds 5] [--threads 4]

The files are made: of 106 kB on average, log-normally spread, a line a user of 16 hexadecimal digits with some five
dates of some four hours in a row (facts §2 gives the format and the calendar; nobody published more of its
statistics). Their bytes are in the page cache. Rounds are interleaved and ratios taken round by round; printed are
medians and ranges. `counter` and `array` are how public solutions count, without a check of dates, hours or repeated
users; `checked` is this program's own plain reading, whose answer the scanners give exactly. These three run on a part
of the files, and their time is scaled by bytes. Single-thread figures are processor time, since other work on the
machine moves the clock; those with threads are of the clock.
"""

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np

from fusion.extract.urfc_grammar import DAYS, FIRST_DATE, HOURS, WEEKDAYS, WEEKS
from fusion.extract.urfc_visits import best_engine, scan_visits

MEAN_BYTES = 106_000
BATCH = 32
PART = 12  # files that the slow ways get
DATES = [(FIRST_DATE + timedelta(days=day)).strftime("%Y%m%d") for day in range(DAYS)]
DAY_OF = {date: day for day, date in enumerate(DATES)}


def write_files(folder: Path, number: int) -> list[Path]:
    """Write visit files, the same for the same number."""
    rng = np.random.default_rng(0)
    sizes = rng.lognormal(0, 0.8, number)
    runs = [
        "|".join(f"{hour:02d}" for hour in range(first, last)) for first in range(24) for last in range(first + 1, 25)
    ]
    starts = np.cumsum([0, *(24 - first for first in range(24))])
    paths = []
    for index, size in enumerate(sizes * MEAN_BYTES / sizes.mean()):
        users = max(int(size / 119), 1)
        parts = rng.geometric(0.2, users).clip(max=60)
        firsts = rng.integers(0, 24, parts.sum())
        lengths = np.minimum(rng.geometric(0.25, len(firsts)), 24 - firsts)
        hours = starts[firsts] + lengths - 1
        days = rng.integers(0, DAYS, len(firsts))
        at, lines = 0, []
        for user, count in zip(rng.integers(0, 1 << 63, users), parts, strict=True):
            own = np.unique(days[at : at + count])
            items = [f"{DATES[day]}&{runs[hour]}" for day, hour in zip(own, hours[at:], strict=False)]
            lines.append(f"{user:016x}\t{','.join(items)}\n")
            at += count
        paths.append(folder / f"{index:06d}_{index % 9 + 1:03d}.txt")
        paths[-1].write_text("".join(lines), encoding="ascii")
    return paths


def read_only(paths: Sequence[Path]) -> None:
    """The limit: read the bytes and let them go."""
    for path in paths:
        path.read_bytes()


def scan(paths: Sequence[Path], engine: str) -> None:
    """Read and count, a batch at a time."""
    for start in range(0, len(paths), BATCH):
        scan_visits([path.read_bytes() for path in paths[start : start + BATCH]], engine)


def fill_arrays(paths: Sequence[Path]) -> None:
    """Line by line into an array, as public solutions do."""
    for path in paths:
        visits = np.zeros((WEEKDAYS, WEEKS, HOURS))
        with path.open(encoding="ascii") as file:
            for line in file:
                for item in line.rstrip("\n").split("\t")[1].split(","):
                    date, hours = item.split("&")
                    day = DAY_OF[date]
                    for hour in hours.split("|"):
                        visits[day % 7, day // 7, int(hour)] += 1


def fill_counters(paths: Sequence[Path]) -> None:
    """Line by line into a Counter."""
    for path in paths:
        visits: Counter[tuple[str, str]] = Counter()
        with path.open(encoding="ascii") as file:
            for line in file:
                for item in line.rstrip("\n").split("\t")[1].split(","):
                    date, hours = item.split("&")
                    visits.update((date, hour) for hour in hours.split("|"))


def in_threads(work: Callable[[Sequence[Path]], None], paths: Sequence[Path], threads: int) -> None:
    """Give batches of the files to threads."""
    parts = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, parts))


def main() -> None:
    """Time the ways in turn and print ratios."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--files", type=int, default=2000)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--threads", type=int, default=4)
    chosen = arguments.parse_args()
    engines = ["numpy"] if best_engine() == "numpy" else ["numba", "numpy"]
    with tempfile.TemporaryDirectory() as scratch:
        paths = write_files(Path(scratch), chosen.files)
        size = {path: path.stat().st_size for path in paths}
        few = paths[:PART]
        first = time.perf_counter()
        for engine in engines:
            scan(few, engine)
        print(f"first calls, compiled code included: {time.perf_counter() - first:.1f} s")
        agreed = [scan_visits([path.read_bytes() for path in few], engine) for engine in (*engines, "python")]
        assert all(np.array_equal(agreed[-1].counts, other.counts) for other in agreed)
        alone: dict[str, tuple[Callable[[Sequence[Path]], None], Sequence[Path]]] = {
            "bytes only": (read_only, paths),
            **{engine: (lambda files, engine=engine: scan(files, engine), paths) for engine in engines},
            "array": (fill_arrays, few),
            "counter": (fill_counters, few),
            "checked": (lambda files: scan(files, "python"), few),
        }
        spent: dict[str, list[float]] = {}
        for _ in range(chosen.rounds):
            for name, (work, files) in alone.items():
                began = time.process_time()
                work(files)
                scale = sum(size.values()) / sum(size[path] for path in files)
                spent.setdefault(name, []).append((time.process_time() - began) * scale)
            for name in ("bytes only", *engines):
                began = time.perf_counter()
                in_threads(alone[name][0], paths, chosen.threads)
                spent.setdefault(f"{name}, threads", []).append(time.perf_counter() - began)
    print(
        f"{chosen.files:,} files, {sum(size.values()) / 1e6:.0f} MB, {chosen.rounds} rounds, {chosen.threads} threads"
    )
    for name, times in spent.items():
        middle = statistics.median(times)
        print(f"{name:22} {middle:8.2f} s {chosen.files / middle:9,.0f} files/s")
    for slow in ("array", "counter", "checked"):
        for engine in engines:
            _say(f"{slow} / {engine}, one thread", spent[slow], spent[engine])
    for engine in engines:
        _say(f"{engine} / bytes only, one thread", spent[engine], spent["bytes only"])
        _say(
            f"{engine} / bytes only, {chosen.threads} threads",
            spent[f"{engine}, threads"],
            spent["bytes only, threads"],
        )


def _say(what: str, longer: list[float], shorter: list[float]) -> None:
    ratios = [one / other for one, other in zip(longer, shorter, strict=True)]
    print(f"{what:42} {statistics.median(ratios):7.1f} ({min(ratios):.1f} to {max(ratios):.1f})")


if __name__ == "__main__":
    main()
