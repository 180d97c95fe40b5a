"""The same maps by other packages: what docs/migration.md says of their calls, measured."""
