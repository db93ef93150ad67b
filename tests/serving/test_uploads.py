"""Uploads: whatever a client calls its files, they land in one folder under plain names, and go again."""

import io
import os
import time
from pathlib import Path

import pytest

from fusion.errors import InputError
from fusion.serving import uploads
from fusion.serving.uploads import discard, incoming, new_upload, safe_name, store, sweep, waiting


def put(root: Path, token: str, name: str, content: bytes = b"a,b\n1,2\n") -> Path:
    return store(root, token, name, io.BytesIO(content), len(content))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("export.csv", "export.csv"),
        ("信令 2021-07.csv", "信令 2021-07.csv"),
        ("../../etc/passwd", "passwd"),
        ("/etc/cron.d/job", "job"),
        ("C:\\Users\\me\\export.csv", "export.csv"),
        ("..\\..\\evil.csv", "evil.csv"),
        (".hidden.csv", "hidden.csv"),
        ("a\x00b\n.csv", "ab.csv"),
        ("inv\u202eoice.csv", "invoice.csv"),
        ('what?<"|*:.csv', "what_" + "_" * 5 + ".csv"),
        ("trailing.csv. . ", "trailing.csv"),
        ("e\u0301.csv", "\u00e9.csv"),
    ],
)
def test_a_name_keeps_its_last_part_only(given: str, kept: str) -> None:
    assert safe_name(given) == kept


@pytest.mark.parametrize("given", ["", ".", "..", "../", "a/..", "\x00", "...", "  ", "??", "\\"])
def test_what_is_no_name_is_refused(given: str) -> None:
    with pytest.raises(InputError, match="is no name of a file"):
        safe_name(given)


@pytest.mark.parametrize("given", ["信" * 200 + ".csv", "a" + ".b" * 400, "x" * 500])
def test_a_long_name_is_cut_to_what_file_systems_take(given: str) -> None:
    cut = safe_name(given)

    assert 0 < len(cut.encode()) <= 150
    assert given.startswith(cut[:5])


def test_a_long_name_keeps_its_ending() -> None:
    assert safe_name("信" * 200 + ".csv").endswith("信.csv")


def test_files_are_stored_whole_and_same_names_side_by_side(tmp_path: Path) -> None:
    token = new_upload(tmp_path)

    first = put(tmp_path, token, "../a.csv", b"first")
    second = put(tmp_path, token, "a.csv", b"second")

    assert first.read_bytes() == b"first"
    assert second.read_bytes() == b"second"
    assert [(one.name, one.size_bytes) for one in waiting(tmp_path, token)] == [("a-2.csv", 6), ("a.csv", 5)]
    assert first.parent == tmp_path / ".uploads" / token


def test_a_token_that_is_none_opens_nothing(tmp_path: Path) -> None:
    for token in ("..", "../miniature", "", "0" * 15, "G" * 16):
        with pytest.raises(InputError, match="names no upload"):
            put(tmp_path, token, "a.csv")


def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = new_upload(tmp_path)
    monkeypatch.setattr(uploads, "RESERVE_BYTES", 1 << 60)

    with pytest.raises(InputError, match=r"a\.csv has 0 MB and the disk .* MB left"):
        put(tmp_path, token, "a.csv")
    assert waiting(tmp_path, token) == []
    assert not list((tmp_path / ".uploads" / token).iterdir())


def test_more_than_was_announced_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = new_upload(tmp_path)
    checks: list[int] = []
    monkeypatch.setattr(uploads, "_CHUNK_BYTES", 4)
    monkeypatch.setattr(uploads, "_check_room", lambda folder, name, size: checks.append(size))

    store(tmp_path, token, "a.csv", io.BytesIO(b"x" * 12), 4)

    assert checks == [4, 4, 4]  # what was announced, then every chunk beyond it


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_MOST_FILES", 1)
    token = new_upload(tmp_path)
    put(tmp_path, token, "a.csv")

    with pytest.raises(InputError, match="up to 1 files"):
        put(tmp_path, token, "b.csv")


def test_old_uploads_go_and_busy_or_young_ones_stay(tmp_path: Path) -> None:
    old, busy, young = (new_upload(tmp_path) for _ in range(3))
    for token in (old, busy):
        put(tmp_path, token, "a.csv")
        day_ago = time.time() - uploads.KEEP_S - 60
        os.utime(tmp_path / ".uploads" / token, (day_ago, day_ago))

    assert sweep(tmp_path, busy={busy}) == 1
    assert waiting(tmp_path, old) == []
    assert len(waiting(tmp_path, busy)) == 1
    discard(tmp_path, busy)
    assert sorted(path.name for path in (tmp_path / ".uploads").iterdir()) == [young]
    with pytest.raises(InputError, match="a day old"):
        put(tmp_path, old, "a.csv")


def test_incoming_lists_files_and_folders_but_no_link_and_nothing_hidden(tmp_path: Path) -> None:
    base = tmp_path / "incoming"
    (base / "july").mkdir(parents=True)
    (base / ".git").mkdir()
    (base / "july" / "20210724.csv").write_text("12345")
    (base / "all.parquet").write_text("123")
    (base / ".secret").write_text("x")
    (tmp_path / "outside.csv").write_text("x")
    (base / "link.csv").symlink_to(tmp_path / "outside.csv")
    (base / "linked").symlink_to(tmp_path)

    found = [(one.name, one.size_bytes, one.is_folder) for one in incoming(tmp_path)]

    assert found == [("all.parquet", 3, False), ("july/", 5, True), ("july/20210724.csv", 5, False)]


def test_without_the_folder_nothing_is_listed(tmp_path: Path) -> None:
    assert incoming(tmp_path) == []
