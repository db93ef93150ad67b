"""What a trained model rests on: how it bears damage, and what its answers come from. Importing it imports no torch."""
