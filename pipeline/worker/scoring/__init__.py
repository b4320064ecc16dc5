"""What a model is worth: scores of its task, how sure they are, and what the simplest model has."""
