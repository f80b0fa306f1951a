"""Faces in a photo: detection, landmarks and the frames that recognisers expect."""
