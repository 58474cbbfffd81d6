"""The GPUs that TensorFlow sees, as JSON: for a worker, which does not load TensorFlow itself."""

from __future__ import annotations

import json


def main() -> None:
    import tensorflow as tf

    from inkmill.worker.device.tensorflow import gpu_name

    print(json.dumps([gpu_name(each) for each in tf.config.list_physical_devices("GPU")]))


if __name__ == "__main__":
    main()
