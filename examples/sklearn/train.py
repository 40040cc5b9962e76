"""A linear classifier learns scikit-learn's digits batch by batch; beside it clusters and components of its inputs."""

import os

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from sklearn.datasets import load_digits
from sklearn.decomposition import IncrementalPCA
from sklearn.linear_model import SGDClassifier

import outlast

x, y = load_digits(return_X_y=True)
x = x / 16

rng = np.random.default_rng(3)
state = {
    "classifier": SGDClassifier(loss="log_loss", random_state=1),
    "clusters": MiniBatchKMeans(10, random_state=2, n_init=1),
    "components": IncrementalPCA(16),
    "rng": rng,
}
with outlast.Run(os.environ.get("OUTLAST_STORE", "ckpts/sklearn"), state) as run:
    for epoch in run.range(5, "epoch"):
        order = rng.permutation(1500)
        for batch in run.iterate(np.split(order, 15), "batch"):
            state["classifier"].partial_fit(x[batch], y[batch], classes=np.arange(10))
            state["clusters"].partial_fit(x[batch])
            state["components"].partial_fit(x[batch])
        run.log(accuracy=state["classifier"].score(x[1500:], y[1500:]))
    print("accuracy:", state["classifier"].score(x[1500:], y[1500:]))
