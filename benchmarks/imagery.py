"""Imagery ingest against GDAL's own driver for cloud-optimised GeoTIFFs: time and peak memory.

    python benchmarks/imagery.py [--size 6000] [--rounds 3] [--threads 2] [--source utm|mercator]

A seeded image of `size` x `size` pixels, three bands of bytes with the texture of a town (blocks of several sizes and
grain), tiled, not compressed. `ingest` is the whole command: drawing, overviews, reading back, fingerprint, report and
commit. `gdal` is one copy with the driver COG: the same compression, predictor, blocks, overviews and threads, and
nothing else. With `--source mercator` the image is in EPSG:3857 and both warp it to the city's UTM zone: the peer
through a warped VRT, bilinear. Each call is a process of its own; imports are not timed. Rounds are interleaved and the
ratio is taken round by round; printed are medians and ranges.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from devices import peak_mb
from numpy.typing import NDArray
from rasterio.transform import Affine
from rasterio.windows import Window

CORNERS = {"utm": (32649, 740_000.0, 3_850_000.0), "mercator": (3857, 12_651_000.0, 4_140_000.0)}
TILE_PX = 2048


def write_image(path: Path, size: int, source: str) -> None:
    """Write the image, a tile at a time."""
    epsg, left, top = CORNERS[source]
    random = np.random.default_rng(0)
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "width": size, "height": size, "crs": epsg}
    tiling = {"tiled": True, "blockxsize": 512, "blockysize": 512, "photometric": "rgb", "bigtiff": "if_safer"}
    with rasterio.open(path, "w", transform=Affine(1, 0, left, 0, -1, top), **profile, **tiling) as image:
        for row in range(0, size, TILE_PX):
            for column in range(0, size, TILE_PX):
                height, width = min(TILE_PX, size - row), min(TILE_PX, size - column)
                window = Window(column, row, width, height)
                image.write(texture(random)[:, :height, :width], window=window)


def texture(random: np.random.Generator) -> NDArray[np.uint8]:
    """Draw (3,2048,2048) bytes: blocks of 8, 32 and 128 pixels, and grain."""
    values = 120.0 + 6.0 * random.standard_normal((3, TILE_PX, TILE_PX), dtype=np.float32)
    for edge, contrast in ((8, 8.0), (32, 15.0), (128, 25.0)):
        coarse = contrast * random.standard_normal((3, TILE_PX // edge, TILE_PX // edge), dtype=np.float32)
        values += np.repeat(np.repeat(coarse, edge, axis=1), edge, axis=2)
    return np.clip(values, 1, 255).astype(np.uint8)


def run_ingest(image: Path, folder: Path) -> None:
    """Bring the image into a city."""
    from fusion.ingest.imagery import ingest_imagery

    ingest_imagery([image], folder / "town")


def run_gdal(image: Path, folder: Path) -> None:
    """Copy the image with GDAL's driver, warped first if it is not in the zone."""
    import rasterio.shutil
    from rasterio.vrt import WarpedVRT

    options = {"compress": "DEFLATE", "predictor": "2", "blocksize": 512, "overview_resampling": "AVERAGE"}
    options |= {"driver": "COG", "bigtiff": "IF_SAFER", "num_threads": str(len(os.sched_getaffinity(0)))}
    with rasterio.Env(GDAL_CACHEMAX=256 << 20), rasterio.open(image) as source:
        if source.crs.to_epsg() == 32649:
            rasterio.shutil.copy(source, folder / "peer.tif", **options)
            return
        with WarpedVRT(source, crs=32649, resampling=rasterio.enums.Resampling.bilinear, nodata=0) as warped:
            rasterio.shutil.copy(warped, folder / "peer.tif", **options)


WAYS = {"gdal": run_gdal, "ingest": run_ingest}


def child(way: str, image: Path, folder: Path, threads: int) -> None:
    """Do one way in this process, and print what it took."""
    import fusion.ingest.imagery  # noqa: F401

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    wall, processors = time.perf_counter(), time.process_time()
    WAYS[way](image, folder)
    taken = {"wall_s": time.perf_counter() - wall, "processor_s": time.process_time() - processors}
    print(json.dumps(taken | {"peak_mb": peak_mb()}))


def main() -> None:
    """Time both ways in turn and print ratios."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--size", type=int, default=6000)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=multiprocessing.cpu_count())
    arguments.add_argument("--source", choices=sorted(CORNERS), default="utm")
    arguments.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.child:
        way, image, folder = chosen.child
        child(way, Path(image), Path(folder), chosen.threads)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = folder / "image.tif"
        write_image(image, chosen.size, chosen.source)
        taken: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(chosen.rounds):
            for way in WAYS:
                command = [sys.executable, __file__, "--threads", str(chosen.threads), "--child", way]
                environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
                done = subprocess.run(
                    [*command, str(image), name], env=environment, stdout=subprocess.PIPE, text=True, check=True
                )
                taken[way].append(json.loads(done.stdout))
        print(
            f"{chosen.size:,} x {chosen.size:,} px, {chosen.source}, {chosen.threads} threads, {chosen.rounds} rounds"
        )
        for way, calls in taken.items():
            ratios = {
                key: [own[key] / peer[key] for own, peer in zip(calls, taken["gdal"], strict=True)]
                for key in ("wall_s", "processor_s")
            }
            print(
                f"{way:7} {statistics.median(call['wall_s'] for call in calls):7.2f} s; against GDAL's driver, time "
                f"{statistics.median(ratios['wall_s']):5.2f} ({min(ratios['wall_s']):.2f} to "
                f"{max(ratios['wall_s']):.2f}), processor time {statistics.median(ratios['processor_s']):5.2f}; "
                f"peak memory {max(call['peak_mb'] for call in calls):.0f} MB"
            )


if __name__ == "__main__":
    main()
