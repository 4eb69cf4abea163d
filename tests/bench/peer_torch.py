# SPDX-License-Identifier: MIT
"""The bench's jobs in PyTorch (Debian: python3-torch), as fast as it does them: prints the seconds.

usage: python3 peer_torch.py moons | wide BATCH THREADS | adam COUNT THREADS      as job does
"""
import pathlib
import sys
import time

import numpy as np
import torch

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "moons"


def mlp(*sizes):
    layers = []
    for inputs, outputs in zip(sizes, sizes[1:]):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def epoch(net, loss, adam, x, y, order, batch):
    total = 0.0
    for k in range(0, len(order), batch):
        rows = order[k : k + batch]
        adam.zero_grad(set_to_none=True)
        mean = loss(net(x[rows]), y[rows])
        mean.backward()
        adam.step()
        total += mean.item() * len(rows)
    return total / len(order)


def moons():
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    x = torch.from_numpy(np.load(GOLDEN / "X.npy").T.copy())
    y = torch.from_numpy(np.load(GOLDEN / "Y.npy").T.astype(float))
    net = mlp(2, 5, 2, 1)
    with torch.no_grad():
        for layer, linear in enumerate(net[::2], 1):
            linear.weight.copy_(torch.from_numpy(np.load(GOLDEN / "init" / f"W{layer}.npy")))
            linear.bias.zero_()
    adam = torch.optim.Adam(net.parameters(), lr=0.0007)
    loss = torch.nn.BCEWithLogitsLoss()
    start = time.perf_counter()
    for e in range(10000):
        np.random.seed(11 + e)
        cost = epoch(net, loss, adam, x, y, torch.from_numpy(np.random.permutation(300)), 64)
    seconds = time.perf_counter() - start
    print(f"last cost {cost:.6f}")
    return seconds


def wide(batch, threads):
    torch.set_num_threads(threads)
    torch.manual_seed(3)
    rows = 3000 if batch < 16 else 60000
    x, y = torch.rand(rows, 784) - 0.5, torch.arange(rows) % 10
    net = mlp(784, 128, 64, 10)
    adam = torch.optim.Adam(net.parameters(), lr=0.0007, foreach=True)
    loss = torch.nn.CrossEntropyLoss()
    for _ in range(2):  # the first warms up
        start = time.perf_counter()
        epoch(net, loss, adam, x, y, torch.randperm(rows), batch)
    return (time.perf_counter() - start) * (60000 / rows)


def adam_step(count, threads):
    torch.set_num_threads(threads)
    p = torch.nn.Parameter(torch.zeros(count))
    p.grad = (torch.rand(count) - 0.5) * 1e-3
    adam = torch.optim.Adam([p], lr=0.001, foreach=True)
    steps = 20000000 // count if count < 10000000 else 3
    adam.step()
    start = time.perf_counter()
    for _ in range(steps):
        adam.step()
    return (time.perf_counter() - start) / steps


jobs = {"moons": moons, "wide": wide, "adam": adam_step}
print(f"seconds {jobs[sys.argv[1]](*map(int, sys.argv[2:])):.6g}")
