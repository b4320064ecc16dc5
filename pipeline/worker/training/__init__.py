"""One trial's training: epochs, repeats, checkpoints, the best model."""
