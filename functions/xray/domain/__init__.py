"""What an image must be to be kept, what it says about itself, and how it is shown. No SQL."""
