"""Two small fits in closed form or nearly so, without a seed: ridge regression, and softmax regression by Newton."""

from __future__ import annotations

import numpy as np

NEWTON_STEPS = 12


def ridge(
    features: np.ndarray, targets: np.ndarray, weights: np.ndarray, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted least squares: features f32[n, d], targets f32[n, k], weights f32[n] -> (f32[k, d], f32[k]).

    The features are standardised first, so that `strength` means the same for all; that is folded into the result.
    """
    share = (weights / weights.sum()).astype(np.float32)
    mean = share @ features
    spread = _spread(share @ (features * features) - mean * mean)
    x = (features - mean) / spread
    centre = share @ targets
    weighted = x * share[:, None]
    gram = (x.T @ weighted).astype(np.float64) + strength * np.eye(x.shape[1])
    found = np.linalg.solve(gram, (weighted.T @ (targets - centre)).astype(np.float64)).T / spread
    return np.ascontiguousarray(found, np.float32), (centre - found @ mean).astype(np.float32)


def softmax_regression(
    features: np.ndarray, labels: np.ndarray, weights: np.ndarray, classes: int, strength: float = 1e-3
) -> tuple[np.ndarray, np.ndarray]:
    """Multinomial logistic regression: features f[n, d], labels int[n], weights f[n] -> (f32[k, d], f32[k])."""
    share = weights / weights.sum()
    mean = share @ features
    spread = _spread(share @ (features * features) - mean * mean)
    x = np.concatenate([(features - mean) / spread, np.ones((len(features), 1))], axis=1).astype(np.float64)
    d, wanted = x.shape[1], np.eye(classes)[labels]
    penalty = np.tile(np.r_[np.full(d - 1, strength), 1e-9], classes)
    theta = np.zeros(classes * d)
    for _ in range(NEWTON_STEPS):
        p = _softmax(x @ theta.reshape(classes, d).T)
        slope = ((p - wanted) * share[:, None]).T @ x
        curve = np.zeros((classes, d, classes, d))
        for a in range(classes):
            for b in range(a, classes):
                block = (x * (share * p[:, a] * ((a == b) - p[:, b]))[:, None]).T @ x
                curve[a, :, b, :] = block
                curve[b, :, a, :] = block
        step = np.linalg.solve(
            curve.reshape(classes * d, -1) + np.diag(penalty + 1e-9), slope.ravel() + penalty * theta
        )
        theta -= step
        if np.abs(step).max() < 1e-6:
            break
    found = theta.reshape(classes, d)
    weight = found[:, :-1] / spread
    return np.ascontiguousarray(weight, np.float32), (found[:, -1] - weight @ mean).astype(np.float32)


def temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The divisor of the logits f[n, k] under which the labels are likeliest (Guo et al., 2017)."""
    tried = np.exp(np.linspace(np.log(0.3), np.log(4.0), 120))
    losses = [-np.log(_softmax(logits / t)[np.arange(len(labels)), labels] + 1e-12).mean() for t in tried]
    return float(tried[int(np.argmin(losses))])


def _spread(variance: np.ndarray) -> np.ndarray:
    """Standard deviations; 1 for what never varies, so that nothing is read into it."""
    return np.where(variance > 1e-8, np.sqrt(np.maximum(variance, 1e-8)), 1.0).astype(np.float32)


def _softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
