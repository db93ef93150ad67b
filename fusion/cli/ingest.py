"""`python -m fusion ingest ...`: raw exports into a city."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fusion.cli.console import AsJson, CityName, progress_line, show_json
from fusion.errors import InputError

ingest = typer.Typer(rich_markup_mode=None, help="Bring raw exports into a city.")


@ingest.command("signaling")
def ingest_signaling_command(
    files: Annotated[
        list[Path], typer.Argument(help="Exports: CSV, TSV, Parquet, Excel, .gz, .zip, or folders of these.")
    ],
    city: Annotated[str | None, typer.Option("--city", help="The city's name; only --preview can do without.")] = None,
    preset: Annotated[
        Literal["daas", "devices", "milan"], typer.Option(help="Column names and rules of a known export.")
    ] = "daas",
    time: Annotated[str | None, typer.Option(help="Column of the hour, or two: date+hour.")] = None,
    lon: Annotated[str | None, typer.Option(help="Column of the longitude.")] = None,
    lat: Annotated[str | None, typer.Option(help="Column of the latitude.")] = None,
    h3: Annotated[str | None, typer.Option("--h3", help="Column of the H3 cell, instead of lon and lat.")] = None,
    wkt: Annotated[str | None, typer.Option(help="Column of points or polygons as well-known text.")] = None,
    grid_id: Annotated[
        str | None, typer.Option(help="Column of a grid id, or two: row+col; with --grid or --grid-origin.")
    ] = None,
    grid: Annotated[Path | None, typer.Option(help="GeoJSON of that grid.")] = None,
    grid_property: Annotated[str | None, typer.Option(help="The grid id's property in the GeoJSON.")] = None,
    grid_origin: Annotated[str | None, typer.Option(help="Corner of a regular grid: LON,LAT.")] = None,
    grid_size: Annotated[str | None, typer.Option(help="Its squares: 500m, 250x500m, 0.005deg.")] = None,
    grid_order: Annotated[
        Literal["row_col", "col_row"], typer.Option(help="How its ids are written, as pairs of numbers.")
    ] = "row_col",
    grid_columns: Annotated[
        int | None, typer.Option(help="Squares in a row, where an id is one number, counted along the rows.")
    ] = None,
    grid_first: Annotated[int | None, typer.Option(help="The first number: 0 in pairs, 1 alone.")] = None,
    grid_corner: Annotated[Literal["sw", "nw"], typer.Option(help="Which corner it is, and rows count from.")] = "sw",
    value: Annotated[list[str] | None, typer.Option(help="Column of counts; repeat for several.")] = None,
    user: Annotated[str | None, typer.Option(help="Column of the device (preset devices); never stored.")] = None,
    tower: Annotated[str | None, typer.Option(help="Column of the cell tower, or two: lac+ci; with --towers.")] = None,
    towers: Annotated[Path | None, typer.Option(help="Tower table: id, lon, lat. Goes into no file.")] = None,
    tower_property: Annotated[str | None, typer.Option(help="The id's column in the tower table.")] = None,
    datum: Annotated[str, typer.Option(help="wgs84, gcj02 or bd09.")] = "wgs84",
    timezone: Annotated[str | None, typer.Option(help="IANA zone of times without an offset.")] = None,
    resolution: Annotated[int | None, typer.Option(help="H3 resolution; a new city has 9.")] = None,
    min_count: Annotated[
        list[str] | None,
        typer.Option(help="Suppress sums of this and below (15; milan 0); of one: outflow=5. Repeat for several."),
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="Of each process, all in all: 1GB, 800MB; what suits the machine else.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Processes to divide the files among; one already uses all cores.")
    ] = None,
    backend: Annotated[Literal["local", "ray"], typer.Option(help="Where those processes run.")] = "local",
    preview: Annotated[bool, typer.Option("--preview", help="Show what is recognised, and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring hourly counts into a city.

    Example: python -m fusion ingest signaling export.csv --city zhengzhou-2021 --datum gcj02 --preview
    """
    from fusion.ingest.engine import parse_memory
    from fusion.ingest.options import Resources, SignalingOptions, read_thresholds

    threshold, thresholds = read_thresholds(min_count or ())
    options = SignalingOptions(
        preset=preset, time=time, lon=lon, lat=lat, h3=h3, wkt=wkt, grid_id=grid_id, grid=grid,
        grid_property=grid_property, grid_origin=grid_origin, grid_size=grid_size, grid_order=grid_order,
        grid_columns=grid_columns, grid_first=grid_first, grid_corner=grid_corner,
        values=tuple(value or ()), user=user, tower=tower, towers=towers, tower_property=tower_property,
        datum=datum, timezone=timezone, resolution=resolution, min_count=threshold,
        min_counts=thresholds,
    )  # fmt: skip
    if preview:
        from fusion.cli.preview import print_preview
        from fusion.ingest.preview import preview_signaling

        print_preview(preview_signaling(files, _city_path(city) if city else None, options), as_json)
        return
    if city is None:
        raise InputError("--city is missing: name the city that the counts go into, or look first with --preview")
    from fusion.ingest.signaling import ingest_signaling

    resources = Resources(parse_memory(memory) if memory else None, jobs, backend)
    quality = ingest_signaling(files, _city_path(city), options, progress_line("signaling"), resources)
    if as_json:
        show_json(quality)
        return
    typer.echo(
        f"{city}: {quality['rows_read']:,} rows read, {quality['rows_taken']:,} taken, "
        f"{quality['rows_rejected']:,} rejected {quality['rejected_by_reason'] or ''}".rstrip()
    )


@ingest.command("imagery")
def ingest_imagery_command(
    files: Annotated[list[Path], typer.Argument(help="GeoTIFFs (or other georeferenced images) of 3 or more bands.")],
    city: CityName,
    bands: Annotated[
        str | None, typer.Option(help="Bands of red, green and blue, from 1: 4,3,2. Else by their colour.")
    ] = None,
    stretch: Annotated[
        str, typer.Option(help="Percentiles that values of more than 8 bits are stretched between.")
    ] = "2,98",
    pixel_m: Annotated[float | None, typer.Option(help="Edge of a pixel in metres; the finest file's else.")] = None,
    timezone: Annotated[str | None, typer.Option(help="IANA zone of a city that the imagery makes.")] = None,
    resolution: Annotated[int | None, typer.Option(help="H3 resolution of a city that it makes; else 9.")] = None,
    as_json: AsJson = False,
) -> None:
    """Bring overhead imagery into a city.

    Example: python -m fusion ingest imagery tiles/*.tif --city zhengzhou-2021 --bands 4,3,2
    """
    from fusion.ingest.imagery import ImageryOptions, ingest_imagery

    chosen = None if bands is None else _numbers(bands, "--bands", 3)
    low, high = _numbers(stretch, "--stretch", 2)
    options = ImageryOptions(
        pixel_m=pixel_m,
        stretch=(low, high),
        bands=None if chosen is None else (int(chosen[0]), int(chosen[1]), int(chosen[2])),
        timezone=timezone,
        resolution=resolution,
    )
    quality = ingest_imagery(files, _city_path(city), options, progress=progress_line("imagery"))
    if as_json:
        show_json(quality)
        return
    part = quality["imagery"]
    typer.echo(
        f"{city}: imagery of {part['width']:,} x {part['height']:,} px of {part['pixel_m']:g} m from {len(files)} "
        f"file(s), {part['share_valid']:.1%} valid"
    )


@ingest.command("functions")
def ingest_functions_command(
    file: Annotated[
        Path,
        typer.Argument(
            help="Polygons or points (GeoJSON, GeoPackage, Shapefile, also zipped), or a table of points or H3 cells."
        ),
    ],
    city: CityName,
    field: Annotated[str | None, typer.Option(help="Column of the class; levels of one: 大类+中类.")] = None,
    mapping: Annotated[
        str | None, typer.Option(help="TOML file: class in the file = function id; or euluc, amap, which ship.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of a file that has several.")] = None,
    lon: Annotated[str | None, typer.Option(help="Column of the longitude; alone: of both, lon,lat.")] = None,
    lat: Annotated[str | None, typer.Option(help="Column of the latitude.")] = None,
    h3: Annotated[str | None, typer.Option("--h3", help="Column of H3 cells.")] = None,
    wkt: Annotated[str | None, typer.Option(help="Column of points or polygons as well-known text.")] = None,
    share: Annotated[str | None, typer.Option(help="Column of the share of the cell, 0 to 1, with H3 cells.")] = None,
    datum: Annotated[str, typer.Option(help="wgs84, gcj02 (Amap, Tencent) or bd09 (Baidu).")] = "wgs84",
    timezone: Annotated[str | None, typer.Option(help="IANA zone of a city that the functions make.")] = None,
    resolution: Annotated[int | None, typer.Option(help="H3 resolution of a city that they make.")] = None,
    as_json: AsJson = False,
) -> None:
    """Bring labelled functions into a city: of each cell the class with most ground, most points, or the largest share.

    Example: python -m fusion ingest functions poi.csv --city zhengzhou-2021 --field type --mapping amap --datum gcj02
    """
    from fusion.ingest.functions import FunctionOptions, ingest_functions

    options = FunctionOptions(
        field=field, mapping=mapping, layer=layer, lon=lon, lat=lat, h3=h3, wkt=wkt, share=share, datum=datum,
        timezone=timezone, resolution=resolution,
    )  # fmt: skip
    quality = ingest_functions(file, _city_path(city), options, progress=progress_line("functions"))
    if as_json:
        show_json(quality)
        return
    part = quality["functions"]
    unit = next(unit for unit in ("polygons", "points", "rows") if f"{unit}_read" in part)
    typer.echo(
        f"{city}: {part[f'{unit}_read']:,} {unit} read, {part[f'{unit}_taken']:,} taken, "
        f"{part[f'{unit}_rejected']:,} rejected {part['rejected_by_reason'] or ''}".rstrip()
        + f"; {part['cells']:,} cells {part['cells_by_class']}"
    )


@ingest.command("urfc")
def ingest_urfc_command(
    source: Annotated[Path, typer.Argument(help="The folder, or a zip of it, with train_image and train_visit.")],
    city: CityName,
    resize: Annotated[bool, typer.Option(help="Bring images of another size to 100 x 100 px.")] = False,
    drop_blank: Annotated[bool, typer.Option(help="Refuse regions whose image is one colour.")] = False,
    jobs: Annotated[int | None, typer.Option(help="Threads; one a processor by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a city without a map of URFC's images and visit files: regions to train on.

    Example: python -m fusion ingest urfc URFC --city urfc
    """
    from fusion.extract.urfc import UrfcOptions, ingest_urfc

    options = UrfcOptions(resize=resize, drop_blank=drop_blank, jobs=jobs)
    quality = ingest_urfc(source, _city_path(city), options, progress=progress_line("urfc"))
    if as_json:
        show_json(quality)
        return
    part = quality["urfc"]
    typer.echo(
        f"{city}: {part['regions']:,} regions of {part['files_read']:,} files, {part['files_rejected']:,} rejected "
        f"{part['files_rejected_by_reason'] or ''}".rstrip()
        + f"; {part['entries_taken']:,} of {part['entries_read']:,} entries; {len(part['missing_dates'])} dates with "
        f"missing hours; {part['blank_images']:,} blank images"
    )


def _numbers(text: str, option: str, count: int) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
        if len(numbers) != count or (option == "--bands" and not all(number.is_integer() for number in numbers)):
            raise ValueError
    except ValueError:
        example = "4,3,2" if option == "--bands" else "2,98"
        raise InputError(
            f"{option} {text}: {count} numbers with commas between are needed, such as {example}"
        ) from None
    return numbers


def _city_path(name: str) -> Path:
    from fusion.city import check_name, data_root

    return data_root() / check_name(name)
