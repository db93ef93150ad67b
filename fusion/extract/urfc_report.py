"""What a URFC ingest keeps of the regions it took, and its report."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.classes import IDS
from fusion.extract.urfc_batches import Batch
from fusion.extract.urfc_grammar import (
    DAYS,
    ENTRIES_READ,
    ENTRIES_TAKEN,
    ENTRY_REASONS,
    HOURS,
    LINE_REASONS,
    LINES_READ,
    REASON_OF,
    TALLY,
)
from fusion.extract.urfc_missing import Missing

_LISTED = 100


@dataclass(eq=False)
class Taken:
    """Everything of the regions taken but images and series: lists by region, and sums over all visit files."""

    ids: list[str] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    blank: list[bool] = field(default_factory=list)
    image_digests: list[str] = field(default_factory=list)
    visit_digests: list[str] = field(default_factory=list)
    count_digests: list[str] = field(default_factory=list)
    totals: NDArray[np.int64] = field(default_factory=lambda: np.zeros((DAYS, HOURS), dtype=np.int64))
    tally: NDArray[np.int64] = field(default_factory=lambda: np.zeros(TALLY, dtype=np.int64))

    def add(self, batch: Batch) -> None:
        """Take in a batch."""
        self.ids += [region.id for region in batch.regions]
        self.numbers += [region.number for region in batch.regions]
        self.labels += [region.label for region in batch.regions]
        self.blank += batch.blank
        self.image_digests += batch.image_digests
        self.visit_digests += batch.visit_digests
        self.count_digests += batch.count_digests
        self.totals += batch.counts.sum(axis=0, dtype=np.int64)
        self.tally += batch.tally


def report_regions(
    folder: str,
    files: int,
    taken: Taken,
    files_rejected: Counter[str],
    groups: NDArray[np.int64],
    missing: Missing,
) -> dict[str, Any]:
    """Return the quality report (docs/data-formats.md): lines as the rows at the top, the rest under `urfc`."""
    count = len(taken.ids)
    by_reason = {name: int(taken.tally[index]) for index, name in REASON_OF.items() if taken.tally[index]}
    lines = {reason: by_reason[reason] for reason in LINE_REASONS if reason in by_reason}
    entries = {reason: by_reason[reason] for reason in ENTRY_REASONS if reason in by_reason}
    lines_read, lines_rejected = int(taken.tally[LINES_READ]), sum(lines.values())
    labels = Counter(taken.labels)
    blank = [id_ for id_, flag in zip(taken.ids, taken.blank, strict=True) if flag]
    shown = [digest for digest, flag in zip(taken.image_digests, taken.blank, strict=True) if not flag]
    return {
        "rows_read": lines_read,
        "rows_taken": lines_read - lines_rejected,
        "rows_rejected": lines_rejected,
        "rejected_by_reason": lines,
        "warnings": list(missing.warnings),
        "urfc": {
            "folder": folder,
            "files_read": files,
            "files_taken": 2 * count,
            "files_rejected": sum(files_rejected.values()),
            "files_rejected_by_reason": dict(sorted(files_rejected.items())),
            "lines_read": lines_read,
            "lines_taken": lines_read - lines_rejected,
            "lines_rejected": lines_rejected,
            "lines_rejected_by_reason": lines,
            "entries_read": int(taken.tally[ENTRIES_READ]),
            "entries_taken": int(taken.tally[ENTRIES_TAKEN]),
            "entries_rejected": sum(entries.values()),
            "entries_rejected_by_reason": entries,
            "regions": count,
            "regions_by_class": {IDS[label]: labels[label] for label in sorted(labels) if label >= 0},
            "unlabelled": labels[-1],
            "missing_dates": list(missing.dates),
            "blank_images": len(blank),
            "blank_images_listed": blank[:_LISTED],
            "groups": len(np.unique(groups)),
            "repeated_numbers": count - len(set(taken.numbers)),
            "identical_images": len(shown) - len(set(shown)),
            "identical_visits": count - len(set(taken.visit_digests)),
        },
    }
