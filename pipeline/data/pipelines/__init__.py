"""`tf.data.Dataset`s that travel to other processes.

A pipeline travels as its graph, from which each process makes it anew, with the values that its
variables and lookup tables have when it is handed over (`graphs`). What no graph holds, such as a
Python function, is called there: such a pipeline is read once, and its elements travel (`reading`).
Large arrays, a graph's or elements', are NumPy arrays of their own: a node holds them once, and its
processes map them.

TensorFlow is imported where a pipeline is met or made, and nowhere else.
"""
