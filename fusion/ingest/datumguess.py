"""Which datum an export's coordinates seem to have: what speaks for each, and a guess only where it is clear.

GCJ-02 lies some 570 m from WGS-84 in Zhengzhou, and BD-09 some 1.27 km: under the wrong datum a few of an export's
places leave the city, and its box is shifted against the city's by that much. Without bounds of its own a city tells
nothing; but places that stand in rows and columns of degrees under one Chinese datum, and not as they are written, were
laid out in WGS-84 and shifted afterwards.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion.errors import InputError
from fusion.geo.datum import DATUMS
from fusion.geo.grid import Bounds, Cells
from fusion.ingest.places import Places

# Fixed sentences, so that a page can show them in its language; the figures stand in the evidence.
OUTSIDE_CHINA = "The places lie outside China, where only WGS-84 is used."
INSIDE = "More of the places lie inside the city under this datum than under the others."
LABELLED = "More of the places lie in cells with a known function under this datum than under the others."
BOX = "The places' box fits the city's under this datum, and is shifted under the others."
LATTICE = "Only under this datum do the places stand in rows and columns of degrees."
NO_BOUNDS = "The city has no imagery or functions, so no bounds of its own to tell the datum by: ask who exported."
UNDECIDED = "The places fit the city equally well under several datums: ask who exported."
FEW = "Too few places to tell the datum."
REASONS = (OUTSIDE_CHINA, INSIDE, LABELLED, BOX, LATTICE, NO_BOUNDS, UNDECIDED, FEW)

_LEAST_PLACES = 20
_LATTICE_PLACES = 5000
# Exports have five or six decimals; a shifted lattice bends by some 20 m over a city.
_LATTICE_GAP_DEG = 2e-5
_LATTICE_HAIR_DEG = 6e-6
_CLEAR_SHARE = 0.02  # of the places, by which the best datum must lead
_CLEAR_SHIFT_M = 250.0  # about half of what tells GCJ-02 from WGS-84
_ALIKE = 0.1  # by which the two boxes may differ in size, so that their centres mean anything
_DEGREE_M = 111_320.0


@dataclass(frozen=True)
class DatumEvidence:
    """How well the sampled places fit if their coordinates are of one datum.

    Attributes:
        datum: `wgs84`, `gcj02` or `bd09`.
        share_inside: of the places inside the city's bounds, 0 to 1; None without bounds of its own.
        mismatch_m: mean distance of the four sides of the places' box from the city's, in metres; None likewise.
        shift_m: distance between the centres of the two boxes, in metres; None likewise.
        share_labelled: of the places in cells that have a function; None without functions.
        regularity: 1 where the places stand in rows and columns of degrees, 0 where they do not.
    """

    datum: str
    share_inside: float | None
    mismatch_m: float | None
    shift_m: float | None
    share_labelled: float | None
    regularity: float


@dataclass(frozen=True)
class DatumPreview:
    """Which datum the coordinates seem to have.

    Attributes:
        asked: the datum that an ingest with these options would take.
        guess: `wgs84`, `gcj02` or `bd09`; None where the evidence does not tell.
        reason: one of `REASONS`.
        evidence: by datum; for places outside China of WGS-84 only.
    """

    asked: str
    guess: str | None
    reason: str
    evidence: tuple[DatumEvidence, ...]


def guess_datum(
    asked: str, index: Callable[[str], Places], bounds: Bounds | None, labelled: Cells | None
) -> DatumPreview:
    """Weigh the datums for the places of an export.

    Args:
        asked: the datum that the options name.
        index: gives the places (N,) as if they were of a datum.
        bounds: the city's own: west, south, east, north, degrees, WGS-84; None for a city without.
        labelled: cells with a function; None for a city without.

    Raises:
        InputError: the places cannot be read at all, or lie elsewhere than the datum asked for.
    """
    evidence: list[DatumEvidence] = []
    alike = False
    given = index(asked)
    for datum in DATUMS:
        try:
            places = given if datum == asked else index(datum)
        except InputError:
            continue  # one of China, and the places lie elsewhere
        there = np.isfinite(places.lon) & np.isfinite(places.lat)
        lon, lat = places.lon[there], places.lat[there]
        if len(lon) < _LEAST_PLACES:
            return DatumPreview(asked, None, FEW, tuple(evidence))
        inside = mismatch_m = shift_m = share = None
        if bounds is not None:
            inside, mismatch_m, shift_m, alike = _fit(lon, lat, bounds)
        if labelled is not None:
            share = float(np.isin(places.cell[there], labelled).mean())
        evidence.append(DatumEvidence(datum, inside, mismatch_m, shift_m, share, _regularity(lon, lat)))
    found = tuple(evidence)
    return DatumPreview(asked, *_decide(found, alike), found)


def _decide(evidence: tuple[DatumEvidence, ...], alike: bool) -> tuple[str | None, str]:
    if len(evidence) == 1:
        return evidence[0].datum, OUTSIDE_CHINA
    told: dict[str, str] = {}
    for name, reason in (("share_labelled", LABELLED), ("share_inside", INSIDE)):
        values = [getattr(one, name) for one in evidence]
        if None not in values:
            order = np.argsort(values)
            if values[order[-1]] - values[order[-2]] >= _CLEAR_SHARE:
                told.setdefault(evidence[order[-1]].datum, reason)
    shifts = [one.shift_m for one in evidence if one.shift_m is not None]
    if alike and shifts:
        order = np.argsort(shifts)
        if shifts[order[0]] <= _CLEAR_SHIFT_M and shifts[order[1]] >= 2 * shifts[order[0]]:
            told.setdefault(evidence[order[0]].datum, BOX)
    written, *shifted = evidence
    regular = [one.datum for one in shifted if one.regularity > 0.9 and written.regularity < 0.6]
    if len(regular) == 1:
        told.setdefault(regular[0], LATTICE)
    if len(told) == 1:
        return next(iter(told.items()))
    return None, NO_BOUNDS if not told and evidence[0].share_inside is None else UNDECIDED


def _fit(lon: NDArray, lat: NDArray, bounds: Bounds) -> tuple[float, float, float, bool]:
    """Share inside, mean mismatch of the sides and shift of the centres in metres, and whether the sizes are alike."""
    west, south, east, north = bounds
    inside = float(((lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)).mean())
    # A stray place would stretch the box.
    box_west, box_east = np.quantile(lon, (0.002, 0.998))
    box_south, box_north = np.quantile(lat, (0.002, 0.998))
    scale = _DEGREE_M * float(np.cos(np.radians((south + north) / 2)))
    sides = np.array(
        [
            *((box_west - west) * scale, (box_east - east) * scale),
            *((box_south - south) * _DEGREE_M, (box_north - north) * _DEGREE_M),
        ]
    )
    shift_m = float(np.hypot(sides[0] + sides[1], sides[2] + sides[3]) / 2)
    sizes = (box_east - box_west) / (east - west), (box_north - box_south) / (north - south)
    alike = all(abs(size - 1) <= _ALIKE for size in sizes)
    return inside, float(np.abs(sides).mean()), shift_m, alike


def _regularity(lon: NDArray, lat: NDArray) -> float:
    """Share of the places that stand exactly below others and beside others, 0 to 1, the mean of both."""
    chosen = np.random.default_rng(0).permutation(len(lon))[:_LATTICE_PLACES]
    return float(np.mean([_aligned(np.sort(values[chosen])) for values in (lon, lat)]))


def _aligned(values: NDArray) -> float:
    """Share of sorted values within a hair of the median of their cluster; a cluster of one or two tells nothing."""
    ends = np.flatnonzero(np.diff(values) > _LATTICE_GAP_DEG) + 1
    aligned = 0
    for cluster in np.split(values, ends):
        if len(cluster) > 2:
            aligned += int((np.abs(cluster - cluster[len(cluster) // 2]) <= _LATTICE_HAIR_DEG).sum())
    return aligned / len(values)
