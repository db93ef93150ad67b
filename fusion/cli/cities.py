"""Commands about cities: demo, quality, cities."""

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
    """Show what ingest saw and what the checks of the written activity found.

    A report of an earlier version is completed here, without being stored. Exit 2 where a report does not add up.

    Example: python -m fusion quality --city zhengzhou-2021 --json
    """
    from fusion.city import open_city
    from fusion.cli.quality_report import report_lines
    from fusion.errors import CityError
    from fusion.ingest.inspection import inspect_city
    from fusion.ingest.quality import accounts, load_quality

    opened = open_city(city)
    report = load_quality(opened)
    if "coverage" not in report and opened.has_activity:
        report |= inspect_city(opened)
    if as_json:
        show_json(report)
    else:
        for line in report_lines(report, {flag.date: flag.en for flag in opened.info.flagged}):
            typer.echo(line)
    if wrong := accounts(report):
        raise CityError(f"{city}: the report does not add up ({'; '.join(wrong)}): ingest the data again")


def cities(
    delete: Annotated[str | None, typer.Option(help="Remove this city and its runs.")] = None, as_json: AsJson = False
) -> None:
    """List the cities and what they take on disk, or delete one.

    Example: python -m fusion cities
    """
    from fusion.city import delete_city, list_cities, open_city
    from fusion.serving.storage import disk_use

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
            "bytes": disk_use(city)["total"],
        }
        for city in list_cities()
    ]
    show_table(rows, as_json, empty="no city yet: make one with `python -m fusion demo`")
