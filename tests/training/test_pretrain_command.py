"""`python -m fusion pretrain`: one line at the end, and one line for whatever is asked wrongly."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fusion.cli import main
from fusion.models.config import VisionConfig
from fusion.models.vision import build_vit
from fusion.models.weights import load_weights, read_about

SMALL = ["--size", "vit 1x32, patch 48", "--epochs", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, tiny_city_root: Path) -> Iterator[Path]:
    """A data folder that holds the tiny city, whose samples are extracted once for all tests of this file."""
    root = tmp_path_factory.mktemp("pretrain") / "data"
    shutil.copytree(tiny_city_root, root)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUSION_DATA", str(root))
        yield root
    torch.set_num_threads(threads)


def test_it_writes_weights_and_says_so_in_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, said, transductive in (
        (["--fold", "1", "--folds", "2", "--split", "random"], "without the test area of fold 1 of 2", False),
        (["--transductive"], "all: transductive", True),
    ):
        path = tmp_path / f"{transductive}.safetensors"
        assert main(["pretrain", *options, *SMALL, "--out", str(path)]) == 0
        captured = capsys.readouterr()
        assert captured.out.startswith(f"{path}: ")
        assert said in captured.out
        assert captured.out.count("\n") == 1
        about = read_about(path)
        assert about is not None
        assert about["transductive"] is transductive
        taken = load_weights(build_vit(VisionConfig.parse("vit 1x32, patch 48"), 96), path)
        assert taken.missing == taken.unexpected == ()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--out", "weights.pt"], ".safetensors"),
        (["--out", "w.safetensors", "--fold", "5"], "fold 5 of 5"),
        (["--out", "w.safetensors", "--folds", "1"], "at least 2"),
        (["--out", "w.safetensors", "--epochs", "0"], "epochs is 0"),
        (["--out", "w.safetensors", "--size", "vit_tiny"], "vit_tiny"),
        (["--out", "w.safetensors", "--city", "atlantis"], "zhengzhou-demo"),
        (["--out", "w.safetensors", "--split", "even"], "even"),
        (["--out", "w.safetensors", "--device", "tpu"], "tpu"),
        ([], "--out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_asked_wrongly_gets_one_line_and_exit_2(
    arguments: list[str], named: str, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data)
    assert main(["pretrain", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert named in captured.err
    assert captured.out == ""
    assert not list(data.glob("*.safetensors"))
