"""The appliance as services of systemd: one scanner behind a socket, its heartbeat, and what it says to its manager.

Start at `requests` (what may be asked, and what is answered), then `scanner`.
"""
