"""A modality that is absent: one learned token stands for it, whatever its input holds."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fusion.models.config import BiLSTMConfig, ConvLSTMConfig, InputSpec, NetworkConfig, SignalConfig, VisionConfig
from fusion.models.network import Network, build_network

MakeBatch = Callable[..., dict[str, Tensor]]
BARE = BiLSTMConfig(width=16, heads=2, hidden=5)
TOKENS = ConvLSTMConfig(width=16, heads=2, mlp_ratio=2.0, hidden=5, blocks=2)
RECURRENT = ConvLSTMConfig(width=16, heads=2, mlp_ratio=2.0, hidden=5, blocks=2, block="trans-blstm-2")
KINDS: list[tuple[str, SignalConfig, float]] = [
    ("late", BARE, 0.0),
    ("late-mean", TOKENS, 0.0),
    ("late-gated", BARE, 0.0),
    ("joint", TOKENS, 0.0),
    ("joint", TOKENS, 0.5),
    ("cross", TOKENS, 0.0),
    ("cross", RECURRENT, 0.0),
    ("bottleneck", TOKENS, 0.0),
    ("bottleneck", TOKENS, 0.5),
    ("bottleneck", RECURRENT, 0.0),
]


def network_of(
    vision: VisionConfig, spec: InputSpec, fusion: str, signal: SignalConfig, merge: float, tokens: bool = True
) -> Network:
    config = NetworkConfig(vision, signal, fusion, fusion_layer=0, merge=merge, absent_tokens=tokens)
    network = build_network(config, spec).double().eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network


@pytest.mark.parametrize(("fusion", "signal", "merge"), KINDS)
def test_what_is_absent_is_not_read(
    vision: VisionConfig, spec: InputSpec, make_batch: MakeBatch, fusion: str, signal: SignalConfig, merge: float
) -> None:
    network = network_of(vision, spec, fusion, signal, merge)
    batch = make_batch(spec)
    gone = torch.tensor([True, False, True, False])
    for modality, keys in (("signal", ("cube", "present")), ("vision", ("image",))):
        other = {**batch, **{key: batch[key].roll(1, dims=0) for key in keys}}
        mixed = {key: torch.where(gone.view(-1, *[1] * (v.ndim - 1)), other[key], v) for key, v in batch.items()}
        absent = {f"absent_{modality}": gone}

        present, found, again = network(batch), network({**batch, **absent}), network({**mixed, **absent})

        torch.testing.assert_close(again, found, atol=1e-12, rtol=0)
        torch.testing.assert_close(found[~gone], present[~gone], atol=1e-12, rtol=0)
        assert ((found - present)[gone].abs().amax(dim=1) > 1e-3).all()
        # the other modality still speaks
        assert (found[0] - found[2]).abs().max() > 1e-3


@pytest.mark.parametrize(("fusion", "signal", "merge"), KINDS)
def test_without_both_every_sample_is_the_same_and_the_tokens_learn(
    vision: VisionConfig, spec: InputSpec, make_batch: MakeBatch, fusion: str, signal: SignalConfig, merge: float
) -> None:
    network = network_of(vision, spec, fusion, signal, merge)
    both = torch.ones(4, dtype=torch.bool)

    logits = network({**make_batch(spec), "absent_vision": both, "absent_signal": both})
    logits.square().sum().backward()

    torch.testing.assert_close(logits, logits[:1].expand_as(logits), atol=1e-12, rtol=0)
    for stream in network.streams.values():
        assert stream.absent is not None
        assert stream.absent.grad is not None
        assert stream.absent.grad.isfinite().all()
        assert stream.absent.grad.any()


@pytest.mark.parametrize(("fusion", "signal", "merge"), KINDS)
def test_a_network_without_the_tokens_ignores_the_keys(
    vision: VisionConfig, spec: InputSpec, make_batch: MakeBatch, fusion: str, signal: SignalConfig, merge: float
) -> None:
    network = network_of(vision, spec, fusion, signal, merge, tokens=False)
    batch, both = make_batch(spec), torch.ones(4, dtype=torch.bool)
    found = network({**batch, "absent_vision": both, "absent_signal": both})
    torch.testing.assert_close(found, network(batch), atol=0, rtol=0)
