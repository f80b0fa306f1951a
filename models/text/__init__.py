"""Readers of text: those that this project trained, and those of the zoo."""
