"""From plan and streets to pixels: tiles of surfaces and heights, then sun, season, haze.

Nuisances that a reader of the picture must see through: each site has its own orientation, scale, tint and
brightness; haze drifts over the city, and the mosaic's scenes were taken in different seasons.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion.synthetic.exact import Floats32, as32, lattice, scramble, scramble2, unit
from fusion.synthetic.looks import PAINTERS, Patch
from fusion.synthetic.materials import COLOURS, GREEN, OWN, ROUGHNESS, M
from fusion.synthetic.parameters import Parameters
from fusion.synthetic.plan import Plan
from fusion.synthetic.streets import FILLER_FRAMES, LOOKS, Streets
from fusion.synthetic.strokes import Canvas, draw_terrain

F = np.float32
TILE = 512
_SHADOW_PX = 18  # the longest shadow
_SUN_PX = (0.80, 0.60)  # rows down and columns right to the sun, a step: it stands in the south-east, mid-morning
_DROP_M = 4.6  # metres that a shadow's edge falls a step
_HAZE = np.array([196, 203, 209], dtype=np.float32)
# The mosaic's scenes from west to east: brightness, haze, and red, green, blue factors of vegetation.
_SCENES = np.array(
    [[1.03, 0.03, 1.06, 1.00, 0.95], [1.07, 0.01, 0.98, 1.01, 0.98], [1.00, 0.06, 1.03, 1.00, 0.95]], dtype=np.float32
)


@dataclass(frozen=True)
class Frames:
    """Each site's own way of being drawn, then those of the filler, (S + FILLER_FRAMES,) each."""

    x: Floats32
    y: Floats32
    cosine: Floats32
    sine: Floats32
    scale: Floats32
    shift_s: Floats32
    shift_t: Floats32
    dihedral: NDArray[np.uint8]
    tone: NDArray[np.uint32]
    gain: Floats32
    tint: Floats32


def build_frames(plan: Plan, nuisance: float, seed: int) -> Frames:
    """Draw the orientation, scale and tint of every site."""
    count = plan.sites + FILLER_FRAMES
    number = np.arange(count)
    weight = np.maximum(np.bincount(plan.site[plan.site >= 0], minlength=plan.sites), 1)
    x, y = (np.zeros(count, dtype=np.float64) for _ in range(2))
    for out, value in ((x, plan.x), (y, plan.y)):
        total = np.bincount(plan.site[plan.site >= 0], value[plan.site >= 0], minlength=plan.sites)
        out[: plan.sites] = np.rint(total / weight)
        out[plan.sites :] = np.rint(value.mean())
    dice = [scramble(number, seed * 5 + 70 + i) for i in range(4)]
    t = (unit(dice[0], 0) * 2 - 1) * F(min(nuisance, 1.0))
    lift = unit(dice[0], 1) - F(0.5)
    strength = np.where(number < plan.sites, F(nuisance), F(nuisance * 0.3))  # fields do not change at a street
    return Frames(
        x.astype(np.float32), y.astype(np.float32), (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t),
        1 + lift * F(0.40 * nuisance),
        np.floor(unit(dice[1], 0) * 8) * F(610), np.floor(unit(dice[1], 1) * 8) * F(610),
        ((unit(dice[1], 2) * 8).astype(np.uint8) if nuisance > 0 else np.zeros(count, dtype=np.uint8)),
        dice[2],
        1 + (unit(dice[3], 0) - F(0.5)) * F(0.16) * strength,
        (unit(dice[3], 1) - F(0.5)) * F(0.16) * strength,
    )  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """All that a tile needs."""

    plan: Plan
    streets: Streets
    frames: Frames
    nuisance: float
    seed: int


def render_image(
    plan: Plan, streets: Streets, parameters: Parameters, seed: int, progress: Callable[[float], None], workers: int = 2
) -> NDArray[np.uint8]:
    """Render the whole box: (3, rows, columns) uint8."""
    nuisance = parameters.image_nuisance
    scene = Scene(plan, streets, build_frames(plan, nuisance, seed), nuisance, seed)
    box = plan.box
    image = np.zeros((3, box.rows, box.columns), dtype=np.uint8)
    corners = [(r, c) for r in range(0, box.rows, TILE) for c in range(0, box.columns, TILE)]

    def draw(corner: tuple[int, int]) -> None:
        row, column = corner
        rows, columns = min(TILE, box.rows - row), min(TILE, box.columns - column)
        image[:, row : row + rows, column : column + columns] = render_tile(scene, row, column, rows, columns)

    with ThreadPoolExecutor(workers) as pool:
        for done, _ in enumerate(pool.map(draw, corners), start=1):
            progress(done / len(corners))
    return image


def render_tile(scene: Scene, row: int, column: int, rows: int, columns: int) -> NDArray[np.uint8]:
    """Render the pixels [row, row + rows) x [column, column + columns): (3, rows, columns) uint8."""
    pixel = scene.plan.box.pixel_m
    r = (np.arange(row, row + rows + _SHADOW_PX) + 0.5) * pixel
    c = (np.arange(column, column + columns + _SHADOW_PX) + 0.5) * pixel
    y, x = np.meshgrid(r.astype(np.float32), c.astype(np.float32), indexing="ij")
    canvas, parcel = _paint_parcels(scene, x, y)
    shadow = _shadows(canvas.height, rows, columns)
    inner = (slice(0, rows), slice(0, columns))
    return _develop(scene, canvas, inner, shadow, scene.streets.frame[parcel[inner]])


def _paint_parcels(scene: Scene, x: Floats32, y: Floats32) -> tuple[Canvas, NDArray[np.int32]]:
    net = scene.streets
    u, v = (a.ravel() for a in net.bend(x, y))
    parcel = net.parcels_at(u, v)
    raw = (u - net.u0[parcel], net.u1[parcel] - u, v - net.v0[parcel], net.v1[parcel] - v)
    half = tuple(net.half[side][parcel] for side in range(4))
    gap = np.full(len(u), F(1e6))
    road_half, road_raw = np.zeros_like(gap), np.zeros_like(gap)
    for one_raw, one_half in zip(raw, half, strict=True):
        here = np.where(one_half > 0, one_raw - one_half, F(1e6))
        nearer = here < gap
        gap = np.where(nearer, here, gap)
        road_half, road_raw = np.where(nearer, one_half, road_half), np.where(nearer, one_raw, road_raw)
    surface = np.zeros(len(u), dtype=np.uint8)
    height, shade = np.zeros_like(gap), np.ones_like(gap)
    street = gap < 0
    flat_x, flat_y = x.ravel(), y.ravel()
    look = np.where(street, np.uint8(255), net.look[parcel])
    for number, name in enumerate(LOOKS):
        at = np.flatnonzero(look == number)
        if len(at):
            patch = _patch(scene, at, parcel[at], flat_x[at], flat_y[at], [a[at] for a in raw], [a[at] for a in half])
            PAINTERS[name](patch)
            surface[at], height[at], shade[at] = patch.surface, patch.height, patch.shade
    crown = lattice(311, 8.5, flat_x, flat_y)
    main = street & (road_half > 10)
    surface[street] = M.lane
    surface[main] = M.asphalt
    leafy = (main & (gap > F(-4.4)) & (crown > F(0.50))) | (street & ~main & (gap > F(-3.2)) & (crown > F(0.52)))
    wide = main & (road_half > 20) & ((road_raw < F(2.6)) | (np.abs(road_raw - F(19)) < F(2.2)))
    surface[wide] = M.median
    surface[leafy] = M.canopy
    height[leafy] = F(6)
    shape = x.shape
    canvas = Canvas(x, y, surface.reshape(shape), height.reshape(shape), shade.reshape(shape))
    draw_terrain(canvas, scene.plan.terrain, (main & (gap < F(-3))).reshape(shape))
    return canvas, parcel.reshape(shape)


def _patch(
    scene: Scene,
    at: NDArray,
    parcel: NDArray[np.int32],
    x: Floats32,
    y: Floats32,
    raw: list[Floats32],
    half: list[Floats32],
) -> Patch:
    frames = scene.frames
    frame = scene.streets.frame[parcel]
    p, back_p = raw[0] - half[0], raw[1] - half[1]
    q, back_q = raw[2] - half[2], raw[3] - half[3]
    width, depth = p + back_p, q + back_q
    way = frames.dihedral[frame]
    p = np.where(way & 1, back_p, p)
    q = np.where(way & 2, back_q, q)
    turned = (way & 4) > 0
    p, q = np.where(turned, q, p), np.where(turned, p, q)
    width, depth = np.where(turned, depth, width), np.where(turned, width, depth)
    dx, dy = x - frames.x[frame], y - frames.y[frame]
    scale = frames.scale[frame]
    cosine, sine = frames.cosine[frame] / scale, frames.sine[frame] / scale
    s, t = dx * cosine + dy * sine + frames.shift_s[frame], dy * cosine - dx * sine + frames.shift_t[frame]
    return Patch(x, y, p, q, width, depth, as32(s), as32(t), scale, scene.streets.dice[parcel], frames.tone[frame])


def _shadows(height: Floats32, rows: int, columns: int) -> NDArray[np.bool_]:
    own = height[:rows, :columns]
    dark = np.zeros((rows, columns), dtype=bool)
    for step in range(1, _SHADOW_PX + 1):
        down, right = round(_SUN_PX[0] * step), round(_SUN_PX[1] * step)
        dark |= height[down : down + rows, right : right + columns] > own + F(_DROP_M * step - 1.0)
    return dark


def _develop(
    scene: Scene, canvas: Canvas, inner: tuple[slice, slice], shadow: NDArray[np.bool_], frame: NDArray[np.int32]
) -> NDArray[np.uint8]:
    surface, x, y = canvas.surface[inner], canvas.x[inner], canvas.y[inner]
    frames, nuisance, seed = scene.frames, F(scene.nuisance), scene.seed
    pixel = F(1 / scene.plan.box.pixel_m)
    own = OWN[surface]
    grain = unit(scramble2((x * pixel).astype(np.int32), (y * pixel).astype(np.int32), seed * 11 + 81), 1) - F(0.5)
    light = canvas.shade[inner] * np.where(shadow, F(0.52), F(1)) * np.where(own, frames.gain[frame], F(1))
    green = GREEN[surface]
    # Scenes from west to east, blended over some 700 m along a slanting, wavering seam.
    span = F(1 / scene.plan.box.width_m)
    across = (x + F(0.2) * y) * span * F(2.2) + (lattice(seed * 11 + 82, 5200.0, x, y) - F(0.5)) * F(0.5) - F(0.2)
    scene_at = across.clip(0, 2)
    west = np.minimum(scene_at.astype(np.int32), 1)
    blend = ((scene_at - west - F(0.5)) * F(8) + F(0.5)).clip(0, 1)
    haze = np.maximum(lattice(seed * 11 + 83, 4300.0, x, y) - F(0.45), F(0)) * F(0.38)
    parts = [
        1 + (column[west] + (column[west + 1] - column[west]) * blend - (1 if i != 1 else 0)) * nuisance
        for i, column in enumerate(_SCENES.T)
    ]
    gain, veil = parts[0], (haze + parts[1] - 1) * (nuisance if nuisance < 1 else F(1))
    veil = veil.clip(0, F(0.45))
    tint = np.where(own, frames.tint[frame], F(0))
    noise = grain * ROUGHNESS[surface] * 2
    out = np.empty((3, *surface.shape), dtype=np.uint8)
    for band in range(3):
        season = 1 + green * (parts[2 + band] - 1 + (F(0.6), F(0), F(-0.4))[band] * tint)
        level = (COLOURS[surface, band] * season + noise) * light * gain + tint * F((14, 2, -14)[band])
        level = level + (_HAZE[band] - level) * veil
        if band == 2:
            level = level + np.where(shadow, F(6), F(0))
        out[band] = np.rint(level).clip(0, 255).astype(np.uint8)
    return out
