"""What an explanation costs: times, a profile of what was added, and peak memory."""
