"""Serving: an embedded server with TF Serving's API, and a typed client for it.

Both speak in TensorFlow's protocol messages and need little else of TensorFlow, so its package is made
lazy before any of it is imported (see `serving.lazy_tensorflow`).
"""

from serving import lazy_tensorflow

lazy_tensorflow.install()
