"""`graftcam bench` measures times, the profile of the added nodes, and peak memory."""
