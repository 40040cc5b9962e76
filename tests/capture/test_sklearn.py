"""scikit-learn: estimators that learn bit by bit go on from a restore as if nothing had been."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from capture.kit import Saved, roundtrip
from outlast import capture
from outlast.errors import MismatchError

pytest.importorskip("sklearn", reason="scikit-learn is not installed here: pip install scikit-learn")

from sklearn.base import BaseEstimator, is_classifier
from sklearn.cluster import Birch, MiniBatchKMeans
from sklearn.datasets import load_digits
from sklearn.decomposition import IncrementalPCA, LatentDirichletAllocation, MiniBatchNMF
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

X, Y = load_digits(return_X_y=True)
X = X / 16
BATCHES = [slice(begin, begin + 100) for begin in range(0, 800, 100)]

MAKERS = {
    "sgd hinge": lambda: SGDClassifier(random_state=3),
    "sgd log loss, averaged": lambda: SGDClassifier(loss="log_loss", average=True, random_state=3),
    "sgd of the global generator": SGDClassifier,
    "sgd regression": lambda: SGDRegressor(loss="huber", random_state=3),
    "k-means": lambda: MiniBatchKMeans(10, random_state=3, n_init=1),
    "k-means of the global generator": lambda: MiniBatchKMeans(10, n_init=1),
    "perceptron, adam": lambda: MLPClassifier((16,), random_state=3),
    "perceptron, sgd": lambda: MLPClassifier((8, 8), solver="sgd", momentum=0.9, random_state=3),
    "pca": lambda: IncrementalPCA(8),
    "scaler": StandardScaler,
    "bayes": GaussianNB,
    "topics": lambda: LatentDirichletAllocation(4, random_state=3),
    "nmf": lambda: MiniBatchNMF(4, random_state=3),
}


def learn(model, batch: slice) -> None:
    more = {"classes": np.arange(10)} if is_classifier(model) else {}
    model.partial_fit(X[batch], Y[batch], **more)


def fitted(model) -> dict:
    """Return what a model is by now, to the bit."""
    held = capture.snapshot({"model": model}, capture.Pool())
    return {leaf.path: bytes(leaf.data) for leaf in held.leaves} | {"tree": json.dumps(held.tree, sort_keys=True)}


@pytest.fixture(autouse=True)
def adapters():
    capture.snapshots.KINDS.refresh()


@pytest.mark.parametrize("name", MAKERS)
def test_learning_goes_on_where_it_was(name: str) -> None:
    def began() -> dict:
        return {"model": MAKERS[name](), "rng": capture.RNG()}

    np.random.seed(5)  # noqa: NPY002
    undisturbed = began()
    for batch in BATCHES:
        learn(undisturbed["model"], batch)

    np.random.seed(5)  # noqa: NPY002
    first = began()
    outline = capture.outline(first)
    for batch in BATCHES[:3]:
        learn(first["model"], batch)
    saved = Saved(first, outline)
    np.random.seed(99)  # noqa: NPY002
    second = began()
    saved.into(second)
    for batch in BATCHES[3:]:
        learn(second["model"], batch)
    assert fitted(second["model"]) == fitted(undisturbed["model"])
    assert fitted(second["model"]) != fitted(first["model"])


def test_a_restore_into_a_fitted_one_forgets_what_it_had_learnt() -> None:
    new, live = MLPClassifier((4,), random_state=1), MLPClassifier((4,), random_state=1)
    learn(live, BATCHES[0])
    before = vars(live).keys() - vars(new).keys()
    assert before
    roundtrip({"m": new}, {"m": live})
    assert vars(live).keys() == vars(new).keys()


def test_a_perceptron_trained_further_by_warm_start() -> None:
    def model() -> MLPClassifier:
        return MLPClassifier((8,), max_iter=1, warm_start=True, random_state=2)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one pass at a time never converges
        undisturbed, first, second = model(), model(), model()
        for _ in range(4):
            undisturbed.fit(X[:300], Y[:300])
        for _ in range(2):
            first.fit(X[:300], Y[:300])
        roundtrip({"m": first}, {"m": second})
        for _ in range(2):
            second.fit(X[:300], Y[:300])
    assert fitted(second) == fitted(undisturbed)


def test_steps_of_a_pipeline_are_restored_in_place() -> None:
    def pipeline() -> Pipeline:
        return Pipeline([("scale", StandardScaler()), ("classify", SGDClassifier(random_state=1))])

    saved, live = pipeline(), pipeline()
    saved.fit(X[:300], Y[:300])
    roundtrip({"p": saved}, {"p": live})
    assert np.array_equal(live.predict(X), saved.predict(X))


def test_another_estimator_or_version_is_a_mismatch() -> None:
    saved = Saved({"m": SGDClassifier()})
    with pytest.raises(MismatchError, match="SGDRegressor"):
        saved.into({"m": SGDRegressor()})
    saved.tree["m"]["state"]["version"] = "0.1"
    with pytest.raises(MismatchError, match=r"saved by scikit-learn 0\.1"):
        saved.into({"m": SGDClassifier()})


def test_a_class_from_a_file_is_not_looked_up() -> None:
    model = MLPClassifier((4,), random_state=1)
    learn(model, BATCHES[0])
    saved = Saved({"m": model})
    saved.tree["m"]["state"]["made"]["_optimizer"]["class"] = "BaseEstimator"
    with pytest.raises(MismatchError, match="unknown classes: BaseEstimator"):
        saved.into({"m": MLPClassifier((4,), random_state=1)})


@pytest.mark.parametrize("model", [RandomForestClassifier(2, random_state=1), Birch()], ids=["forest", "tree"])
def test_what_no_restart_could_take_back_is_refused_with_its_place(model: BaseEstimator) -> None:
    state = {"m": model}
    outline = capture.outline(state)
    model.fit(X[:200], Y[:200])
    with pytest.raises(capture.snapshots.CaptureError, match="m/"):
        capture.snapshot(state, capture.Pool(), outline)
