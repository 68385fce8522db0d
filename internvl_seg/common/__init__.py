"""What every room shares: checks that no number is wrong in silence."""
