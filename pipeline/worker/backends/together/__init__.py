"""Epochs of several models that are alike, carried out by one program: what each backend has."""
