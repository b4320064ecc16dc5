"""The run directory: what is written there, and how it is read back. No Ray, no Keras in here."""
