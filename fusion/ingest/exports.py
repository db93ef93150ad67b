"""Everything that a user may name as one export: files, folders of files, zip archives; each becomes a `Table`."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from fusion.errors import InputError
from fusion.ingest.archives import MOST_MEMBERS, Member, is_hidden, list_members, unpack
from fusion.ingest.columns import find_roles
from fusion.ingest.opening import NoRowsError, is_table, open_table
from fusion.ingest.options import SignalingOptions
from fusion.ingest.presets import Preset
from fusion.ingest.spelling import ending_of, new_path
from fusion.ingest.stamps import find_stamp
from fusion.ingest.tables import Table

_LISTED = 5
# Text that lies beside data to explain it.
_NOTE = re.compile(r"read.?me|licen[cs]e|changelog|说明|字典|须知", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """One file of an export: on disk at `path`, or a member of an archive; `label` is where a date may stand."""

    name: str
    label: str
    size_bytes: int
    path: Path | None = None
    member: Member | None = None


def open_exports(
    paths: Sequence[Path], preset: Preset, options: SignalingOptions, scratch: Path
) -> tuple[list[Table], list[str]]:
    """Open every file of an export.

    Args:
        paths: files, folders or zip archives.
        preset: names the columns of files without a header.
        options: name columns; they decide which sheet of a workbook is taken.
        scratch: a folder for what has to be unpacked or rewritten.

    Returns:
        `(tables, notes)`: the tables, in the order named and by name within folders and archives, and lines on what
        was passed over.

    Raises:
        InputError: a file cannot be used, or none has rows.
    """
    sources, notes = list_sources(paths, scratch)

    def open_source(source: Source) -> Table:
        path = source.path or unpack(source.member, new_path(scratch, ending_of(source.name)))  # type: ignore[arg-type]
        table = open_table(path, preset, scratch, source.name, lambda table: find_roles(table, preset, options))
        if source.member is not None and table.path != path:
            path.unlink()
        return table

    tables, more = open_all(sources, open_source)
    return tables, notes + more


def open_all(sources: Sequence[Source], open_source: Callable[[Source], Table]) -> tuple[list[Table], list[str]]:
    """Open sources, pass over those that have a header only, and say what their names tell of the time.

    Raises:
        InputError: a file cannot be used, or none has rows.
    """
    tables: list[Table] = []
    empty: list[NoRowsError] = []
    notes = []
    for source in sources:
        try:
            table = open_source(source)
        except NoRowsError as error:
            empty.append(error)
            continue
        if table.others:
            notes.append(f"{table.name} is read; not so the sheets {', '.join(table.others[:_LISTED])}")
        tables.append(replace(table, stamp=find_stamp(source.label)))
    if not tables:
        raise empty[0]
    if empty:
        first = ", ".join(str(error).split(" has ", 1)[0] for error in empty[:_LISTED])
        notes.append(f"{len(empty)} files have no rows ({first}{', ...' if len(empty) > _LISTED else ''})")
    return tables, notes


def list_sources(paths: Sequence[Path], scratch: Path) -> tuple[list[Source], list[str]]:
    """List the files of an export without reading them, and say which are passed over.

    Raises:
        InputError: a path is absent, an archive is refused, or nothing is there to read.
    """
    found: list[Source] = []
    passed: list[str] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside, other = _in_folder(path, scratch)
        elif path.suffix.lower() == ".zip" and path.is_file():
            inside, other = _in_archive(path, path.name, scratch)
        else:
            inside, other = [_on_disk(path, path.name, f"{path.resolve().parent.name}/{path.name}")], []
        if not inside:
            raise InputError(
                f"{path.name} has no file that can be read{f' (only {_some(other)})' if other else ''}: give .csv, "
                ".tsv, .txt (or these with .gz), .parquet, .xlsx or .xls"
            )
        found += inside
        passed += other
    if len(found) > MOST_MEMBERS:
        raise InputError(f"{len(found)} files were named, more than {MOST_MEMBERS}: ingest fewer, or join them")
    notes = [f"{len(passed)} files that are no tables were passed over: {_some(passed)}"] if passed else []
    return found, notes


def _in_folder(folder: Path, scratch: Path) -> tuple[list[Source], list[str]]:
    found: list[Source] = []
    passed: list[str] = []
    top = folder.resolve().name
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        label = path.relative_to(folder).as_posix()
        name = f"{top}/{label}"
        if is_hidden(label):
            continue
        if path.suffix.lower() == ".zip":
            inside, other = _in_archive(path, name, scratch)
            found += inside
            passed += other
        elif _is_wanted(label):
            found.append(_on_disk(path, name, name))
        else:
            passed.append(name)
    return found, passed


def _in_archive(path: Path, name: str, scratch: Path) -> tuple[list[Source], list[str]]:
    members = list_members(path, scratch)
    wanted = [member for member in members if _is_wanted(member.name)]
    sources = [
        Source(f"{name}/{member.name}", _label(f"{path.stem}/{member.name}"), member.info.file_size, member=member)
        for member in wanted
    ]
    return sources, [f"{name}/{member.name}" for member in members if not _is_wanted(member.name)]


def _on_disk(path: Path, name: str, label: str) -> Source:
    return Source(name, _label(label), path.stat().st_size if path.is_file() else 0, path=path)


def _label(name: str) -> str:
    return name[: len(name) - len(ending_of(name))]


def _is_wanted(label: str) -> bool:
    name = PurePosixPath(label).name
    return is_table(name) and not (name.lower().endswith(".txt") and _NOTE.search(name))


def _some(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
