"""What leaves the house: packages of a release; later steps serve it."""
