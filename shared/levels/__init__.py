"""What a wire level sends, as arithmetic: the device, the server and the leak attackers all call it."""
