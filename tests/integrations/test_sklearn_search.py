"""Searches resumed between fits have the result that scikit-learn's own has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from outlast.errors import MismatchError, Preempted, UsageError

pytest.importorskip("sklearn", reason="scikit-learn is not installed here: pip install scikit-learn")

from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, ShuffleSplit
from sklearn.naive_bayes import GaussianNB

from outlast.integrations.sklearn import Search

X, Y = load_digits(return_X_y=True)
X, Y = X[:300] / 16, Y[:300]


class Counted(GaussianNB):
    """Counts its fits; leaves the run after some of them."""

    fits = 0
    at = -1
    leave = None

    def fit(self, X, y, sample_weight=None):
        type(self).fits += 1
        if type(self).fits == self.at:
            type(self).leave()
        return super().fit(X, y)


@pytest.fixture(autouse=True)
def afresh():
    Counted.fits, Counted.at = 0, -1


def grid(**more):
    smooth = {"var_smoothing": [1e-9, 1e-6, 1e-3, 1e-1]}
    return GridSearchCV(Counted(), smooth, cv=3, return_train_score=True, **more)


def table(search) -> dict:
    found = {name: value for name, value in search.cv_results_.items() if "time" not in name}
    return {name: np.asarray(value).tolist() for name, value in found.items()}


def interrupted(store: Path, search, at: int) -> None:
    with pytest.raises(Preempted), Search(store, search, every=1000) as running:
        Counted.at, Counted.leave = at, running._run.leave
        running.fit(X, Y)


def test_no_fit_is_done_twice_and_the_result_is_the_same(tmp_path: Path) -> None:
    plain = grid().fit(X, Y)
    assert Counted.fits == 13
    Counted.fits = 0
    interrupted(tmp_path / "s", grid(), 5)
    assert Counted.fits == 5
    interrupted(tmp_path / "s", grid(), 11)
    Counted.at = -1
    with Search(tmp_path / "s", grid()) as running:
        resumed = running.fit(X, Y)
    assert Counted.fits == 13  # the last is the one on all data
    assert table(resumed) == table(plain)
    assert resumed.best_params_ == plain.best_params_
    assert resumed.best_score_ == plain.best_score_
    assert resumed.predict(X).tolist() == plain.predict(X).tolist()
    with pytest.raises(SystemExit) as end, Search(tmp_path / "s", grid()):
        pass
    assert end.value.code == 0


def test_several_metrics_and_failed_fits(tmp_path: Path) -> None:
    def search():
        return grid(scoring=["accuracy", "f1_macro"], refit="f1_macro", error_score=np.nan)

    plain = search().fit(X, Y)
    Counted.fits = 0
    interrupted(tmp_path / "s", search(), 7)
    Counted.at = -1
    with Search(tmp_path / "s", search()) as running:
        assert table(running.fit(X, Y)) == table(plain)


def test_a_randomised_search_of_randomised_estimators_in_parallel(tmp_path: Path) -> None:
    def search(seed: int, jobs: int | None):
        spread = {"alpha": np.logspace(-5, -1, 50)}
        folds = ShuffleSplit(2, random_state=4)
        return RandomizedSearchCV(
            SGDClassifier(random_state=1), spread, n_iter=4, cv=folds, random_state=seed, n_jobs=jobs
        )

    plain = search(3, None).fit(X, Y)
    with Search(tmp_path / "s", search(3, 2)) as running:
        assert table(running.fit(X, Y)) == table(plain)


def test_other_candidates_are_a_mismatch(tmp_path: Path) -> None:
    interrupted(tmp_path / "s", grid(), 5)
    Counted.at = -1
    other = GridSearchCV(Counted(), {"var_smoothing": [1e-3, 1e-9, 1e-6, 1e-1]}, cv=3)
    with pytest.raises(MismatchError, match="fit 0 of the search") as caught, Search(tmp_path / "s", other) as running:
        running.fit(X, Y)
    assert "random_state" in caught.value.hint


def test_scikit_learn_is_itself_again_afterwards(tmp_path: Path) -> None:
    from sklearn.model_selection import _search

    before = _search.Parallel
    with pytest.raises(ValueError, match="inconsistent"), Search(tmp_path / "s", grid()) as running:
        running.fit(X, Y[:10])
    assert _search.Parallel is before
    with pytest.raises(UsageError, match="no search"):
        Search(tmp_path / "t", Counted())


def test_a_halving_search_goes_through_several_rounds(tmp_path: Path) -> None:
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingGridSearchCV

    def search():
        smooth = {"var_smoothing": [1e-9, 1e-6, 1e-3, 1e-1]}
        return HalvingGridSearchCV(Counted(), smooth, cv=3, factor=2, random_state=1, min_resources=60)

    plain = search().fit(X, Y)
    total, Counted.fits = Counted.fits, 0
    interrupted(tmp_path / "s", search(), total // 2)
    Counted.at = -1
    with Search(tmp_path / "s", search()) as running:
        assert table(running.fit(X, Y)) == table(plain)
    assert Counted.fits == total
