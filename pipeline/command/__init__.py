"""The command line's options and their reference, made from the settings of an experiment."""
