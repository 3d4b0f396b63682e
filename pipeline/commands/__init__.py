"""The commands of `rankline`, by what they are about. Thin: each calls one function and shows what it returns.

Imports that take seconds (TFX, TensorFlow) are inside the commands that need them, so that `--help` is quick.
"""
