"""A small Keras network learns scikit-learn's digits: dropout, early stopping, a learning rate that is reduced."""

import os

import keras
from sklearn.datasets import load_digits

from outlast.integrations.keras import Training

keras.utils.set_random_seed(7)
x, y = load_digits(return_X_y=True)
x = (x / 16).astype("float32")

model = keras.Sequential(
    [
        keras.Input((64,)),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(10),
    ]
)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
jit = keras.backend.backend() != "tensorflow"  # there XLA would compile for longer than this trains
model.compile(keras.optimizers.Adam(1e-2), loss, metrics=["accuracy"], jit_compile=jit)
callbacks = [
    keras.callbacks.ReduceLROnPlateau(patience=1, factor=0.5),
    keras.callbacks.EarlyStopping(patience=4, restore_best_weights=True),
]

with Training(os.environ.get("OUTLAST_STORE", "ckpts/keras"), model) as training:
    history = training.fit(
        x[:1500],
        y[:1500],
        epochs=8,
        batch_size=100,
        validation_data=(x[1500:], y[1500:]),
        callbacks=callbacks,
        verbose=0,
    )
    print("epochs:", len(history.epoch), "best accuracy:", max(history.history["val_accuracy"]))
