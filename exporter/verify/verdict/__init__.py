"""What a verification gives: findings, a verdict and its report; and when tensors are equal."""
