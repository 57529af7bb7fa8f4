"""How wrong an answer is."""

from __future__ import annotations

import torch

_FEWEST = 4.0


def penalty_focal_loss(logits: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Focal loss whose negatives weigh less the nearer they lie to a centre; each label counts alike.

    All of shape (B, labels, h, w). A label's share is divided by its own number of centres, so that a rare one is not
    drowned by a frequent one. Source: Zhou et al., Objects as Points, 2019, equation 1 (alpha 2, beta 4).
    """
    probability = torch.sigmoid(logits).clamp(1e-5, 1 - 1e-5)
    centre = (target >= 1.0).float()
    hit = centre * (1 - probability) ** 2 * torch.log(probability)
    miss = (1 - centre) * (1 - target) ** 4 * probability**2 * torch.log(1 - probability)
    centres = (centre * mask).sum(dim=(0, 2, 3)).clamp(min=_FEWEST)
    return -(((hit + miss) * mask).sum(dim=(0, 2, 3)) / centres).mean()
