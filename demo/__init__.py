"""The bundled example: a small digit finder, its pictures and the script that trained it."""
