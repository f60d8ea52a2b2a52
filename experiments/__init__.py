"""What shows the library at work, and measures it."""
