"""What everything stands on: argument checks, intervals, seeds and devices."""
