"""Masked autoencoding against patches cut by hand, and against what may not leak: hidden pixels."""

import pytest
import torch
from torch import Tensor

import fusion.models.torchvision_guard  # noqa: F401  before timm
from fusion.errors import ConfigError
from fusion.models.config import VisionConfig
from fusion.models.mae import MaskedAutoencoder, normalise_patches
from fusion.models.vision import build_vit

# isort: split
from timm.models.vision_transformer import VisionTransformer

CHIP_PX, PATCH, PATCHES = 16, 4, 16


def autoencoder(mask: float = 0.75, **options: int) -> MaskedAutoencoder:
    vit = build_vit(VisionConfig(depth=2, width=16, heads=2, mlp_ratio=2.0, patch=PATCH), CHIP_PX)
    return MaskedAutoencoder(vit, mask, **{"decoder_width": 32, "decoder_blocks": 1, **options}).eval()


def chips(number: int = 3) -> Tensor:
    return torch.randn(number, 3, CHIP_PX, CHIP_PX)


def test_patches_are_squares_read_row_by_row_and_go_back() -> None:
    model, images = autoencoder(), chips()

    patches = model.patchify(images)

    assert patches.shape == (3, PATCHES, 3 * PATCH**2)
    for number in (0, 3, 4, 15):
        row, column = divmod(number, CHIP_PX // PATCH)
        square = images[:, :, PATCH * row : PATCH * (row + 1), PATCH * column : PATCH * (column + 1)]
        torch.testing.assert_close(patches[:, number], square.permute(0, 2, 3, 1).flatten(1), atol=0, rtol=0)
    torch.testing.assert_close(model.unpatchify(patches), images, atol=0, rtol=0)


def test_a_perfect_painting_costs_nothing_and_a_flat_one_about_one() -> None:
    model, patches = autoencoder(), autoencoder().patchify(5 + 3 * chips())
    hidden = model.draw_mask(3).hidden
    perfect = (patches - patches.mean(2, keepdim=True)) / patches.std(2, keepdim=True)

    assert float(model.loss(patches, perfect, hidden)) == pytest.approx(0, abs=1e-8)
    # n numbers of sample variance 1 have a mean square of (n-1)/n
    assert float(model.loss(patches, torch.zeros_like(patches), hidden)) == pytest.approx(47 / 48, rel=1e-4)


def test_only_hidden_patches_count() -> None:
    model, patches = autoencoder(), autoencoder().patchify(chips())
    hidden = torch.zeros(3, PATCHES, dtype=torch.bool)
    hidden[1, 7] = True
    painted = normalise_patches(patches)
    painted[0] += 9
    painted[1, :7] += 9
    assert float(model.loss(patches, painted, hidden)) == pytest.approx(0, abs=1e-8)
    painted[1, 7] += 2
    assert float(model.loss(patches, painted, hidden)) == pytest.approx(4, rel=1e-4)


def test_a_flat_patch_has_a_finite_target() -> None:
    assert normalise_patches(torch.full((1, 2, 48), 7.0)).abs().max() == 0


@pytest.mark.parametrize(("mask", "visible"), [(0.75, 4), (0.5, 8), (0.9, 2)])
def test_masks_hide_exactly_their_share_at_random(mask: float, visible: int) -> None:
    masking = autoencoder(mask).draw_mask(400)
    assert masking.kept.shape == (400, visible)
    assert (masking.hidden.sum(1) == PATCHES - visible).all()
    assert not masking.hidden.gather(1, masking.kept).any()  # what is kept is not hidden, so nothing is kept twice
    share = masking.hidden.float().mean(0)
    assert (share - (1 - visible / PATCHES)).abs().max() < 0.1  # four deviations of a share of 400


def test_the_encoder_does_not_read_hidden_pixels() -> None:
    model, patches = autoencoder(), autoencoder().patchify(chips())
    masking = model.draw_mask(3)
    before = model.encode(patches, masking.kept)

    other = torch.where(masking.hidden[..., None], torch.full_like(patches, torch.nan), patches)

    torch.testing.assert_close(model.encode(other, masking.kept), before, atol=0, rtol=0)
    seen = patches + ~masking.hidden[..., None]
    assert (model.encode(seen, masking.kept) - before).abs().max() > 1e-3


@pytest.mark.parametrize("no_embed_class", [False, True])
def test_with_all_patches_in_order_the_encoder_is_timms(no_embed_class: bool) -> None:
    sizes = {"img_size": CHIP_PX, "patch_size": PATCH, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 0}
    vit = VisionTransformer(**sizes, no_embed_class=no_embed_class, pre_norm=True)
    model, images = MaskedAutoencoder(vit, decoder_width=32).eval(), chips()
    order = torch.arange(PATCHES).expand(3, -1)
    torch.testing.assert_close(
        model.encode(model.patchify(images), order), vit.forward_features(images), atol=1e-5, rtol=1e-5
    )


def test_the_decoder_puts_every_visible_token_in_its_place() -> None:
    """With two masks that keep the same patches in another order, the painting is the same."""
    model, patches = autoencoder(), autoencoder().patchify(chips())
    kept = model.draw_mask(3).kept
    turned = kept.flip(1)
    first, second = (model.decode(model.encode(patches, order), order) for order in (kept, turned))
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-5)
    swapped = model.decode(model.encode(patches, kept), turned)  # the places of others: another painting
    assert (swapped - first).abs().max() > 1e-3


def test_positions_are_fixed_and_tell_all_patches_apart() -> None:
    model = autoencoder()
    assert not model.vit.pos_embed.requires_grad
    assert (model.vit.pos_embed[0, 0] == 0).all()
    assert (torch.cdist(model.vit.pos_embed[0, 1:], model.vit.pos_embed[0, 1:]) + 9 * torch.eye(PATCHES)).min() > 0.1


def test_stripes_are_learned() -> None:
    """Chips of one wave each, whose phase any visible patch gives away: the loss must fall far below a flat one's."""
    torch.set_num_threads(1)
    model = autoencoder(0.5, decoder_blocks=2).train()
    phase = torch.rand(64, 1, 1, 1) * 2 * torch.pi
    images = torch.sin(torch.arange(CHIP_PX) * 2 * torch.pi / 5 + phase).expand(64, 3, CHIP_PX, CHIP_PX)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for _ in range(120):
        loss = model(images)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 0.9
    assert min(losses[-5:]) < 0.5


@pytest.mark.parametrize(
    ("mask", "options", "message"),
    [
        (0.01, {}, "hiding 1% of 16 patches leaves 16"),
        (0.99, {}, "leaves 0"),
        (0.75, {"decoder_width": 40}, "multiple of 32"),
        (0.75, {"decoder_blocks": 0}, "0 blocks"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(mask: float, options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        autoencoder(mask, **options)
    assert "\n" not in str(caught.value)
