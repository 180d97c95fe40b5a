"""PyTorch 2.14.1: the gradient of an eval-mode batch norm, flatten and transpose is wrong for one image, in float64 as well.

Two copies of the image have the right one, and so do finite differences.
"""
import torch
from torch.nn.functional import batch_norm

torch.manual_seed(0)
weights, gain, image = torch.randn(1, 49, 8).double(), torch.rand(8).double(), torch.randn(1, 8, 7, 7).double()
zeros, ones = torch.zeros(8).double(), torch.ones(8).double()


def score(x):
    return (batch_norm(x, zeros, ones, gain, None, False).flatten(2).transpose(1, 2) * weights).sum()


direction, step = torch.randn_like(image), 1e-6
slope = (score(image + step * direction) - score(image - step * direction)) / (2 * step)
for copies in (1, 2):
    x = image.repeat(copies, 1, 1, 1).requires_grad_(True)
    (found,) = torch.autograd.grad(score(x), x)
    print(f"{copies} image(s): slope {(found[0] * direction[0]).sum():.6f}, by differences {slope:.6f}")
