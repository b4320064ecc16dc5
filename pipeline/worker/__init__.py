"""All that knows Keras: one trial from `build` to its last epoch, in whatever process. No Ray here.

What passes between a trial and the process that runs it is `session` and `faults`. They are without
Keras, so that the driver, which never imports it, can read them. So are at import

    devices               the share of the machine that a trial may use
    backends              but for `batches`, `tensorflow_data` and `tensorflow_updates`
    training.checkpoints  what the driver may ask of a trial's state, and `archive`, its files

All else imports Keras: spaces (what a search space asks for), training (a trial, its repeats, the
best model) and fitting (how `model.fit` is carried out). A room imports those named before it:
devices imports backends, fitting both, training fitting, spaces training.
"""
