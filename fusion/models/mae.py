"""Masked autoencoding of chips (He et al., CVPR 2022, arXiv 2111.06377): what a ViT learns without any label.

Most patches of a chip are hidden; the encoder reads the rest, a light decoder paints the hidden ones. The encoder is
the very VisionTransformer that a vision stream is built of, so that its weights go from one to the other unchanged;
the decoder is thrown away.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, mse_loss

import fusion.models.torchvision_guard  # noqa: F401  before timm
from fusion.errors import ConfigError
from fusion.models.blocks import Norm

# isort: split
from timm.layers import build_sincos2d_pos_embed
from timm.models.vision_transformer import Block, VisionTransformer

_HEAD_WIDTH = 32
_SMALLEST_VARIANCE = 1e-6  # of a patch, as in the authors' code: a flat patch is divided by 0.001, not by 0


@dataclass(frozen=True)
class Masking:
    """Which patches of each chip are hidden.

    Attributes:
        kept: (B,V) numbers of the visible patches, in random order.
        hidden: (B,N) bool, True = hidden from the encoder.
    """

    kept: Tensor
    hidden: Tensor


class MaskedAutoencoder(nn.Module):
    """An encoder on visible patches and a decoder that paints the hidden ones.

    Attributes:
        vit: the encoder, a VisionTransformer with one class token and no head.
        patch: edge of a patch, pixels.
        patches: N, patches a chip.
    """

    def __init__(
        self, vit: VisionTransformer, mask: float = 0.75, decoder_width: int = 96, decoder_blocks: int = 2
    ) -> None:
        """Wrap `vit`, whose positions are set to the paper's fixed sines and cosines.

        Args:
            vit: the encoder, in place.
            mask: share of the patches that is hidden.
            decoder_width: a multiple of 32, its heads being 32 wide.
            decoder_blocks: depth of the decoder.

        Raises:
            ConfigError: no patch would be hidden or none visible, or a decoder that cannot be built.
        """
        super().__init__()
        if decoder_width <= 0 or decoder_width % _HEAD_WIDTH or decoder_blocks < 1:
            raise ConfigError(
                f"a decoder of {decoder_blocks} blocks of {decoder_width}: give a multiple of {_HEAD_WIDTH} and a block"
            )
        self.vit = vit
        self.patch = vit.patch_embed.patch_size[0]
        self.grid = vit.patch_embed.grid_size
        self.patches = vit.patch_embed.num_patches
        self.visible = self.patches - round(mask * self.patches)
        if not 0 < self.visible < self.patches:
            raise ConfigError(
                f"hiding {mask:.0%} of {self.patches} patches leaves {self.visible}: choose another share, or smaller "
                "patches"
            )
        _fix_positions(vit)
        self.bridge = nn.Linear(vit.embed_dim, decoder_width)
        self.mask_token = nn.Parameter(torch.empty(1, 1, decoder_width))
        self.register_buffer("positions", _positions(self.grid, decoder_width), persistent=False)
        self.decoder = nn.Sequential(
            *(Block(decoder_width, decoder_width // _HEAD_WIDTH, qkv_bias=True, norm_layer=Norm)
              for _ in range(decoder_blocks)),
            Norm(decoder_width),
        )  # fmt: skip
        self.pixels = nn.Linear(decoder_width, 3 * self.patch**2)
        nn.init.normal_(self.mask_token, std=0.02)
        for module in (self.bridge, self.decoder, self.pixels):
            for layer in (part for part in module.modules() if isinstance(part, nn.Linear)):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    positions: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """Return the loss, a scalar, of normalised chips (B,3,P,P) under a mask drawn from torch's generator."""
        patches = self.patchify(images)
        masking = self.draw_mask(len(images), images.device)
        painted = self.decode(self.encode(patches, masking.kept), masking.kept)
        return self.loss(patches, painted, masking.hidden)

    def draw_mask(self, number: int, device: torch.device | None = None) -> Masking:
        """Draw, for each of `number` chips, which patches stay: the same share of each, uniformly at random."""
        kept = torch.rand(number, self.patches, device=device).argsort(dim=1)[:, : self.visible]
        hidden = torch.ones(number, self.patches, dtype=torch.bool, device=device)
        return Masking(kept, hidden.scatter_(1, kept, value=False))

    def encode(self, patches: Tensor, kept: Tensor) -> Tensor:
        """Return the encoder's tokens (B,1+V,D), the class token first, of the visible patches alone.

        Args:
            patches: (B,N,3*patch*patch) of `patchify`; hidden ones are not read.
            kept: (B,V) numbers of the visible patches.
        """
        vit = self.vit
        kernel = vit.patch_embed.proj  # (D,3,p,p), one step a patch: on a patch laid flat it is a matrix
        x = linear(_take(patches, kept), kernel.weight.permute(0, 2, 3, 1).flatten(1), kernel.bias)
        x = vit.patch_embed.norm(x)
        assert vit.cls_token is not None  # a vision stream's ViT has one
        first = vit.cls_token.expand(len(x), -1, -1)
        if vit.pos_embed is not None:
            x = x + _take(vit.pos_embed[:, -self.patches :].expand(len(x), -1, -1), kept)
            if vit.pos_embed.shape[1] > self.patches:  # some models have no position for the class token
                first = first + vit.pos_embed[:, :1]
        x = torch.cat([first.to(x.dtype), x], dim=1)
        x = vit.norm_pre(x)
        for block in vit.blocks:
            x = block(x)
        encoded: Tensor = vit.norm(x)
        return encoded

    def decode(self, tokens: Tensor, kept: Tensor) -> Tensor:
        """Return painted patches (B,N,3*patch*patch), on the scale of `normalise_patches`, of the encoder's tokens."""
        x = self.bridge(tokens)
        spread = self.mask_token.to(x.dtype).repeat(len(x), self.patches, 1)
        spread = spread.scatter(1, kept[..., None].expand(-1, -1, x.shape[2]), x[:, 1:])
        x = torch.cat([x[:, :1], spread], dim=1) + self.positions.to(x.dtype)
        painted: Tensor = self.pixels(self.decoder(x)[:, 1:])
        return painted

    def loss(self, patches: Tensor, painted: Tensor, hidden: Tensor) -> Tensor:
        """Return the mean squared error over the hidden patches; a painter of flat patches scores about 1.

        Args:
            patches: (B,N,3*patch*patch) of `patchify`.
            painted: as many, on the scale of `normalise_patches`.
            hidden: (B,N) bool, which of them count.
        """
        return mse_loss(painted[hidden].float(), normalise_patches(patches[hidden].float()))

    def patchify(self, images: Tensor) -> Tensor:
        """Return the patches (B,N,3*patch*patch) of chips (B,3,P,P): row by row, and within one row, column, colour."""
        rows, columns = self.grid
        x = images.unflatten(3, (columns, self.patch)).unflatten(2, (rows, self.patch))  # (B,3,rows,p,columns,p)
        return x.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)

    def unpatchify(self, patches: Tensor) -> Tensor:
        """Return the chips (B,3,P,P) of patches (B,N,3*patch*patch): the inverse of `patchify`."""
        x = patches.unflatten(2, (self.patch, self.patch, 3)).unflatten(1, self.grid)  # (B,rows,columns,p,p,3)
        return x.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)


def normalise_patches(patches: Tensor) -> Tensor:
    """Return what is to be painted: each patch (...,3*patch*patch) less its own mean, over its own deviation."""
    apart = patches - patches.mean(dim=-1, keepdim=True)
    variance = apart.square().sum(dim=-1, keepdim=True) / (patches.shape[-1] - 1)  # as `var`, three times as fast
    return apart / (variance + _SMALLEST_VARIANCE).sqrt()


def _take(x: Tensor, places: Tensor) -> Tensor:
    return x.gather(1, places[..., None].expand(-1, -1, x.shape[2]))


def _positions(grid: tuple[int, int], width: int) -> Tensor:
    """Return sines and cosines of row and column, (1,1+N,width); zeros for the class token."""
    flat = build_sincos2d_pos_embed(list(grid), dim=width, interleave_sin_cos=False, dtype=torch.float32)
    return torch.cat([torch.zeros(1, width), flat])[None]


def _fix_positions(vit: VisionTransformer) -> None:
    """Give an encoder fixed positions: a decoder that must know where is no place to learn them from a few chips."""
    if vit.pos_embed is None or vit.embed_dim % 4:  # sines and cosines of two coordinates need four numbers
        return
    table = _positions(vit.patch_embed.grid_size, vit.embed_dim)
    with torch.no_grad():
        vit.pos_embed.copy_(table[:, -vit.pos_embed.shape[1] :])  # some have no position for the class token
    vit.pos_embed.requires_grad_(False)
