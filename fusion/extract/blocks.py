"""Where samples lie: their place in the imagery's projection and the H3 parent that groups them for the folds."""

import numpy as np
import pyproj
from numpy.typing import NDArray

from fusion.geo import grid

PARENT_LEVELS = 2


def positions(cells: grid.Cells, crs: pyproj.CRS) -> NDArray[np.float64]:
    """Return the cells' centres, (N,2) x and y in the units of `crs`."""
    return np.stack(grid.project(*grid.centres(cells), crs), axis=1)


def parent_groups(cells: grid.Cells) -> NDArray[np.int64]:
    """Return each cell's parent two levels up, (N,): some 49 cells, about 2.2 km across at resolution 9."""
    levels = min(PARENT_LEVELS, grid.resolution_of(int(cells[0]))) if len(cells) else PARENT_LEVELS
    return grid.parents(cells, levels).astype(np.int64)
