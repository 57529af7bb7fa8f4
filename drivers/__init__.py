"""Hardware: stage, camera, slide identity, and the twin that stands in for them."""
