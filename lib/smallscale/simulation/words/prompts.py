"""What is a speaker asked? Each question is a text whose last line is to be continued.

Two made-up examples show what is wanted, then come the person, what they remember, and
the line to continue. Talk is a transcript: what somebody says is one line of it, and
can hold no other line.
"""

import re
from collections.abc import Sequence

TALK = """\
From Tom Reed to Lena Wolf: How nice to see you.
From Otto Fink to Tom Reed: I am selling my boat in the port on Sunday at two.
From Tom Reed to Lena Wolf: Otto Fink is selling his boat in the port on Sunday at two.

From Lena Wolf to Lena Wolf: I saw Nina Falk in the museum.
From Lena Wolf to Nina Falk: I saw you in the museum.

From Nina Falk to Tom Reed: Otto Fink plants a tree in the garden on Friday.
From Tom Reed to Otto Fink: Nina Falk says that you plant a tree in the garden on \
Friday.

From Otto Fink to Lena Wolf: Nina Falk opens a bakery in the port on Monday at nine.
From Lena Wolf to Tom Reed: Nina Falk opens a bakery in the port on Monday at nine.

"""
PLAN = """\
Lena Wolf, dentist, 40. Monday, 09:00 to 12:00, in the clinic: I will see my patients \
and look after their teeth.
Nina Falk, pupil, 10. Friday, 08:00 to 13:00, in the school: I will learn to read and \
do sums.
Tom Reed, sailor, 55. Friday, 13:00 to 15:00, at home: I will mend my nets.
"""
REVISION = """\
Lena Wolf planned for Friday 14:00: I will see my patients.
Otto Fink said: "There is a concert in the park on Friday at two."
Lena will not go, because many patients are waiting for me.

Tom Reed planned for Friday 14:00: I will mend my nets.
Otto Fink said: "There is a concert in the park on Friday at two."
Tom will go, because I like music and my nets can wait.

"""
FOCUS = """\
Lena Wolf remembers:
1. I saw Tom Reed in the park.
2. Tom Reed said: "I am learning to dance."
The question that Lena asks: What does Tom Reed want to learn?

"""
INSIGHT = """\
Lena Wolf asks: What does Tom Reed want to learn?
1. Tom Reed said: "I am learning to dance."
2. I saw Tom Reed in the park.
Lena concludes: Tom Reed is learning to dance.

"""
IMPORTANCE = """\
From 1 (brushing teeth) to 10 (a wedding). How important is it?
I saw Tom Reed in the park. 1.
Tom Reed said: "My house has burnt down." 9.
"""
INTERVIEW = """\
From Tom Reed to Tom Reed: I saw Nina Falk in the museum.
From a visitor to Tom Reed: Who is running for president?
From Tom Reed to a visitor: I do not know.

From Otto Fink to Otto Fink: On Friday I will not go to the fair, because I am ill.
From a visitor to Otto Fink: Why did you not come to the fair?
From Otto Fink to a visitor: I did not go to the fair because I am ill.

From Nina Falk to Otto Fink: I saw Tom Reed in the port.
From a visitor to Otto Fink: Have you heard of a wedding?
From Otto Fink to a visitor: No, I have not heard of it.

From Otto Fink to Lena Wolf: I give a concert in the park on Friday at two.
From a visitor to Lena Wolf: Have you heard of a concert?
From Lena Wolf to a visitor: Otto Fink gives a concert in the park on Friday at two.

"""
SAID = re.compile(r'(?P<who>[^":]+) said: "(?P<what>[^"]*)"')
MOST_IMPORTANT = 10  # a memory's importance


def first_name(name: str) -> str:
    """Return how a person is called for short."""
    return name.split()[0]


def as_line(owner: str, memory: str) -> str:
    """Return a memory as a line of a transcript: what was heard, or said to oneself.

    >>> as_line("Ada", 'Bo said: "I give a party."')
    'From Bo to Ada: I give a party.'
    >>> as_line("Ada", "I saw Bo.")
    'From Ada to Ada: I saw Bo.'
    """
    quote = SAID.fullmatch(memory)
    if quote:
        return f"From {quote['who']} to {owner}: {quote['what']}"
    return f"From {owner} to {owner}: {memory}"


def talk_prompt(
    speaker: str, listener: str, memories: Sequence[str], last: str = ""
) -> str:
    """Ask what somebody says to somebody: `talk_lines` behind examples."""
    return TALK + talk_lines(speaker, listener, memories, last)


def talk_lines(
    speaker: str, listener: str, memories: Sequence[str], last: str = ""
) -> str:
    """Return the same without examples, for a model that was taught.

    memories: the one to speak of stands last. last: what the listener has just said.

    >>> print(talk_lines("Ada", "Bo", ['Jun said: "I give a party."'], last="Hello."))
    From Bo to Ada: Hello.
    From Jun to Ada: I give a party.
    From Ada to Bo:
    """
    lines = [as_line(speaker, memory) for memory in memories]
    if last:
        lines.insert(len(lines) - 1, f"From {listener} to {speaker}: {last}")
    lines.append(f"From {speaker} to {listener}:")
    return "\n".join(lines)


def plan_prompt(
    person: str, job: str, age: int, when: str, place: str, memories: Sequence[str]
) -> str:
    """Ask what somebody plans for some hours in a place."""
    minds = [f"{first_name(person)} remembers: {memory}\n" for memory in memories]
    return f"{PLAN}{''.join(minds)}{person}, {job}, {age}. {when}, {place}: I will"


def revision_prompt(person: str, hour: str, plan: str, heard: str, goes: bool) -> str:
    """Ask for the reason why somebody follows an invitation, or does not."""
    short = first_name(person)
    will = "will go" if goes else "will not go"
    return (
        f"{REVISION}{person} planned for {hour}: {plan}\n{heard}\n"
        f"{short} {will}, because"
    )


def focus_prompt(person: str, memories: Sequence[str]) -> str:
    """Ask for a question that somebody can answer from these memories."""
    short = first_name(person)
    return (
        f"{FOCUS}{person} remembers:\n{numbered(memories)}\n"
        f"The question that {short} asks:"
    )


def insight_prompt(person: str, question: str, memories: Sequence[str]) -> str:
    """Ask what somebody concludes from these memories about a question."""
    short = first_name(person)
    return (
        f"{INSIGHT}{person} asks: {question}\n{numbered(memories)}\n{short} concludes:"
    )


def importance_prompt(memory: str) -> str:
    """Ask how important a memory is, from 1 to 10."""
    return f"{IMPORTANCE}{memory}"


def rating_in(reply: str) -> int | None:
    """Return the number from 1 to 10 in a reply to it; None for another reply.

    >>> rating_in("7. It matters"), rating_in("10 of 10"), rating_in("²")
    (7, None, None)
    """
    digits = "".join(letter for letter in reply.split(".")[0] if letter.isdecimal())
    value = int(digits) if len(digits) in (1, 2) else 0
    return value if 1 <= value <= MOST_IMPORTANT else None


def interview_prompt(person: str, question: str, memories: Sequence[str]) -> str:
    """Ask what somebody answers to a visitor, given what comes to mind, best last."""
    lines = [as_line(person, memory) for memory in reversed(memories)]
    lines.append(f"From a visitor to {person}: {question}")
    lines.append(f"From {person} to a visitor:")
    return INTERVIEW + "\n".join(lines)


def numbered(lines: Sequence[str]) -> str:
    """Return lines with their numbers, from 1.

    >>> print(numbered(["It rains.", "It pours."]))
    1. It rains.
    2. It pours.
    """
    return "\n".join(f"{i}. {line}" for i, line in enumerate(lines, 1))
