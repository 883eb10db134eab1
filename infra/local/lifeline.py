"""A child process that never outlives its parent, even one that was killed with -9.

Linux tells the child itself (``PR_SET_PDEATHSIG``); elsewhere a thread watches the parent's id.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

__all__ = ["follow"]

_PR_SET_PDEATHSIG = 1
_WATCH_EVERY = 0.5  # seconds


def follow(parent: int, sig: signal.Signals = signal.SIGKILL) -> None:
    """Send ``sig`` to this process when process ``parent`` ends; at once if it is gone already.

    On Linux the signal comes when the *thread* that started this process ends, so whoever starts
    children does it from a thread that lives as long as they should.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent, sig), daemon=True).start()
    # The parent may have died before the request was made.
    if os.getppid() != parent:
        os.kill(os.getpid(), sig)


def _watch(parent: int, sig: signal.Signals) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_EVERY)
    os.kill(os.getpid(), sig)
