from typing import Any

import pytest

from fusion.errors import ConfigError
from fusion.models.config import BiLSTMConfig, ConvLSTMConfig, InputSpec, NetworkConfig, VisionConfig


def test_a_configuration_survives_json(configs: dict[str, NetworkConfig]) -> None:
    import json

    for config in configs.values():
        assert NetworkConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_the_kind_of_the_signal_stream_is_kept() -> None:
    config = NetworkConfig.from_dict(NetworkConfig(signal=ConvLSTMConfig(peepholes=True)).to_dict())
    assert config.signal == ConvLSTMConfig(peepholes=True)
    assert NetworkConfig.from_dict(NetworkConfig(signal=BiLSTMConfig()).to_dict()).signal == BiLSTMConfig()


def test_a_size_in_words() -> None:
    assert VisionConfig.parse("vit 4x192, patch 16") == VisionConfig(depth=4, width=192, heads=3, patch=16)
    assert VisionConfig.parse("ViT 12x384") == VisionConfig(depth=12, width=384, heads=6, patch=16)
    assert VisionConfig.parse("vit_tiny_patch16_224", dropout=0.1) == VisionConfig("vit_tiny_patch16_224", dropout=0.1)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"vison": {}}, "vison"),
        ({"vision": {"deep": 3}}, "deep"),
        ({"signal": {"kind": "bilstm", "peepholes": True}}, "peepholes"),
        ({"signal": {"kind": "lstm"}}, "lstm"),
        ({"signal": "bilstm"}, "bilstm"),
        ({"vision": {}, "signal": {"kind": "bilstm"}, "fusion": "middle"}, "middle"),
        ({"vision": {}, "signal": {"kind": "bilstm"}}, "None"),
        ({"vision": {}, "fusion": "late"}, "late"),
        ({"vision": {}, "fusion_layer": -1}, "-1"),
        ({"vision": {}, "bottlenecks": 0}, "bottlenecks"),
        ({"vision": {}, "dropout": 1.0}, "1.0"),
        ({"vision": {"width": 100, "heads": 3}}, "100"),
        ({"vision": {"name": "vit_tiny_patch16_224", "depth": 4}}, "depth"),
        ({"vision": {"weights": "timm"}}, "timm"),
        ({"signal": {"kind": "convlstm", "blocks": -1}}, "-1"),
        ({"signal": {"kind": "convlstm", "hidden": 2.5}}, "2.5"),
        ({"vision": {}, "shared_blocks": "False"}, "shared_blocks is 'False': give true or false"),
        ({"vision": {"dropout": float("nan")}}, "VisionConfig.dropout is nan: give a finite number"),
        ({"vision": {"depth": 2.5}}, "VisionConfig.depth is 2.5: give a whole number or null"),
        ({"vision": {"width": True}}, "VisionConfig.width is True"),
        ({}, "stream"),
    ],
)
def test_a_wrong_option_is_named(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        NetworkConfig.from_dict(values)
    assert "\n" not in str(caught.value)


def test_a_neighbourhood_has_a_centre_and_a_known_grid() -> None:
    with pytest.raises(ConfigError, match="odd"):
        InputSpec(kernel=4)
    with pytest.raises(ConfigError, match="triangle"):
        InputSpec(grid="triangle")
    with pytest.raises(ConfigError, match="stepps"):
        InputSpec.from_dict({"stepps": 3})
