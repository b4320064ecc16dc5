"""Tables: what each column is, and how its values become the inputs of a model."""
