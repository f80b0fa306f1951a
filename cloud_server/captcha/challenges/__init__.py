"""Making challenges: alphabet, fonts, rendering, the attack, and the gate that keeps them legible."""
