"""`helm test`: every replica of the operator is ready, and one of them leads."""

import re
import socket
import sys
import time
import urllib.request

SERVICE, REPLICAS = sys.argv[1], int(sys.argv[2])
PORT = 8080
SECONDS = 120


def read(address, path):
    host = f"[{address}]" if ":" in address else address
    with urllib.request.urlopen(f"http://{host}:{PORT}/{path}", timeout=5) as answer:
        return answer.read().decode()


def look():
    """Return what is wrong, or nothing."""
    found = socket.getaddrinfo(SERVICE, PORT, type=socket.SOCK_STREAM)
    addresses = sorted({entry[4][0] for entry in found})
    if len(addresses) != REPLICAS:
        return f"{len(addresses)} replicas are ready, expected {REPLICAS}"
    leaders = []
    for address in addresses:
        read(address, "readyz")
        read(address, "healthz")
        value = re.search(r"^slipway_is_leader ([\d.]+)$", read(address, "metrics"), re.MULTILINE)
        if value and float(value[1]):
            leaders.append(address)
    return "" if len(leaders) == 1 else f"leaders are {leaders}, expected one"


deadline = time.monotonic() + SECONDS
while True:
    try:
        wrong = look()
    except OSError as error:
        wrong = str(error)
    if not wrong or time.monotonic() > deadline:
        break
    time.sleep(1)
print(wrong or f"{REPLICAS} replicas are ready and one of them leads")
sys.exit(bool(wrong))
