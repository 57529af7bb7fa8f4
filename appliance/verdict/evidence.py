"""How strongly a count speaks for more than false findings: a number that ranks slides without ties."""

from __future__ import annotations

import math


def excess(n: float, expected: float, rate_cv: float = 0.0) -> float:
    """Signed root of the deviance of `n` from the `expected` number of false findings; 0 where they agree.

    On a slide with false findings only it is close to a standard normal variable; it grows without bound with n and
    falls with `expected`. rate_cv: coefficient of variation of the false rate between slides (0: pure Poisson).
    With r = 1 / rate_cv² the count is negative binomial with mean `expected` and
        deviance = 2 [n ln(n / expected) - (n + r) ln((n + r) / (expected + r))],
    and for rate_cv = 0 it is 2 [n ln(n / expected) - (n - expected)].
    Source: McCullagh and Nelder, Generalized Linear Models, deviance of the two distributions. `expected` must be > 0.
    """
    if expected <= 0.0 or n < 0.0:
        msg = f"n ({n}) must not be negative, and expected ({expected}) must be positive"
        raise ValueError(msg)
    first = n * math.log(n / expected) if n > 0.0 else 0.0
    if rate_cv > 0.0:
        r = 1.0 / rate_cv**2
        second = (n + r) * math.log((n + r) / (expected + r))
    else:
        second = n - expected
    return math.copysign(math.sqrt(max(0.0, 2.0 * (first - second))), n - expected)


def squash(x: float, centre: float, half_scale: float) -> float:
    """Strictly increasing map of the real line onto (0, 1): 0.5 at `centre`, 0.75 one `half_scale` above, 0.25 below.

    An algebraic curve, because a logistic one would round all strong slides to the same 1.0.
    """
    return 0.5 + 0.5 * (x - centre) / (half_scale + abs(x - centre))
