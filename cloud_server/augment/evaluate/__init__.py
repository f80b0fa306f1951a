"""What augmentation is worth: arms that differ in one thing, trained alike, and the controls beside them."""
