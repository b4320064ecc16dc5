"""What TensorFlow, JAX and PyTorch do differently: one class each; no other file names a backend.

`known` says which there are and which one Keras computes with. Without Keras at import, but for
`batches`, `tensorflow_data`, `tensorflow_updates` and `together`; a backend's own package is
imported in the methods that need it.
"""
