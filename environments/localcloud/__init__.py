"""A cloud on one machine: DigitalOcean's API v2 over HTTP, with each droplet a real SSH server on loopback.

It is made for development and tests: the account is imaginary, the shells are real and run as the user who starts
it. `python -m environments.localcloud --help` tells how to start it. It knows nothing of the rest of the project.
"""
