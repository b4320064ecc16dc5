"""All that knows Keras.

One trial from `build` to its last epoch, in whatever process it is called in. No Ray here.
"""
