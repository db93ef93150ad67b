"""Zip archives, folders' files and gzip of exports, and what is refused of them.

An archive may come from anyone: its names are never used as paths, what it says of sizes is not believed while it is
unpacked, and what would fill the disk, hide or lead elsewhere is refused in one line.
"""

import shutil
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from fusion.errors import InputError

# Deflate cannot exceed 1,032 : 1; hourly counts as text reach some 20 : 1.
MOST_RATIO = 200.0
_RATIO_FROM_BYTES = 64 << 20
MOST_MEMBERS = 20_000
_WORKBOOK_BYTES = 4 << 30
_SPARE_BYTES = 256 << 20
_CHUNK_BYTES = 1 << 20
_NESTED = (".zip", ".gz", ".tgz", ".tar", ".7z", ".rar", ".bz2", ".xz", ".zst")
_UTF8_NAME = 0x800
_ENCRYPTED = 0x1


@dataclass(frozen=True)
class Member:
    """A file in an archive: `name` as it was written by whoever packed it."""

    archive: Path
    info: zipfile.ZipInfo
    name: str


def is_hidden(name: str) -> bool:
    """Tell whether a file is one that systems leave behind: of macOS, Windows or a version control."""
    parts = name.replace("\\", "/").split("/")
    return any(part.startswith((".", "~$")) or part == "__MACOSX" for part in parts) or parts[-1].lower() in (
        "thumbs.db",
        "desktop.ini",
    )


def list_members(path: Path, scratch: Path, most: int | None = None) -> list[Member]:
    """List the files of a zip archive, by name, without hidden ones.

    Args:
        path: the archive.
        scratch: where they would be unpacked.
        most: members that it may have; None: `MOST_MEMBERS`.

    Raises:
        InputError: it is torn, encrypted, larger unpacked than its size or the disk allow, or a name leads elsewhere.
    """
    name = path.name
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise InputError(f"{name} cannot be read as a zip archive ({error}): pack it again") from None
    most = MOST_MEMBERS if most is None else most
    if len(infos) > most:
        raise InputError(f"{name} has {len(infos)} members, more than {most}: pack fewer files into one archive")
    found = []
    for info in infos:
        member = _real_name(info)
        _check_name(name, member, info)
        if not info.is_dir() and not is_hidden(member):
            _check_member(name, member, info)
            found.append(Member(path, info, member.replace("\\", "/")))
    _check_total(name, sum(member.info.file_size for member in found), path.stat().st_size, scratch)
    if not found:
        raise InputError(f"{name} has no files: pack the exports into it")
    return sorted(found, key=lambda member: member.name)


def unpack(member: Member, target: Path) -> Path:
    """Write a member to a path of our own choice.

    Raises:
        InputError: it is torn, or longer than the archive says or the disk allows.
    """
    name = f"{member.archive.name}/{member.name}"
    done = 0
    try:
        with zipfile.ZipFile(member.archive) as archive, archive.open(member.info) as source, target.open("wb") as file:
            while chunk := source.read(_CHUNK_BYTES):
                done += len(chunk)
                if done > member.info.file_size:
                    raise InputError(f"{name} is longer than its archive says: pack it again")
                check_room(target.parent, name)
                file.write(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{name} cannot be unpacked ({error}): pack it again") from None
    return target


def read_head(member: Member, target: Path, most_bytes: int) -> Path:
    """Write the beginning of a member, at most so many bytes; the last line may be cut.

    Raises:
        InputError: it is torn.
    """
    try:
        with zipfile.ZipFile(member.archive) as archive, archive.open(member.info) as source:
            head = source.read(most_bytes)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        name = f"{member.archive.name}/{member.name}"
        raise InputError(f"{name} cannot be unpacked ({error}): pack it again") from None
    target.write_bytes(head)
    return target


def check_gzip(path: Path, name: str) -> None:
    """Refuse a gzip file that unpacks to far more than a table of counts would.

    Its beginning is unpacked; all of it only where the length that its last bytes tell is suspicious too.

    Raises:
        InputError: it is such a file.
    """
    packed = path.stat().st_size
    with path.open("rb") as file:
        file.seek(-min(4, packed), 2)
        told = int.from_bytes(file.read(4), "little")
        file.seek(0)
        engine = zlib.decompressobj(wbits=31)
        done = taken = 0
        # A file that is not packed unusually is known by its beginning; the last bytes of a torn one tell nothing.
        most = packed if told > MOST_RATIO * packed else int(_RATIO_FROM_BYTES / MOST_RATIO)
        while taken < most and not engine.eof and (data := file.read(min(_CHUNK_BYTES, most - taken))):
            taken += len(data)
            while data:
                done += len(engine.decompress(data, _CHUNK_BYTES))
                data = engine.unconsumed_tail
                if done > max(_RATIO_FROM_BYTES, MOST_RATIO * (taken - len(data))):
                    raise InputError(
                        f"{name} unpacks to more than {MOST_RATIO:.0f} times its size, as no table of counts does: "
                        "it is refused"
                    )


def check_workbook(path: Path, name: str) -> None:
    """Refuse a workbook (a zip archive of XML) that would not fit the memory.

    Raises:
        InputError: it is such a file.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(info.file_size for info in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise InputError(f"{name} cannot be read as a workbook ({error}): save it again") from None
    check_ratio(name, total, path.stat().st_size)
    if total > _WORKBOOK_BYTES:
        raise InputError(f"{name} has {total / 2**30:.1f} GB of XML: export it as CSV or Parquet")


def check_room(folder: Path, name: str, more_bytes: int = 0) -> None:
    """Refuse to unpack what would fill the disk.

    Raises:
        InputError: there is no room for `more_bytes` and something to spare.
    """
    free = shutil.disk_usage(folder).free
    if free < more_bytes + _SPARE_BYTES:
        needed = f"{more_bytes / 2**30:.1f} GB unpacked, and " if more_bytes else ""
        raise InputError(f"{name}: {needed}{free / 2**30:.1f} GB are free on the disk: make room, or give fewer files")


def _real_name(info: zipfile.ZipInfo) -> str:
    """The name in the packer's encoding: Windows in Chinese writes GBK, and zipfile takes it for cp437."""
    if info.flag_bits & _UTF8_NAME:
        return info.filename
    raw = info.filename.encode("cp437")
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return info.filename


def _check_name(archive: str, member: str, info: zipfile.ZipInfo) -> None:
    parts = member.replace("\\", "/").split("/")
    leads_away = ".." in parts or parts[0] == "" or (len(parts[0]) > 1 and parts[0][1] == ":")
    if leads_away or any(ord(letter) < 32 for letter in member):
        raise InputError(f"{archive} has a member named {member!r}, which leads out of the archive: it is refused")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise InputError(f"{archive}/{member} is a link: pack the file itself")


def _check_member(archive: str, member: str, info: zipfile.ZipInfo) -> None:
    if info.flag_bits & _ENCRYPTED:
        raise InputError(f"{archive}/{member} is encrypted: pack it without a password")
    if Path(member).suffix.lower() in _NESTED:
        raise InputError(f"{archive}/{member} is an archive in an archive: unpack it first")
    check_ratio(f"{archive}/{member}", info.file_size, info.compress_size)


def _check_total(name: str, total: int, packed: int, scratch: Path) -> None:
    check_ratio(name, total, packed)
    check_room(scratch, name, total)


def check_ratio(name: str, total: int, packed: int) -> None:
    """Refuse what unpacks to far more than a table of counts would.

    Args:
        name: what the user calls it.
        total, packed: bytes unpacked, and packed.

    Raises:
        InputError: it does.
    """
    if total > _RATIO_FROM_BYTES and total > MOST_RATIO * packed:
        raise InputError(
            f"{name} unpacks to {total / 2**20:,.0f} MB, {total / max(packed, 1):,.0f} times its size, as no table of "
            "counts does: it is refused"
        )
