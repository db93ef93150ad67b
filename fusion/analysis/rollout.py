"""Attention rollout on the chip (Abnar & Zuidema, ACL 2020, arXiv 2005.00928).

The attention weights are those of the very forward pass that answers: torch's attention function is watched while it
runs, and the weights are computed from the queries, keys and mask that it was given. No part of the model is copied or
changed. Watching is a matter of the calling thread alone, so that a network which several sessions share may predict
for the others meanwhile.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from fusion.analysis.findings import LIMITS, Rollout, rollout_limit
from fusion.analysis.forward import batch_probabilities
from fusion.errors import RunError
from fusion.samples.batches import make_batch
from fusion.samples.sampleset import SampleSet
from fusion.training.data import to_tensors
from fusion.training.predict import Predictor


def attention_rollout(predictor: Predictor, samples: SampleSet, row: int) -> Rollout:
    """Tell where on a sample's chip the image's class token drew from, for a model with a ViT.

    Each block's attention is averaged over its heads, mixed half and half with the identity for the residual path, and
    multiplied from the first block to the last; the class token's row is laid out on the chip. In fused blocks only the
    image tokens' attention to each other is followed, scaled up to 1: what flowed through bottlenecks or signaling
    tokens is left out, and `Rollout.elsewhere` says how much that was.

    Args:
        predictor: the model.
        samples: of the form that it reads.
        row: of the sample.

    Raises:
        RunError: the model reads no image or merges tokens, its blocks hide their attention, or the samples are not of
            the form that it was trained on.
    """
    if limit := rollout_limit(predictor.card.network):
        raise RunError(f"{predictor.card.experiment}: {LIMITS[limit]}")
    predictor.check(samples)
    batch = to_tensors(make_batch(samples, np.array([row]), predictor.scalers))
    stream: Any = predictor.network.streams["vision"]
    rows, columns = stream.stem.patch_embed.grid_size
    weights = watch_attention(stream.blocks, lambda: batch_probabilities(predictor, batch))
    own, elsewhere = zip(*(own_attention(block, 1 + rows * columns) for block in weights), strict=True)
    flow = roll_out(torch.stack(own))[0, 0].cpu().numpy()
    return Rollout(
        patches=flow[1:].reshape(rows, columns),
        class_share=float(flow[0]),
        elsewhere=torch.cat(elsewhere).cpu().numpy(),
    )


def roll_out(attention: Tensor) -> Tensor:
    """Return (B,N,N), rows adding up to 1: what each token at the top holds of each at the bottom.

    Args:
        attention: (L,B,N,N) of each block, lowest first, mean over heads, rows adding up to 1.
    """
    identity = torch.eye(attention.shape[-1], dtype=attention.dtype, device=attention.device)
    flow = identity.expand_as(attention[0])
    for block in attention:
        flow = (block + identity) / 2 @ flow
    return flow


def own_attention(weights: Tensor, tokens: int) -> tuple[Tensor, Tensor]:
    """Return the attention of the first N tokens to each other, (B,N,N), rows scaled up to 1, and what went elsewhere.

    Args:
        weights: (B,M,M') attention, mean over heads; the first N of either axis are the own tokens.
        tokens: N.

    Returns:
        The own attention, and the share (B,) that the own tokens gave to others, their mean.
    """
    own = weights[:, :tokens, :tokens]
    kept = own.sum(dim=-1, keepdim=True)
    return own / kept, 1 - kept.mean(dim=(1, 2))


def watch_attention(blocks: Iterable[nn.Module], forward: Callable[[], object]) -> list[Tensor]:
    """Return each block's attention weights during a forward pass, float64, mean over heads.

    Where both modalities share a block, the weights are those of its first use, which is the image's.

    Args:
        blocks: of the vision stream (`fusion.models.blocks.AttentionBlock`), lowest first.
        forward: runs the pass, in this thread.

    Returns:
        A tensor (B,M,M') a block: M tokens that ask, M' that are asked. The image's class token and patches come first
        on either axis, then what else took part.

    Raises:
        RunError: a block's attention was not seen.
    """
    inner = [getattr(block, "block", block) for block in blocks]
    with _Watch(inner) as watch:
        forward()
    if unseen := [index for index in range(len(inner)) if index not in watch.seen]:
        raise RunError(
            f"attention of image block {unseen[0] + 1} of {len(inner)} cannot be seen: its attention is not torch's "
            "scaled_dot_product_attention after a norm; choose a run with a plain ViT"
        )
    return [watch.seen[index] for index in range(len(inner))]


class _Watch(TorchFunctionMode):
    """Keeps the weights of the first attention that follows each block's norm, in this thread."""

    def __init__(self, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.seen: dict[int, Tensor] = {}
        self._blocks = blocks
        self._current: int | None = None
        self._thread = threading.get_ident()
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> Self:
        for index, block in enumerate(self._blocks):
            norm = getattr(block, "norm1", None)
            if isinstance(norm, nn.Module):  # called before the attention by every use of a block, whole or crosswise
                self._hooks.append(norm.register_forward_pre_hook(self._marker(index)))
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for hook in self._hooks:
            hook.remove()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        if func is functional.scaled_dot_product_attention and self._current is not None:
            self.seen.setdefault(self._current, attention_weights(*args, **options))
            self._current = None
        return func(*args, **options)

    def _marker(self, index: int) -> Callable[[nn.Module, Any], None]:
        def mark(module: nn.Module, inputs: Any) -> None:
            if threading.get_ident() == self._thread:
                self._current = index

        return mark


def attention_weights(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Return the weights (B,M,M') that `scaled_dot_product_attention` gives `value`, float64, mean over heads.

    Args: as of torch's function; query (B,heads,M,E), key (B,heads,M',E). Dropout is left out.

    Raises:
        RunError: causal or grouped attention, which no block of a ViT has.
    """
    if is_causal or enable_gqa:
        raise RunError("causal or grouped attention cannot be rolled out on a chip: choose a run with a plain ViT")
    scores = query.cpu().double() @ key.cpu().double().mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    if attn_mask is not None:
        mask = attn_mask.cpu()
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask.double()
    return scores.softmax(dim=-1).mean(dim=1)
