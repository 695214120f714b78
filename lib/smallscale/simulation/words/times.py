"""Where and when, do these words say? The first public place, and the first hour."""

import re

from smallscale.simulation.words.facts import HOURS as NUMBERS
from smallscale.simulation.world import HOURS_IN_DAY, PUBLIC_PLACES, WEEKDAYS

TIME = re.compile(
    rf"\bat\s+(?:(?P<word>{'|'.join(NUMBERS)})|(?P<hour>\d{{1,2}})(?::00)?)\b"
    r"\s*(?P<half>am|pm)?",
    re.IGNORECASE,
)
NOON = 12
MORNING_ENDS = 8  # "at five" without more is in the afternoon


def place_told(text: str) -> str | None:
    """Return the public place that a text names first, or None.

    >>> place_told("Come to the cafe on Tuesday"), place_told("Come to us")
    ('café', None)
    """
    plain = text.lower().replace("cafe", "café")
    places = {plain.find(place): place for place in PUBLIC_PLACES if place in plain}
    return places[min(places)] if places else None


def hour_told(text: str, now: int) -> int | None:
    """Return the hour of the run that a text names, if it lies after now, else None.

    A weekday is the next one, today included; without one, there is no hour to plan
    for. "at five" is five in the afternoon, "at nine" nine in the morning.

    >>> hour_told("a party on Tuesday at five", now=10)
    41
    """
    days = [day for day in WEEKDAYS if day.lower() in text.lower()]
    times = list(TIME.finditer(text))
    if not days or not times:
        return None
    today = now // HOURS_IN_DAY
    ahead = (WEEKDAYS.index(days[0]) - today) % len(WEEKDAYS)
    hour = (today + ahead) * HOURS_IN_DAY + _time_of_day(times[0])
    return hour if hour > now else None


def _time_of_day(time: re.Match[str]) -> int:
    word = time["word"]
    hour = NUMBERS.index(word.lower()) + 1 if word else int(time["hour"])
    half = (time["half"] or "").lower()
    is_told = bool(half) or hour >= NOON or (not word and time["hour"].startswith("0"))
    if half == "pm" and hour < NOON:
        hour += NOON
    if not is_told and hour < MORNING_ENDS:
        hour += NOON
    return hour % HOURS_IN_DAY
