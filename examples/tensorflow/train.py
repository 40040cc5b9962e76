"""A loop of one's own in TensorFlow: variables, a generator, and a tf.data pipeline that is entered where it was."""

import os

import tensorflow as tf
from sklearn.datasets import load_digits

import outlast

x, y = load_digits(return_X_y=True)
x = (x / 16).astype("float32")


class Net(tf.Module):
    def __init__(self, noise: tf.random.Generator) -> None:
        super().__init__()
        self.noise = noise
        self.w = tf.Variable(tf.random.stateless_normal((64, 32), seed=(1, 2)) / 8)
        self.b = tf.Variable(tf.zeros(32))
        self.out = tf.Variable(tf.zeros((32, 10)))

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        x = x + 0.1 * self.noise.normal(tf.shape(x))
        return tf.tanh(x @ self.w + self.b) @ self.out


generator = tf.random.Generator.from_seed(5)
net = Net(generator)
moments = [tf.Variable(tf.zeros_like(variable)) for variable in net.trainable_variables]
data = tf.data.Dataset.from_tensor_slices((x[:1500], y[:1500])).shuffle(500, seed=3).repeat().batch(100)
batches = iter(data)


@tf.function
def train(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, net(x)))
    gradients = tape.gradient(loss, net.trainable_variables)
    for variable, moment, gradient in zip(net.trainable_variables, moments, gradients):
        moment.assign(0.9 * moment + gradient)
        variable.assign_sub(0.1 * moment)
    return loss


state = {
    "net": net,
    "moments": moments,
    "generator": generator,
    "batches": tf.train.Checkpoint(iterator=batches),  # TensorFlow's own format: only it knows where an iterator is
    "loss": 0.0,
}
with outlast.Run(os.environ.get("OUTLAST_STORE", "ckpts/tensorflow"), state) as run:
    for step in run.steps(60):
        state["loss"] = float(train(*next(batches)))
    print("loss:", state["loss"])
