"""Training the small readers that challenges are attacked with: plainly, hardened, adapted."""
