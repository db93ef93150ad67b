"""URFC folders made for tests: images and visit files of regions whose class shows in both."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

DATES = [(date(2018, 10, 1) + timedelta(days=day)).strftime("%Y%m%d") for day in range(182)]
LACKING = ("20181031", "20181121")  # hour 00 only, everywhere


def write_image(path: Path, seed: int, size: tuple[int, int] = (100, 100)) -> None:
    """Write noise as a JPEG; its name or folder says the class."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "JPEG", quality=90)


def write_blank(path: Path, level: int = 0) -> None:
    """Write an image of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (100, 100), (level, level, level)).save(path, "JPEG")


def visit_lines(seed: int, users: int, busiest: int) -> str:
    """Return the lines of users who come at the hours around `busiest`, on any date but after 00 on `LACKING`."""
    rng = np.random.default_rng(seed)
    lines = []
    for user in range(users):
        items = []
        for day in np.flatnonzero(rng.random(182) < 0.2):
            hours = np.unique(rng.normal(busiest, 2, 3).astype(int) % 24)
            hours = np.array([0]) if DATES[day] in LACKING else hours
            items.append(f"{DATES[day]}&{'|'.join(f'{hour:02d}' for hour in hours)}")
        lines.append(f"{seed:08x}{user:08x}\t{','.join(items or [DATES[0] + '&00'])}\n")
    return "".join(lines)


def write_visits(path: Path, text: str | bytes) -> None:
    """Write a visit file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)


def write_folder(root: Path, regions: int = 27, tests: int = 3, users: int = 12) -> Path:
    """Write a sound folder: region n is of class n mod 9, images in folders of classes, visits without."""
    for number in range(regions):
        code = f"{number % 9 + 1:03d}"
        write_image(root / "train_image" / code / f"{number:06d}_{code}.jpg", number)
        write_visits(
            root / "train_visit" / f"{number:06d}_{code}.txt", visit_lines(number, users, 2 * (number % 9) + 4)
        )
    for number in range(tests):
        write_image(root / "test_image" / f"{number:06d}.jpg", 1000 + number)
        write_visits(root / "test_visit" / f"{number:06d}.txt", visit_lines(1000 + number, users, 12))
    return root
