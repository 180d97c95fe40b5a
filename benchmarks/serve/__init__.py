"""Load tests of `graftcam serve` on loopback."""
