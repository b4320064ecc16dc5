"""What a search space asks for.

`hp`, its kinds of hyperparameters, and the walk through all of them. Pure Python.
"""
