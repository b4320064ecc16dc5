"""What is used of the GPUs where that was not said: measured before the first trial."""
