"""What the product asks of the outside world, as protocols a site may swap."""
