"""What a device may say of a photo at each wire level, as functions for both sides and for the leak gate."""
