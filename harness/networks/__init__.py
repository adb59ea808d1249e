"""Networks from images to features, and learners made of them."""
