"""The nine region functions, in the order and with the codes of the URFC contest (Baidu / IKCEST 2019).

Colours: Paul Tol's "muted" qualitative scheme, which has nine colours and is safe for colour-blind readers
(P. Tol, Colour Schemes, SRON/EPS/TN/09-002, 2021).
"""

from dataclasses import dataclass

from fusion.errors import InputError


@dataclass(frozen=True)
class FunctionClass:
    """One region function; `index` is its label in every array, `code` its folder in the URFC files."""

    index: int
    id: str
    code: str
    en: str
    zh: str
    colour: str


FUNCTIONS: tuple[FunctionClass, ...] = tuple(
    FunctionClass(index, id_, f"{index + 1:03d}", en, zh, colour)
    for index, (id_, en, zh, colour) in enumerate(
        (
            ("residential", "Residential area", "居住区", "#ddcc77"),
            ("school", "School", "学校", "#88ccee"),
            ("industrial", "Industrial park", "工业园区", "#aa4499"),
            ("station", "Railway station", "火车站", "#332288"),
            ("airport", "Airport", "机场", "#44aa99"),
            ("park", "Park", "公园", "#117733"),
            ("shopping", "Shopping area", "购物区", "#cc6677"),
            ("administrative", "Administrative district", "行政区", "#882255"),
            ("hospital", "Hospital", "医院", "#999933"),
        )
    )
)

IDS: tuple[str, ...] = tuple(function.id for function in FUNCTIONS)


def by_id(function_id: str) -> FunctionClass:
    """Return the function of that id.

    Raises:
        InputError: the id is none of the nine.
    """
    try:
        return FUNCTIONS[IDS.index(function_id)]
    except ValueError:
        raise InputError(f"unknown function {function_id!r}: use one of {', '.join(IDS)}") from None
