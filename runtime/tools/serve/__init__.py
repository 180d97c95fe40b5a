"""`graftcam serve`: an HTTP service that predicts and explains images, and a page on top of it."""
