"""A training that TensorFlow's own PreemptionCheckpointHandler saves; the first attempt is told to leave."""

import os
import signal
import time

import tensorflow as tf

from outlast.integrations.tensorflow import termination

folder = os.environ["OUTLAST_STORE"]
done = tf.Variable(0)
checkpoint = tf.train.Checkpoint(done=done)
resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(tf.train.ClusterSpec({}))
with termination() as config:
    handler = tf.distribute.experimental.PreemptionCheckpointHandler(resolver, checkpoint, folder, config)
    begin = int(done)
    print("from", begin)
    while int(done) < 1000:
        handler.run(lambda: done.assign_add(1))
        if begin == 0 and int(done) == 20:
            os.kill(os.getpid(), signal.SIGTERM)
        if begin == 0 and int(done) > 20:
            time.sleep(0.05)  # it looks for a notice once a second
print("done", int(done))
