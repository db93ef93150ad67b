"""What the signaling streams share: the series that a sample reads alone, and the blocks on its hourly tokens."""

import torch
from torch import Tensor, nn

from fusion.models.blocks import Batch, attention_blocks, drop_path_rates, init_linears
from fusion.models.config import SignalConfig
from fusion.models.trans_blstm import TransBLSTMBlock


def own_series(batch: Batch, grid: str) -> tuple[Tensor, Tensor]:
    """Return a sample's own series (B,T,3C) and where it is present, (B,T) bool.

    On grid "hex" it is the centre cell's. On grid "square" (URFC), where every place is one hour of a region's own
    week, it is the mean over all places: of each channel's values over the valid ones, of its two flags over all; a
    step is present if some place is.

    Args:
        batch: cube (B,T,3C,K,K) = [values, suppressed flags, missing flags], present (B,T,K,K) bool.
        grid: "hex" or "square".
    """
    cube, present = batch["cube"], batch["present"]
    if grid == "hex":
        centre = cube.shape[-1] // 2
        return cube[..., centre, centre], present[..., centre, centre]
    series = cube.mean(dim=(-2, -1))
    channels = cube.shape[2] // 3
    # values are 0 where they are not valid, so that the mean over the valid ones is the mean over all / their share
    share = 1 - series[..., channels : 2 * channels] - series[..., 2 * channels :]
    values = series[..., :channels] / share.clamp(min=1 / (cube.shape[-2] * cube.shape[-1]))  # one place at least
    return torch.cat([values, series[..., channels:]], dim=-1), present.flatten(-2).any(dim=-1)


def signal_blocks(config: SignalConfig) -> nn.ModuleList:
    """Return the blocks on a stream's tokens, lowest first: attention or TRANS-BLSTM, initialised alike."""
    if config.block == "attention":
        return attention_blocks(
            config.blocks, config.width, config.heads, config.mlp_ratio, config.dropout, config.drop_path
        )
    blocks = nn.ModuleList(
        TransBLSTMBlock(
            config.width,
            config.heads,
            variant=1 if config.block == "trans-blstm-1" else 2,
            mlp_ratio=config.mlp_ratio,
            blstm_input=config.blstm_input,
            blstm_width=config.blstm_width,
            norm=config.norm,
            dropout=config.dropout,
            drop_path=rate,
        )
        for rate in drop_path_rates(config.blocks, config.drop_path)
    )
    init_linears(blocks)
    return blocks
