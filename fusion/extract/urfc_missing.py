"""Which hours of URFC's half year are missing in the data, where a count of nobody would be a false zero."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from fusion.extract.urfc_grammar import DAYS, FIRST_DATE, HOURS
from fusion.states import MISSING, VALID

# Dates whose hours after 00 the published files lack in every class (facts §2).
KNOWN = (
    "2018-10-31", "2018-11-21", "2018-11-30", "2018-12-31", "2019-01-31", "2019-02-09", "2019-02-28", "2019-03-31",
)  # fmt: skip
# By chance a date of this mean has nobody after 00 once in 5e8: then absence is a fault of the data.
_ENOUGH = 20


@dataclass(frozen=True, eq=False)
class Missing:
    """`state` (182,24): valid or missing; `dates` with missing hours (ISO); `warnings`: lines worth reading."""

    state: NDArray[np.uint8]
    dates: tuple[str, ...]
    warnings: tuple[str, ...]


def missing_hours(totals: NDArray[np.int64], regions: int) -> Missing:
    """Find the hours that the data lack: those after 00 of dates on which nobody was seen in them, in any region.

    Hour 00 of such a date is missing too where nobody was seen then either. Where the data are too few to tell
    (fewer than 20 users on the median date), only the dates that are known to be so count.

    Args:
        totals: (182,24) users seen, summed over all regions.
        regions: how many.
    """
    later = totals[:, 1:].sum(axis=1)
    dates = [(FIRST_DATE + timedelta(days=day)).isoformat() for day in range(DAYS)]
    empty = later == 0
    enough = np.median(later) >= _ENOUGH
    known = np.isin(dates, KNOWN)
    warnings = []
    if not enough:
        empty &= known
        warnings.append(
            f"{regions} regions have too few visits to tell dates without data: the known ones are missing, any other "
            "hour without visits counts as nobody"
        )
    if not_so := [date for date, yes in zip(dates, known & ~empty, strict=True) if yes]:
        warnings.append(f"dates known to lack hours after 00 have visits in them here: {', '.join(not_so)}")
    state = np.full((DAYS, HOURS), VALID, dtype=np.uint8)
    state[empty, 1:] = MISSING
    if enough:
        state[empty & (totals[:, 0] == 0), 0] = MISSING
    return Missing(state, tuple(date for date, yes in zip(dates, empty, strict=True) if yes), tuple(warnings))
