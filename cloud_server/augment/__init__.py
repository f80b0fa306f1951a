"""Augmentation: adversarial samples for short or biased classes, with where each one comes from."""
