# SPDX-License-Identifier: MIT
"""The main job as one would write it in NumPy: 2-5-2-1 on 300 moons, Adam, 10,000 epochs of batches of 64.

usage: python3 moons_numpy.py        (Debian: python3-numpy)
Prints the accuracy, as `moons --optimizer adam` does, and the seconds that training took.
"""
import pathlib
import time

import numpy as np

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "moons"
EPOCHS, BATCH, RATE, BETA1, BETA2, EPS = 10000, 64, 0.0007, 0.9, 0.999, 1e-8


def forward(w, b, x):
    a = [x]
    for l in range(3):
        z = w[l] @ a[-1] + b[l]
        a.append(np.maximum(z, 0) if l < 2 else 1 / (1 + np.exp(-z)))
    return a


def gradients(w, b, x, y):
    a = forward(w, b, x)
    cost = np.sum(-np.log(a[3]) * y - np.log(1 - a[3]) * (1 - y))
    dw, db = [None] * 3, [None] * 3
    dz = (a[3] - y) / x.shape[1]
    for l in (2, 1, 0):
        dw[l], db[l] = dz @ a[l].T, dz.sum(axis=1, keepdims=True)
        if l:
            dz = (w[l].T @ dz) * (a[l] > 0)
    return cost, dw + db


def main():
    x, y = np.load(GOLDEN / "X.npy"), np.load(GOLDEN / "Y.npy")
    w = [np.load(GOLDEN / "init" / f"W{l}.npy") for l in (1, 2, 3)]
    b = [np.load(GOLDEN / "init" / f"b{l}.npy") for l in (1, 2, 3)]
    p = w + b
    m, v = [np.zeros_like(q) for q in p], [np.zeros_like(q) for q in p]
    t, costs = 0, []
    start = time.perf_counter()
    for epoch in range(EPOCHS):
        np.random.seed(11 + epoch)
        order = np.random.permutation(x.shape[1])
        xs, ys, cost = x[:, order], y[:, order], 0
        for k in range(0, x.shape[1], BATCH):
            c, g = gradients(p[:3], p[3:], xs[:, k : k + BATCH], ys[:, k : k + BATCH])
            cost += c
            t += 1
            for i in range(6):
                m[i] = BETA1 * m[i] + (1 - BETA1) * g[i]
                v[i] = BETA2 * v[i] + (1 - BETA2) * g[i] ** 2
                p[i] = p[i] - RATE * (m[i] / (1 - BETA1**t)) / (np.sqrt(v[i] / (1 - BETA2**t)) + EPS)
        costs.append(cost / x.shape[1])
    print(f"seconds {time.perf_counter() - start:.6g}")
    print("Accuracy:", np.mean((forward(p[:3], p[3:], x)[3] > 0.5) == y))


main()
