"""What tests share: small models, artifacts, and checks."""
