"""A randomised search over support vector machines on scikit-learn's digits."""

import os

from scipy.stats import loguniform
from sklearn.datasets import load_digits
from sklearn.model_selection import RandomizedSearchCV
from sklearn.svm import SVC

from outlast.integrations.sklearn import Search

x, y = load_digits(return_X_y=True)
spread = {"C": loguniform(1e-1, 1e3), "gamma": loguniform(1e-5, 1e-1)}
jobs = int(os.environ.get("JOBS", "1"))

search = RandomizedSearchCV(SVC(), spread, n_iter=8, cv=4, random_state=5, n_jobs=jobs)
with Search(os.environ.get("OUTLAST_STORE", "ckpts/search"), search) as running:
    running.fit(x[:600], y[:600])
    print("best:", search.best_params_, search.best_score_)
