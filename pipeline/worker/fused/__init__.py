"""Trainings whose models differ by numbers alone, carried out as one program."""
