"""Serving: an embedded server with TF Serving's API, and a typed client for it.

Both use TensorFlow's protocol messages and need little else of TensorFlow. Therefore importing this package makes
TensorFlow lazy (see `serving.lazy_tensorflow`).
"""

from serving import lazy_tensorflow

lazy_tensorflow.install()
