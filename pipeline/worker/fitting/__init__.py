"""How `model.fit` is carried out: its plan, its data, its loop."""
