"""The commands of `rankline`, by topic. Each calls one function and shows its result.

Imports that take seconds (TFX, TensorFlow) are inside the commands that need them, so that `--help` is quick.
"""
