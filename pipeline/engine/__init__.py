"""All that knows Ray: the cluster, the trials on it, Tune's searcher and schedulers.

No Keras here.
"""
