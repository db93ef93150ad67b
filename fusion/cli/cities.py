"""Commands about cities: demo, quality, cities."""

import json
from typing import Annotated

import typer

from fusion.cli.console import DEMO, AsJson, CityName, progress_line, show_json, show_table


def demo(
    city: CityName = DEMO,
    seed: Annotated[int, typer.Option(help="The same seed gives the same rows and pixels.")] = 0,
    force: Annotated[bool, typer.Option(help="Replace a city of that name.")] = False,
) -> None:
    """Build the synthetic demo city.

    Example: python -m fusion demo --city zhengzhou-demo --seed 0
    """
    from fusion.city import data_root
    from fusion.synthetic.demo import build_demo

    built = build_demo(data_root(), name=city, seed=seed, force=force, progress=progress_line("demo city"))
    typer.echo(f"{built.name}: {built.path}")


def quality(city: CityName, as_json: AsJson = False) -> None:
    """Show what ingest saw: rows read, taken and rejected, by reason.

    Example: python -m fusion quality --city zhengzhou-2021 --json
    """
    from fusion.city import open_city
    from fusion.ingest.quality import load_quality

    report = load_quality(open_city(city))
    if as_json:
        show_json(report)
    else:
        for key, entry in report.items():
            typer.echo(f"{key}: {json.dumps(entry, ensure_ascii=False)}")


def cities(
    delete: Annotated[str | None, typer.Option(help="Remove this city and its runs.")] = None, as_json: AsJson = False
) -> None:
    """List the cities and what they take on disk, or delete one.

    Example: python -m fusion cities
    """
    from fusion.city import delete_city, list_cities, open_city

    if delete is not None:
        delete_city(open_city(delete))
        typer.echo(f"{delete}: deleted")
        return
    rows = [
        {
            "city": city.name,
            "provenance": city.info.provenance,
            "hours": city.info.hours,
            "imagery": city.has_imagery,
            "functions": city.has_functions,
            "bytes": city.disk_bytes(),
        }
        for city in list_cities()
    ]
    show_table(rows, as_json, empty="no city yet: make one with `python -m fusion demo`")
