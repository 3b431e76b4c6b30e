"""What tests start for real: the local cloud and the server, each a process of its own."""
