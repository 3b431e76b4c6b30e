"""What a machine is set up with: the base stack that all share, and what a template adds to it."""
