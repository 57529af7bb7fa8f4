"""How wrong an answer is."""

from __future__ import annotations

import torch


def penalty_focal_loss(logits: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Focal loss whose negatives weigh less the nearer they lie to a centre, per object.

    All of shape (B, labels, h, w). Source: Zhou et al., Objects as Points, 2019, equation 1 (alpha 2, beta 4).
    """
    probability = torch.sigmoid(logits).clamp(1e-5, 1 - 1e-5)
    centre = (target >= 1.0).float()
    hit = centre * (1 - probability) ** 2 * torch.log(probability)
    miss = (1 - centre) * (1 - target) ** 4 * probability**2 * torch.log(1 - probability)
    objects = (centre * mask).sum().clamp(min=1.0)
    return -((hit + miss) * mask).sum() / objects
