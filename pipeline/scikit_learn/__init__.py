"""A search with the surface of scikit-learn's, on our engine."""
