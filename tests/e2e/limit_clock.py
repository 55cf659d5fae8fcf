"""The calendar of limits that count by the day."""

import time


def away_from_midnight():
    """A window of the calendar is not to end while a test looks at it."""
    left = 86400 - time.time() % 86400
    if left < 120:
        time.sleep(left + 1)
