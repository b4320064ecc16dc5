"""The run directory: who writes what, and how it is read back. No Ray and no Keras in here."""
