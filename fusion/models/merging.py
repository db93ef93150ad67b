"""Token merging (ToMe: Bolya et al., ICLR 2023, arXiv 2210.09461): a stream's redundant tokens become one.

The user asks what becomes of the redundancy inside a modality: neighbouring patches of one roof, the hours of a flat
night. Merging takes it out before the modalities meet, and the accuracy that is lost says how redundant it was.
"""

import torch
from torch import Tensor, nn


def merge_tokens(x: Tensor, mask: Tensor | None, share: float) -> tuple[Tensor, Tensor]:
    """Take a share of a stream's own tokens away by merging similar ones; the first token, its readout, stays.

    A round of bipartite soft matching takes away at most half, so a larger share takes several. A merged token is the
    mean of those it stands for. Invalid tokens have size 0: they go first and weigh nothing. Two differences from the
    paper: it merges a little in each block, this once, before fusion; and it compares the keys of attention, this the
    tokens themselves, since no attention runs here.

    Args:
        x: (B,N,D).
        mask: (B,N) bool, which are valid; None: all.
        share: share of the N - 1 tokens to take away, rounded to whole tokens; one at least stays.

    Returns:
        The tokens that are left (B,N',D), in their old order, and log sizes (B,N'), -inf for invalid ones: given to a
        block as its `mask`, they are the paper's proportional attention, in which a token of size s counts s times.
    """
    own = x[:, 1:]
    sizes = torch.ones_like(x[..., 0]) if mask is None else mask.to(x.dtype)
    first, sizes = sizes[:, :1], sizes[:, 1:]
    left = merged_count(own.shape[1], share)
    while own.shape[1] > left:
        own, sizes = merge_round(own, sizes, min(own.shape[1] - left, own.shape[1] // 2))
    return torch.cat([x[:, :1], own], dim=1), torch.cat([first, sizes], dim=1).log()


def merged_count(count: int, share: float) -> int:
    """Return how many of `count` tokens are left when a share of them is merged away: one at least, if there is any."""
    return max(count - round(share * count), min(count, 1))


def merge_round(x: Tensor, sizes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Merge `count` of the tokens into others by one bipartite soft matching.

    Valid tokens are counted off in turn: the 1st, 3rd, ... may receive, the 2nd, 4th, ... may be merged, each into the
    receiver with the largest cosine, the best matches first. Tokens of size 0 go before all of them.

    Args:
        x: (B,N,D).
        sizes: (B,N), how many tokens each stands for; 0: invalid.
        count: at most N // 2.

    Returns:
        (B,N-count,D) in the old order, and their sizes.
    """
    gone, target = match_tokens(x, sizes, count)
    weighted = x * sizes[..., None]
    index = gone[..., None].expand(-1, -1, x.shape[-1])
    target_index = target[..., None].expand_as(index)
    weighted = weighted.scatter_add(1, target_index, weighted.gather(1, index))
    sizes = sizes.scatter_add(1, target, sizes.gather(1, gone))
    stays = torch.ones_like(sizes, dtype=torch.bool).scatter(1, gone, False)
    kept = torch.argsort(~stays, dim=1, stable=True)[:, : x.shape[1] - count]
    sizes = sizes.gather(1, kept)
    merged = weighted.gather(1, kept[..., None].expand(-1, -1, x.shape[-1]))
    return merged / sizes.clamp(min=1)[..., None], sizes


@torch.no_grad()
def match_tokens(x: Tensor, sizes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return which tokens are merged, (B,count), and into which, (B,count); arguments as of `merge_round`."""
    valid = sizes > 0
    receives = valid & (valid.cumsum(dim=1) % 2 == 1)
    # half precision would make ties of near likenesses, and the choice another on each device
    with torch.autocast(x.device.type, enabled=False):
        unit = nn.functional.normalize(x.to(torch.promote_types(x.dtype, torch.float32)), dim=-1)
        likeness = (unit @ unit.mT).masked_fill(~receives[:, None], -torch.inf)
    best, target = likeness.max(dim=-1)
    best = best.masked_fill(receives, -torch.inf).masked_fill(~valid, torch.inf)
    # topk leaves the order of equals to the device; here the earlier goes first
    gone = best.argsort(dim=1, descending=True, stable=True)[:, :count]
    return gone, target.gather(1, gone)
