"""What both sides use: the attack core, the wire, cards, bundles, faces and errors. It knows neither side."""
