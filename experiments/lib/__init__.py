"""Code that the commands share. Nothing here imports a command."""
