"""The paint box: what surfaces there are, their colour, how rough they look and how green they are."""

import numpy as np
from numpy.typing import NDArray

# name: red, green, blue, roughness (brightness noise, in levels), share of vegetation (what seasons turn).
_SURFACES: dict[str, tuple[int, int, int, int, float]] = {
    "asphalt": (146, 144, 139, 3, 0),
    "lane": (140, 137, 130, 3, 0),
    "pavement": (160, 155, 144, 4, 0),
    "plaza": (192, 183, 164, 3, 0),
    "concrete": (186, 184, 177, 3, 0),
    "median": (104, 114, 84, 7, 1),
    "verge": (104, 116, 78, 9, 1),
    "grass": (116, 124, 90, 6, 1),
    "lawn": (122, 138, 86, 4, 1),
    "meadow": (132, 138, 96, 6, 1),
    "canopy": (58, 77, 50, 17, 1),
    "grove": (72, 92, 58, 15, 1),
    "hedge": (70, 92, 56, 7, 1),
    "path": (188, 178, 154, 4, 0),
    "pond": (64, 88, 88, 2, 0),
    "river": (88, 108, 104, 2, 0),
    "lake": (58, 82, 94, 2, 0),
    "shore": (142, 138, 116, 6, 0.3),
    "soil": (168, 151, 124, 8, 0),
    "soil_dark": (148, 126, 98, 8, 0),
    "net": (112, 140, 108, 6, 0),
    "weeds": (138, 136, 96, 9, 0.7),
    "track": (166, 88, 70, 2, 0),
    "pitch": (98, 132, 78, 4, 0.6),
    "court_blue": (84, 122, 158, 3, 0),
    "court_green": (82, 128, 100, 3, 0),
    "court_red": (172, 104, 82, 3, 0),
    "white": (226, 226, 222, 2, 0),
    "ballast": (126, 112, 101, 6, 0),
    "rail": (88, 78, 73, 4, 0),
    "platform": (188, 186, 180, 3, 0),
    "runway": (104, 106, 110, 3, 0),
    "taxiway": (142, 142, 140, 3, 0),
    "apron": (184, 183, 176, 3, 0),
    "marking": (232, 230, 218, 2, 0),
    "roof_0": (170, 166, 158, 5, 0),
    "roof_1": (150, 118, 102, 5, 0),
    "roof_2": (190, 179, 160, 5, 0),
    "roof_3": (132, 136, 142, 5, 0),
    "roof_4": (164, 102, 82, 5, 0),
    "roof_5": (206, 203, 196, 4, 0),
    "roof_6": (118, 116, 116, 5, 0),
    "roof_7": (180, 164, 150, 5, 0),
    "hall_0": (214, 216, 216, 3, 0),
    "hall_1": (134, 160, 190, 3, 0),
    "hall_2": (92, 124, 168, 3, 0),
    "hall_3": (172, 174, 174, 3, 0),
    "tower_0": (126, 138, 152, 4, 0),
    "tower_1": (156, 154, 152, 4, 0),
    "tower_2": (198, 192, 182, 4, 0),
    "tower_3": (104, 112, 122, 4, 0),
    "deck_0": (160, 154, 148, 7, 0),
    "deck_1": (176, 168, 156, 7, 0),
    "deck_2": (140, 138, 138, 7, 0),
    "deck_3": (168, 150, 138, 7, 0),
    "car_0": (216, 216, 214, 2, 0),
    "car_1": (66, 68, 74, 2, 0),
    "box_0": (176, 74, 60, 3, 0),
    "box_1": (66, 104, 154, 3, 0),
    "box_2": (196, 128, 66, 3, 0),
    "box_3": (84, 132, 104, 3, 0),
    "train_0": (214, 216, 220, 2, 0),
    "train_1": (70, 92, 128, 3, 0),
    "train_2": (74, 106, 84, 3, 0),
    "train_3": (150, 84, 66, 3, 0),
    "crop_0": (106, 128, 70, 5, 1),
    "crop_1": (128, 142, 80, 5, 1),
    "crop_2": (88, 112, 62, 5, 1),
    "crop_3": (160, 150, 104, 5, 0.5),
    "crop_4": (146, 128, 96, 5, 0.2),
    "crop_5": (120, 136, 90, 5, 1),
    "greenhouse": (202, 206, 206, 5, 0),
    "house_0": (158, 120, 100, 7, 0),
    "house_1": (166, 160, 152, 7, 0),
    "house_2": (140, 104, 88, 7, 0),
    "house_3": (148, 146, 144, 7, 0),
}
NAMES: tuple[str, ...] = tuple(_SURFACES)
_TABLE = np.array(list(_SURFACES.values()), dtype=np.float32)
COLOURS: NDArray[np.float32] = _TABLE[:, :3].copy()
ROUGHNESS: NDArray[np.float32] = _TABLE[:, 3].copy()
# Water keeps one colour from site to site.
OWN: NDArray[np.bool_] = np.array([name not in ("river", "lake") for name in NAMES])
GREEN: NDArray[np.float32] = _TABLE[:, 4].copy()


class Materials:
    """`M.asphalt` and so on: the number of each surface."""

    def __getattr__(self, name: str) -> np.uint8:
        try:
            return np.uint8(NAMES.index(name))
        except ValueError:
            raise AttributeError(name) from None


M = Materials()
