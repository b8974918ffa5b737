"""What the documentation page is made of."""
