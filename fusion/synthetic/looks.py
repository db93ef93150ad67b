"""How each look is drawn: one function a look, from metres within a parcel or a site to surfaces and heights."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion.synthetic.exact import Floats32, lattice, scramble, scramble2, unit
from fusion.synthetic.materials import M

F = np.float32
Mask = NDArray[np.bool_]


@dataclass
class Patch:
    """The pixels of one look in a tile, flattened (n,), all lengths in metres.

    `x`, `y` in the box; `p`, `q` from the parcel's inner corner, `width`, `depth` of the parcel; `s`, `t` in the
    site's own turned and scaled frame; `scale` of the site; `dice` of the parcel, `tone` of the site: 32 random bits.
    Painting fills `surface`, `height` and `shade` (a factor of brightness).
    """

    x: Floats32
    y: Floats32
    p: Floats32
    q: Floats32
    width: Floats32
    depth: Floats32
    s: Floats32
    t: Floats32
    scale: Floats32
    dice: NDArray[np.uint32]
    tone: NDArray[np.uint32]

    def __post_init__(self) -> None:
        self.surface = np.zeros(len(self.x), dtype=np.uint8)
        self.height = np.zeros(len(self.x), dtype=np.float32)
        self.shade = np.ones(len(self.x), dtype=np.float32)

    def fill(self, surface: np.uint8) -> None:
        """Cover everything."""
        self.surface[:] = surface

    def paint(
        self, where: Mask, surface: NDArray | np.uint8, height: NDArray | np.floating | float | None = None
    ) -> None:
        """Cover `where` with one surface or each pixel's own."""
        if isinstance(surface, np.ndarray):
            self.surface[where] = surface[where]
        else:
            self.surface[where] = surface
        if height is not None:
            self.height[where] = height[where] if isinstance(height, np.ndarray) else F(height)

    def trees(self, spacing: float, share: float, salt: int, where: Mask | None = None) -> None:
        """Scatter crowns over `where`."""
        crowns = lattice(salt, spacing, self.x, self.y) > F(1 - share)
        if where is not None:
            crowns &= where
        self.paint(crowns, M.canopy, 6.0)


def _pitch(length: Floats32, wish: Floats32 | float, least: int = 1) -> tuple[Floats32, Floats32]:
    """Divide a length evenly into parts of about `wish`: how many, and how long each is."""
    n = np.maximum(np.rint(length / wish), F(least))
    return n, length / n


def _pick(first: np.uint8, count: int, hashes: NDArray[np.uint32], byte: int = 2) -> NDArray[np.uint8]:
    """Choose one of `count` surfaces in a row by a hash."""
    return (first + (unit(hashes, byte) * F(count)).astype(np.uint8)).astype(np.uint8)


def slabs(c: Patch) -> None:
    """Long flat blocks in parallel rows, gardens between them."""
    c.fill(M.grass)
    lawn = lattice(21, 26.0, c.x, c.y)
    c.paint(lawn > F(0.62), M.pavement)
    c.trees(9.0, 0.30, 22)
    _, row = _pitch(c.depth, 29.0 * c.scale, 2)
    _, column = _pitch(c.width, 58.0 * c.scale)
    i, j = np.floor(c.p / column), np.floor(c.q / row)
    a, b = c.p - i * column, c.q - j * row
    block = scramble2(i.astype(np.int32), j.astype(np.int32) + (c.dice >> np.uint32(8)).astype(np.int32), 23)
    c.paint((b > row - F(5)) | (a < F(2.5)), M.lane, 0.0)
    thick = F(12.5) * c.scale
    body = (b > F(5)) & (b < F(5) + thick) & (a > F(5)) & (a < column - F(4)) & (unit(block, 3) < F(0.97))
    storey = F(16) + F(14) * unit(c.tone, 1)
    c.paint(body, _pick(M.roof_0, 8, c.tone), storey)
    c.shade[body] += (unit(block, 0)[body] - F(0.5)) * F(0.16)
    ridge = body & (np.abs(b - F(5) - thick * F(0.5)) < F(2.1))
    c.shade[ridge] *= F(0.90)


def podium(c: Patch) -> None:
    """A broad podium that fills its parcel, square towers on it with long shadows."""
    c.fill(M.plaza)
    edge = np.minimum(np.minimum(c.p, c.width - c.p), np.minimum(c.q, c.depth - c.q))
    c.trees(10.0, 0.30, 31, edge < F(6))
    _, wide = _pitch(c.width, 62.0 * c.scale)
    _, deep = _pitch(c.depth, 62.0 * c.scale)
    i, j = np.floor(c.p / wide), np.floor(c.q / deep)
    a, b = c.p - i * wide, c.q - j * deep
    block = scramble2(i.astype(np.int32), j.astype(np.int32) + (c.dice >> np.uint32(7)).astype(np.int32), 32)
    deck = (edge > F(7)) & ((a > F(3)) | (unit(c.dice, 2) < F(0.4))) & (unit(block, 1) < F(0.94))
    c.paint(deck, _pick(M.deck_0, 4, block), F(14))
    units = lattice(33, 8.0, c.x, c.y)
    c.shade[deck & (units > F(0.70))] *= F(1.14)
    c.shade[deck & (units < F(0.24))] *= F(0.80)
    half = (F(11) + F(5) * unit(block, 0)) * c.scale
    ox, oy = wide * (F(0.42) + F(0.16) * unit(block, 2)), deep * (F(0.42) + F(0.16) * unit(block, 3))
    reach = np.maximum(np.abs(a - ox), np.abs(b - oy))
    tower = deck & (reach < half) & (unit(block, 3) > F(0.12))
    tall = F(48) + F(44) * unit(block, 1)
    c.paint(tower, _pick(M.tower_0, 4, block, 0), tall)
    crown = tower & (reach < half * F(0.45))
    c.shade[crown] *= F(0.84)


def courts(c: Patch) -> None:
    """Wings around courtyards; every other parcel is a sports ground with an oval track."""
    c.fill(M.pavement)
    c.trees(9.0, 0.24, 41)
    edge = np.minimum(np.minimum(c.p, c.width - c.p), np.minimum(c.q, c.depth - c.q))
    ring = F(13.5) * c.scale
    body = (edge > F(5)) & (edge < F(5) + ring)
    gate = (np.abs(c.p - c.width * F(0.5)) < F(8)) & (c.q > c.depth * F(0.5))
    middle = (np.abs(c.q - c.depth * F(0.5)) < ring * F(0.5)) & (edge > F(5))
    yard = edge >= F(5) + ring
    c.paint(yard, M.grass, 0.0)
    c.trees(10.0, 0.22, 42, yard)
    c.paint(yard & (np.abs(c.p - c.width * F(0.5)) < F(3.2)), M.path, 0.0)
    wing = (body | middle) & ~gate
    c.paint(wing, _pick(M.roof_0, 8, c.tone), F(15) + F(5) * unit(c.tone, 1))
    inner = wing & (np.abs(edge - F(5) - ring * F(0.5)) < F(2.0)) & ~middle
    c.shade[inner] *= F(0.88)
    # The sports ground: parcels take turns by the parity that the caller put into the lowest bit of `dice`.
    sport = (c.dice & np.uint32(1)) == 0
    along = c.depth > c.width
    u = np.where(along, c.q - c.depth * F(0.5), c.p - c.width * F(0.5))
    v = np.where(along, c.p - c.width * F(0.5), c.q - c.depth * F(0.5))
    length, breadth = np.maximum(c.width, c.depth), np.minimum(c.width, c.depth)
    v = v + breadth * F(0.06)
    radius = np.minimum(F(36) * c.scale, breadth * F(0.5) - F(12))
    straight = np.maximum(np.minimum(F(44) * c.scale, length * F(0.5) - F(8) - radius), F(0))
    du = np.maximum(np.abs(u) - straight, F(0))
    far = np.sqrt(du * du + v * v)
    c.paint(sport, M.grass, 0.0)
    c.shade[sport] = F(1)
    c.trees(9.0, 0.30, 43, sport & (edge < F(9)))
    hard = sport & (v > radius + F(3)) & (edge > F(5))
    c.paint(hard, _pick(M.court_blue, 3, c.tone, 3), 0.0)
    line = hard & ((np.abs(u) % F(24)) < F(2.4))
    c.paint(line, M.pavement, 0.0)
    c.paint(sport & (far < radius), M.track, 0.0)
    field = sport & (far < radius - F(10))
    c.paint(field, M.pitch, 0.0)
    c.paint(field & (np.abs(u) < F(2.1)), M.white, 0.0)


def roofs(c: Patch) -> None:
    """Huge halls of pale or blue sheet, yards with lorries and containers between them."""
    c.fill(M.concrete)
    yard = lattice(51, 40.0, c.x, c.y)
    c.paint(yard > F(0.70), M.lane)
    _, wide = _pitch(c.width, 74.0 * c.scale)
    strip = F(17)
    i = np.floor(c.p / wide)
    a = c.p - i * wide
    hall = scramble2(i.astype(np.int32), (c.dice >> np.uint32(6)).astype(np.int32), 52)
    body = (a > F(6)) & (a < wide - F(6)) & (c.q > F(5)) & (c.q < c.depth - strip)
    c.paint(body, _pick(M.hall_0, 4, np.where(unit(hall, 1) < F(0.6), hall, c.tone)), F(11))
    bay = np.abs(a - F(6)) % (F(20) * c.scale)
    c.shade[body & (bay < F(4.2))] *= F(0.86)
    c.shade[body & (np.abs(c.q - c.depth * F(0.45)) < F(2.1))] *= F(1.08)
    lot_a, lot_b = np.floor(c.p / F(12)), np.floor((c.q - c.depth + strip) / F(5))
    load = scramble2(lot_a.astype(np.int32), lot_b.astype(np.int32) + (c.dice >> np.uint32(9)).astype(np.int32), 53)
    stacked = (c.q > c.depth - F(11)) & (c.q < c.depth - F(2)) & (unit(load, 0) < F(0.5))
    c.paint(stacked & (c.p - lot_a * F(12) > F(3.0)), _pick(M.box_0, 4, load), F(3))


def rails(c: Patch) -> None:
    """Many parallel tracks, platforms with pale roofs, standing trains."""
    c.fill(M.ballast)
    dirt = lattice(61, 60.0, c.s * F(0.2), c.t)
    c.shade[:] = F(0.92) + F(0.16) * dirt
    bundle = np.floor(c.t / F(92))
    b = c.t - bundle * F(92)
    kind = scramble(bundle.astype(np.int32), 62)
    track = np.floor(b / F(9.6))
    o = b - track * F(9.6)
    c.paint(o < F(3.4), M.rail)
    car = np.floor(c.s / F(150))
    train = scramble2(car.astype(np.int32), (bundle * 16 + track).astype(np.int32), 63)
    body = (o > F(2.4)) & (o < F(7.2)) & (unit(train, 0) < F(0.33)) & ((c.s - car * F(150)) > F(12))
    c.paint(body, _pick(M.train_0, 4, train), F(4))
    coach = np.abs(c.s) % F(26)
    c.shade[body & (coach < F(3.0))] *= F(0.7)
    stand = (b > F(66)) & (b < F(82))
    roofed = np.abs(c.s + F(40) * unit(kind, 1)) % F(420) < F(330)
    c.paint(stand, M.platform, 1.0)
    c.paint(stand & roofed & (b > F(68)) & (b < F(80)), _pick(M.hall_0, 2, kind), F(9))
    c.shade[stand & roofed & (np.abs(b - F(74)) < F(2.0))] *= F(0.86)
    c.paint(b > F(86), M.weeds, 0.0)


def runway(c: Patch) -> None:
    """Dark runway with white marks, grass, taxiway, pale apron with parked aircraft."""
    c.fill(M.meadow)
    band = np.floor(c.t / F(246))
    b = c.t - band * F(246)
    c.shade[:] = F(0.95) + F(0.1) * lattice(71, 90.0, c.s, c.t)
    strip = b < F(56)
    c.paint(strip, M.runway)
    c.paint(strip & (np.abs(b - F(28)) < F(2.6)) & (np.abs(c.s) % F(60) < F(36)), M.marking)
    c.paint(strip & ((np.abs(b - F(5)) < F(2.2)) | (np.abs(b - F(51)) < F(2.2))), M.marking)
    link = (np.abs(c.s) % F(230) < F(22)) & (b > F(56)) & (b < F(140))
    c.paint(link | ((b > F(96)) & (b < F(120))), M.taxiway)
    c.paint((np.abs(b - F(108)) < F(2.0)), M.crop_3)
    stand = (b > F(140)) & (b < F(222))
    c.paint(stand, M.apron)
    joint = stand & ((np.abs(c.s) % F(40) < F(3.4)) | ((b - F(140)) % F(40) < F(3.4)))
    c.shade[joint] *= F(0.93)
    gate = np.floor(c.s / F(62))
    i = np.abs(c.s - gate * F(62) - F(31))
    k = b - F(178)
    plane = scramble2(gate.astype(np.int32), band.astype(np.int32), 72)
    here = stand & (unit(plane, 0) < F(0.78))
    fuselage = (i < F(3.2)) & (np.abs(k) < F(25))
    wings = (np.abs(k + F(3) - i * F(0.45)) < F(3.6)) & (i < F(23))
    tail = (np.abs(k - F(21)) < F(2.6)) & (i < F(9))
    c.paint(here & (fuselage | wings | tail), M.white, 5.0)
    c.paint((b > F(222)) & (b < F(238)), _pick(M.hall_0, 4, c.tone), F(12))


def green(c: Patch) -> None:
    """Woods and meadows, ponds and winding paths."""
    c.fill(M.grove)
    wood = lattice(81, 70.0, c.s, c.t) * F(0.65) + lattice(82, 24.0, c.x, c.y) * F(0.35)
    c.paint(wood > F(0.47), M.meadow)
    c.trees(9.0, 0.34, 83, wood < F(0.47))
    c.trees(11.0, 0.16, 84, wood >= F(0.47))
    way = np.abs(lattice(85, 120.0, c.s, c.t) - F(0.5))
    c.paint(way < F(0.020), M.path, 0.0)
    depth = lattice(86, 105.0, c.s, c.t) * F(0.86) + lattice(87, 34.0, c.s, c.t) * F(0.14)
    c.paint(depth < F(0.285), M.shore, 0.0)
    c.paint(depth < F(0.262), M.pond, 0.0)


def formal(c: Patch) -> None:
    """Lawns in quarters around a round square, a symmetric building at the head of the axis."""
    c.fill(M.lawn)
    i = np.abs(c.p - c.width * F(0.5))
    k = c.q - c.depth * F(0.60)
    stripe = np.floor(c.q / F(9))
    c.shade[(stripe % 2) == 0] *= F(0.955)
    edge = np.minimum(np.minimum(c.p, c.width - c.p), np.minimum(c.q, c.depth - c.q))
    c.paint(edge < F(4.5), M.path)
    c.paint((np.abs(i - F(17) * c.scale) < F(3.4)) & (edge > F(5)), M.hedge, 4.0)
    c.paint((np.abs(k) < F(4.5)) | (i < F(8)), M.plaza, 0.0)
    far = np.sqrt(i * i + k * k)
    c.paint(far < F(22) * c.scale, M.plaza, 0.0)
    c.paint(far < F(8) * c.scale, M.pond, 0.0)
    c.paint((i < F(3.2)) & (k > F(24)), M.pond, 0.0)
    head = c.q - F(7)
    deep = F(15) * c.scale
    hall = (head > F(0)) & (head < deep) & (i < c.width * F(0.36))
    arms = (head > F(0)) & (head < deep * F(1.9)) & (np.abs(i - c.width * F(0.31)) < F(6.5))
    porch = (head > F(0)) & (head < deep * F(1.6)) & (i < F(11))
    body = hall | arms | porch
    c.paint(body, _pick(M.roof_0, 8, c.tone), F(17) + F(9) * unit(c.tone, 1))
    c.shade[body & (i < F(4))] *= F(0.86)
    c.shade[hall & (np.abs(head - deep * F(0.5)) < F(2.0))] *= F(0.90)


def farmland(c: Patch) -> None:
    """Long narrow fields of different crops, a few greenhouses."""
    i, j = np.floor(c.s / F(210)), np.floor(c.t / F(34))
    plot = scramble2(i.astype(np.int32), j.astype(np.int32), 91)
    c.surface[:] = _pick(M.crop_0, 6, plot)
    furrow = np.abs(c.t) % F(11)
    c.shade[furrow < F(4)] = F(0.95)
    hothouse = unit(scramble2(i.astype(np.int32), (j / 4).astype(np.int32), 92), 0) < F(0.12)
    c.paint(hothouse & (furrow < F(7)), M.greenhouse, 2.0)
    c.paint((c.t - j * F(34) < F(3.0)) | (c.s - i * F(210) < F(5)), M.weeds, 0.0)
    rows = (c.s - i * F(210) < F(12)) & (unit(plot, 3) < F(0.4))
    c.trees(9.0, 0.6, 93, rows)


def village(c: Patch) -> None:
    """Small houses, yards and crooked lanes."""
    c.fill(M.soil_dark)
    wave = lattice(95, 90.0, c.x, c.y) * F(14)
    a, b = c.s + wave, c.t - wave
    i, j = np.floor(a / F(17)), np.floor(b / F(21))
    house = scramble2(i.astype(np.int32), j.astype(np.int32), 96)
    body = (a - i * F(17) > F(2.5)) & (b - j * F(21) > F(7)) & (unit(house, 0) < F(0.9))
    c.paint(body, _pick(M.house_0, 4, house), F(7))
    c.trees(9.0, 0.16, 97, ~body)
    c.paint((np.abs(c.t) % F(84) < F(6)) | (np.abs(c.s) % F(119) < F(5)), M.lane, 0.0)


def vacant(c: Patch) -> None:
    """Cleared ground, weeds, green dust nets, a few pits."""
    c.fill(M.soil)
    patch = lattice(98, 80.0, c.x, c.y) * F(0.7) + lattice(99, 22.0, c.x, c.y) * F(0.3)
    c.shade[:] = F(0.93) + F(0.14) * patch
    c.paint(patch < F(0.40), M.weeds)
    edge = np.minimum(np.minimum(c.p, c.width - c.p), np.minimum(c.q, c.depth - c.q))
    dug = unit(c.dice, 1)
    c.paint((dug < F(0.09)) & (edge > F(8)) & (patch > F(0.3)), M.net)
    c.paint((dug > F(0.84)) & (edge > F(20)), M.soil_dark, -6.0)
    c.paint((np.abs(c.s) % F(260) < F(6)), M.path, 0.0)


def bank(c: Patch) -> None:
    """Wooded banks of lakes."""
    c.fill(M.meadow)
    wood = lattice(88, 46.0, c.x, c.y)
    c.paint(wood < F(0.5), M.grove)
    c.trees(9.0, 0.36, 89, wood < F(0.55))


PAINTERS: dict[str, Callable[[Patch], None]] = {
    painter.__name__: painter
    for painter in (
        slabs, podium, courts, roofs, rails, runway, green, formal, farmland, village, vacant, bank
    )
}  # fmt: skip
