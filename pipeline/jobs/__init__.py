"""The jobs behind the commands, from start to end."""
