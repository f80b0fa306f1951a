"""Augmentation against a bias: planted groups or labelled ones, remedies beside it, and fairness measured."""
