"""Which URFC regions must stay on one side of a fold: the repeated and the identical."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def group_regions(
    numbers: Sequence[str], images: Sequence[str], visits: Sequence[str], blank: Sequence[bool]
) -> NDArray[np.int64]:
    """Return a group for each region, (N,), numbered in the order of their first regions.

    Regions are of one group if they share a number, an image or a visit file, or are linked by others that do. Blank
    images link nothing: they show nothing, and would tie regions together that have nothing in common.

    Args:
        numbers, images, visits: of each region, its number and the digests of its files.
        blank: whether its image is blank.
    """
    count = len(numbers)
    shown = [f"blank {row}" if flag else digest for row, (digest, flag) in enumerate(zip(images, blank, strict=True))]
    rows, keys, first = np.arange(count), [], count
    for names in (numbers, shown, visits):
        _, own = np.unique(np.asarray(names, dtype=str), return_inverse=True)
        keys.append(first + own)
        first += int(own.max(initial=-1)) + 1
    ends = (np.tile(rows, len(keys)), np.concatenate(keys))
    graph = coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(first, first))
    _, found = connected_components(graph, directed=False)
    _, at, group = np.unique(found[:count], return_index=True, return_inverse=True)
    return np.argsort(np.argsort(at))[group].astype(np.int64)
