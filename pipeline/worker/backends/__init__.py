"""What TensorFlow, JAX and PyTorch do differently."""
