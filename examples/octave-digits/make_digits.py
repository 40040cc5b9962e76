"""Makes digits.mat, the data of this example, from the copy that scikit-learn brings (needs scikit-learn and SciPy).

The data are the test set of "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak (1998), UCI
Machine Learning Repository, https://doi.org/10.24432/C50P49, under the licence CC BY 4.0: 1,797 images of 8 x 8 grey
values from 0 to 16. They are unchanged here: `pixels` holds a column of 64 for each, `digit` what it shows.
"""

from pathlib import Path

import numpy as np
from scipy.io import savemat
from sklearn.datasets import load_digits

digits = load_digits()
savemat(
    Path(__file__).with_name("digits.mat"),
    {
        "pixels": np.asfortranarray(digits.images.transpose(2, 1, 0).reshape(64, -1).astype(np.uint8)),
        "digit": digits.target.astype(np.uint8)[np.newaxis],
    },
    do_compression=True,
)
