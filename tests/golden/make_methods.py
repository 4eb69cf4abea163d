# SPDX-License-Identifier: MIT
#
# Makes the trajectories of torch/ that are not in meta.json: by PyTorch 1.13, but for what it does not have by NumPy,
# straight from the papers: Lion (Chen et al. 2023, arXiv:2302.06675, Algorithm 2), Schedule-Free AdamW (Defazio et al.
# 2024, arXiv:2405.15682, Algorithm 1) and Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon); in f64, over
# the same gradients. Each file has the parameters after 1, 2, 10, 100 and 500 steps: of Schedule-Free's both y, and x in
# a file of its own; Muon's, whose matrices take their gradients from the same numbers in a row, after 200 at the end.
#
# usage: cd tests/golden && python3 make_methods.py
import numpy as np
import torch

GRADS = np.load("torch/grads.npy")
START = np.load("torch/p0.npy")
SAVED = (1, 2, 10, 100, 500)
torch.set_default_dtype(torch.float64)  # of what optimizers keep beside their slots


def by_torch(optimizer):
    p = torch.tensor(START, requires_grad=True)
    o = optimizer([p])
    for g in GRADS:
        p.grad = torch.tensor(g)
        o.step()
        yield p.detach().numpy().copy()


def lion(lr, beta1, beta2, decay):
    p, m = START.copy(), np.zeros_like(START)
    for g in GRADS:
        p = p - lr * (np.sign(beta1 * m + (1 - beta1) * g) + decay * p)
        m = beta2 * m + (1 - beta2) * g
        yield p


def schedule_free(lr, beta1, beta2, eps, warmup, decay, which):
    y, v = START.copy(), np.zeros_like(START)
    x, z = START.copy(), START.copy()
    weights = 0
    for t, g in enumerate(GRADS, 1):
        rate = lr * min(1, t / warmup) if warmup else lr
        v = beta2 * v + (1 - beta2) * g * g
        z = z - rate * (g / (np.sqrt(v / (1 - beta2**t)) + eps) + decay * y)
        weights += rate**2
        x = (1 - rate**2 / weights) * x + rate**2 / weights * z
        y = (1 - beta1) * z + beta1 * x
        yield {"x": x, "y": y}[which]


def orthogonal(u, steps, eps):
    x = u.T if u.shape[0] > u.shape[1] else u
    x = x / max(np.sqrt((x * x).sum()), eps)
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if u.shape[0] > u.shape[1] else x


def muon(rows, cols, lr=0.02, mu=0.95, nesterov=True, steps=5, eps=1e-7, rms=False, decay=0.1):
    n = rows * cols
    p, m = np.resize(START, (rows, cols)), np.zeros((rows, cols))
    factor = 0.2 * np.sqrt(max(rows, cols)) if rms else np.sqrt(max(1, rows / cols))
    for t in range(200):
        g = GRADS.ravel()[t * n : (t + 1) * n].reshape(rows, cols)
        m = mu * m + (1 - mu) * g
        u = (1 - mu) * g + mu * m if nesterov else m
        p = p * (1 - lr * decay) - lr * factor * orthogonal(u, steps, eps)
        yield p


CASES = {
    "radam_lr0.001": by_torch(lambda p: torch.optim.RAdam(p)),
    "radam_lr0.01_b0.8_0.9_eps1e-6": by_torch(lambda p: torch.optim.RAdam(p, lr=0.01, betas=(0.8, 0.9), eps=1e-6)),
    "rprop_lr0.01": by_torch(lambda p: torch.optim.Rprop(p)),
    "rprop_lr0.02_etas0.4_1.5_steps1e-3_0.1": by_torch(
        lambda p: torch.optim.Rprop(p, lr=0.02, etas=(0.4, 1.5), step_sizes=(1e-3, 0.1))
    ),
    "rmsprop_lr0.001_momentum0.9": by_torch(lambda p: torch.optim.RMSprop(p, lr=0.001, momentum=0.9)),
    "rmsprop_lr0.001_centered": by_torch(lambda p: torch.optim.RMSprop(p, lr=0.001, centered=True)),
    "adagrad_lr0.01_decay0.1_start0.5": by_torch(
        lambda p: torch.optim.Adagrad(p, lr=0.01, lr_decay=0.1, initial_accumulator_value=0.5)
    ),
    "nadam_lr0.002_b0.95_decay0.5": by_torch(
        lambda p: torch.optim.NAdam(p, lr=0.002, betas=(0.95, 0.999), momentum_decay=0.5)
    ),
    "lion_lr0.0001": lion(1e-4, 0.9, 0.99, 0),
    "schedule_free_lr0.0025": schedule_free(0.0025, 0.9, 0.999, 1e-8, 0, 0, "y"),
    "schedule_free_lr0.0025_x": schedule_free(0.0025, 0.9, 0.999, 1e-8, 0, 0, "x"),
    "schedule_free_lr0.01_b0.95_0.99_warmup50.5_wd0.1": schedule_free(0.01, 0.95, 0.99, 1e-6, 50.5, 0.1, "y"),
    "schedule_free_lr0.01_b0.95_0.99_warmup50.5_wd0.1_x": schedule_free(0.01, 0.95, 0.99, 1e-6, 50.5, 0.1, "x"),
    "lion_lr0.001_b0.95_0.98_wd0.1": lion(1e-3, 0.95, 0.98, 0.1),
    "muon_8x5_lr0.02": muon(8, 5),
    "muon_5x8_lr0.02": muon(5, 8),
    "muon_6x6_lr0.02": muon(6, 6),
    "muon_1x17_lr0.02": muon(1, 17),
    "muon_17x1_lr0.02": muon(17, 1),
    "muon_8x5_lr0.001_rms": muon(8, 5, lr=1e-3, rms=True),
    "muon_5x8_lr0.001_rms_mu0.9_plain_wd0": muon(5, 8, lr=1e-3, mu=0.9, nesterov=False, rms=True, decay=0),
    "muon_6x6_lr0.02_plain_steps3": muon(6, 6, nesterov=False, steps=3),
    "muon_8x5_lr0.02_mu0.5_steps9_eps20": muon(8, 5, mu=0.5, steps=9, eps=20),
}

for name, steps in CASES.items():
    all_steps = list(steps)
    np.save(f"torch/{name}.npy", np.array([all_steps[min(t, len(all_steps)) - 1] for t in SAVED]))
