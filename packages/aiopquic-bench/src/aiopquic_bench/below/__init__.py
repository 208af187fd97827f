"""What is below Python: raw UDP, picoquic alone, other people's programs, and the ladder from there to our APIs."""
