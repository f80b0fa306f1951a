"""The device side: find faces, attack on a surrogate, put the cloak into the photo, check what was saved."""
