"""Exports as they come out of bad disks, editors and scripts: good files, and ways to spoil them.

Every spoiled file follows from a seed, so that a failure names one that can be made again.
"""

import gzip
import io
import zipfile
from collections.abc import Callable

import numpy as np
import pandas as pd

HEADER = "时间,经度,纬度,人数"
CELLS, HOURS = 6, 5

NASTY = (
    *(
        '"',
        '""',
        "'",
        "\\",
        "\\N",
        ",",
        ";;",
        "\t",
        "\r",
        "\n",
        "\r\n",
        "\x00",
        "\ufeff",
        "\u2028",
        "\u200b",
        "\U0001f600",
    ),
    *("=1+1", "@SUM(A1)", "-", "--", "NaN", "inf", "-inf", "1e400", "1e-400", "9" * 40, "0x1F", "1,234", "1_000"),
    *("１２３", "null", "None", "TRUE", "2021-02-30 08:00", "2021-07-24 25:00", "0000-00-00", "99999999999999999999"),
    *("'; DROP TABLE groups; --", "%s%n", "{}", "../../etc/passwd", "x" * 70_000, "１", " ", "-0", "+5", "5.", ".5"),
)


def text_rows(number: int, delimiter: str = ",") -> list[str]:
    """The lines of a good hourly export; no two files share a place and time."""
    lines = [HEADER.replace(",", delimiter)]
    for hour in range(HOURS):
        for cell in range(CELLS):
            day = 1 + number % 28
            lon, lat = 113.60 + 0.01 * cell + 0.0001 * (number // 28), 34.70 + 0.01 * cell
            row = f"2021-07-{day:02d} {hour:02d}:00:00", f"{lon:.6f}", f"{lat:.6f}", str(20 + cell + hour)
            lines.append(delimiter.join(row))
    return lines


def csv_utf8(number: int) -> bytes:
    return "\n".join(text_rows(number)).encode() + b"\n"


def csv_bom_crlf(number: int) -> bytes:
    return "\r\n".join(text_rows(number)).encode("utf-8-sig") + b"\r\n"


def csv_gbk(number: int) -> bytes:
    return "\n".join(text_rows(number)).encode("gb18030") + b"\n"


def csv_quoted(number: int) -> bytes:
    lines = [",".join(f'"{cell}"' for cell in line.split(",")) for line in text_rows(number)]
    return "\n".join(lines).encode() + b"\n"


def tsv(number: int) -> bytes:
    return "\n".join(text_rows(number, "\t")).encode()


def packed_gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def packed_zip(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("hours.csv"), data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def parquet(number: int) -> bytes:
    header, *rows = (line.split(",") for line in text_rows(number))
    file = io.BytesIO()
    pd.DataFrame(rows, columns=header, dtype="str").to_parquet(file)
    return file.getvalue()


def workbook(number: int) -> bytes:
    header, *rows = (line.split(",") for line in text_rows(number))
    file = io.BytesIO()
    pd.DataFrame(rows, columns=header, dtype="str").to_excel(file, index=False)
    return file.getvalue()


GOOD: dict[str, Callable[[int], bytes]] = {
    "csv": csv_utf8,
    "bom.csv": csv_bom_crlf,
    "gbk.csv": csv_gbk,
    "quoted.csv": csv_quoted,
    "tsv": tsv,
    "csv.gz": lambda number: packed_gz(csv_utf8(number)),
    "zip": lambda number: packed_zip(csv_utf8(number)),
    "parquet": parquet,
    "xlsx": workbook,
}
PACKED: dict[str, Callable[[bytes], bytes]] = {"csv.gz": packed_gz, "zip": packed_zip}


def flip(data: bytes, rng: np.random.Generator) -> bytes:
    """Turn one to eight bits."""
    spoiled = bytearray(data)
    for place in rng.integers(len(data), size=rng.integers(1, 9)):
        spoiled[place] ^= 1 << int(rng.integers(8))
    return bytes(spoiled)


def truncate(data: bytes, rng: np.random.Generator) -> bytes:
    """Lose the end."""
    return data[: int(rng.integers(len(data)))]


def drop(data: bytes, rng: np.random.Generator) -> bytes:
    """Lose a piece in the middle."""
    start = int(rng.integers(len(data)))
    return data[:start] + data[start + int(rng.integers(1, 200)) :]


def repeat(data: bytes, rng: np.random.Generator) -> bytes:
    """Have a piece twice."""
    start = int(rng.integers(len(data)))
    stop = start + int(rng.integers(1, 200))
    return data[:stop] + data[start:]


def noise(data: bytes, rng: np.random.Generator) -> bytes:
    """Have bytes of something else in the middle."""
    place = int(rng.integers(len(data)))
    return data[:place] + rng.bytes(int(rng.integers(1, 64))) + data[place:]


def nasty_field(data: bytes, rng: np.random.Generator) -> bytes:
    """Have a text that readers trip over in place of a field, or inside one."""
    mark = b"\t" if b"\t" in data else b","
    fields = data.split(mark)
    where = int(rng.integers(len(fields)))
    text = NASTY[int(rng.integers(len(NASTY)))].encode()
    fields[where] = text if rng.random() < 0.5 else text + fields[where]
    return mark.join(fields)


def shuffle_lines(data: bytes, rng: np.random.Generator) -> bytes:
    """Have the lines in another order, the header somewhere."""
    lines = data.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines)


def mix_line(data: bytes, rng: np.random.Generator) -> bytes:
    """Lose, repeat or turn the fields of one line."""
    lines = data.split(b"\n")
    where = int(rng.integers(len(lines)))
    mark = b"\t" if b"\t" in data else b","
    fields = lines[where].split(mark)
    rng.shuffle(fields)
    lines[where] = mark.join(fields * int(rng.integers(0, 3)))
    return b"\n".join(lines)


WAYS = (flip, truncate, drop, repeat, noise, nasty_field, nasty_field, shuffle_lines, mix_line)


def spoil(data: bytes, rng: np.random.Generator) -> bytes:
    """Spoil bytes once or twice."""
    for _ in range(int(rng.integers(1, 3))):
        data = WAYS[int(rng.integers(len(WAYS)))](data, rng) if data else data
    return data


def spoiled(kind: str, seed: int) -> bytes:
    """A spoiled file of a kind; of packed ones every second was spoiled before it was packed."""
    rng = np.random.default_rng([seed, list(GOOD).index(kind)])
    if kind in PACKED and seed % 2:
        return PACKED[kind](spoil(csv_utf8(seed), rng))
    return spoil(GOOD[kind](seed), rng)
