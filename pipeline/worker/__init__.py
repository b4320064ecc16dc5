"""All that knows Keras: one trial from `build` to its last epoch, in whatever process it is called in. No Ray here."""
