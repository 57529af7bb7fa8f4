"""What is looked for and how it is graded, as data."""
