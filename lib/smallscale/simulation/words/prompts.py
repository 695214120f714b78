"""What is a speaker asked? Each question is a text whose last line is to be continued.

Two made-up examples show what is wanted, then come the person, what they remember, and
the line to continue. What somebody said stands between quotation marks.
"""

from collections.abc import Sequence

TALK = """\
Lena Wolf, dentist, meets Tom Reed, a friend, in the park.
Lena remembers: Otto Fink said: "I am selling my boat in the harbour."
Lena Wolf says to Tom Reed: "Otto Fink is selling his boat in the harbour."

Tom Reed, sailor, meets Lena Wolf, a friend, in the shop.
Tom remembers: I planned to paint the fence in the afternoon.
Lena Wolf said: "My brother is coming on Friday."
Tom Reed says to Lena Wolf: "How nice that your brother is coming on Friday. I want \
to paint the fence."

"""
PLAN = """\
Lena Wolf, dentist, 40. Monday, 09:00 to 12:00, in the clinic: I will see my patients \
and look after their teeth.
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
Lena Wolf remembers:
1. Tom Reed said: "I am learning to dance."
2. I planned to see my patients.
Somebody asks: "What is Tom Reed doing?"
Lena Wolf answers: "Tom Reed is learning to dance."

Tom Reed remembers:
1. I planned to mend my nets.
Somebody asks: "Have you heard of a wedding?"
Tom Reed answers: "No, I have not heard of a wedding."

"""


def first_name(name: str) -> str:
    """Return how a person is called for short."""
    return name.split()[0]


def talk_prompt(
    speaker: str,
    job: str,
    listener: str,
    relation: str,
    place: str,
    memories: Sequence[str],
    heard: Sequence[str] = (),
) -> str:
    """Ask what somebody says to somebody, given what comes to mind.

    heard: what was said in this talk so far, each as `Name said: "…"`.
    """
    short = first_name(speaker)
    lines = [f"{speaker}, {job}, meets {listener}, {relation}, {place}."]
    lines += [f"{short} remembers: {memory}" for memory in memories]
    lines += heard
    lines.append(f'{speaker} says to {listener}: "')
    return TALK + "\n".join(lines)


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


def interview_prompt(person: str, question: str, memories: Sequence[str]) -> str:
    """Ask what somebody answers to a question, given what comes to mind."""
    return (
        f"{INTERVIEW}{person} remembers:\n{numbered(memories)}\n"
        f'Somebody asks: "{question}"\n{person} answers: "'
    )


def numbered(lines: Sequence[str]) -> str:
    """Return lines with their numbers, from 1.

    >>> print(numbered(["It rains.", "It pours."]))
    1. It rains.
    2. It pours.
    """
    return "\n".join(f"{i}. {line}" for i, line in enumerate(lines, 1))
