"""Which words are verbs, which are near one another? The little English that turning a question round needs.

Jia & Liang 2017 take this from CoreNLP, WordNet and GloVe. Here it is a few lists and rules that fit on two pages:
less than English, and enough for most questions; what they cannot place is left out, not guessed.
"""

import re


def listed(text: str) -> list[str]:
    """The words of a list, which takes a quarter of the room of a list of words."""
    return text.split()


# base past participle
IRREGULAR = """
arise arose arisen|be was been|bear bore born|beat beat beaten|become became become|begin began begun
bind bound bound|break broke broken|breed bred bred|bring brought brought|broadcast broadcast broadcast
build built built|burn burned burned|buy bought bought|catch caught caught|choose chose chosen|come came come
commit committed committed|control controlled controlled|cost cost cost|cut cut cut|deal dealt dealt
defer deferred deferred|do did done|draw drew drawn|drive drove driven|eat ate eaten|fall fell fallen|feed fed fed
feel felt felt|fight fought fought|find found found|flee fled fled|fly flew flown|forbid forbade forbidden
forget forgot forgotten|get got gotten|give gave given|go went gone|grow grew grown|have had had|hear heard heard
hide hid hidden|hit hit hit|hold held held|keep kept kept|know knew known|lay laid laid|lead led led
learn learned learned|leave left left|lend lent lent|let let let|lie lay lain|lose lost lost|make made made
mean meant meant|meet met met|occur occurred occurred|overcome overcame overcome|overtake overtook overtaken
overthrow overthrew overthrown|patrol patrolled patrolled|pay paid paid|permit permitted permitted
prefer preferred preferred|propel propelled propelled|prove proved proven|put put put|read read read
rebuild rebuilt rebuilt|refer referred referred|ride rode ridden|rise rose risen|run ran run|say said said|see saw seen
seek sought sought|sell sold sold|send sent sent|set set set|shake shook shaken|shed shed shed|shoot shot shot
show showed shown|shrink shrank shrunk|shut shut shut|sing sang sung|sink sank sunk|sit sat sat|sleep slept slept
speak spoke spoken|spend spent spent|split split split|spread spread spread|stand stood stood|steal stole stolen
stick stuck stuck|strike struck struck|submit submitted submitted|sweep swept swept|swim swam swum|take took taken
teach taught taught|tell told told|think thought thought|throw threw thrown|transfer transferred transferred
travel traveled traveled|undergo underwent undergone|understand understood understood|uphold upheld upheld
undertake undertook undertaken|wear wore worn|win won won|withdraw withdrew withdrawn|write wrote written
"""
REGULAR = """
abandon abolish absorb accept accomplish account achieve acquire act activate adapt add address adhere admit adopt advance
affect agree aid aim air allow ally alter amend analyze announce answer appear apply appoint approach approve argue arrive
ask assemble assert assign assist associate assume attack attempt attend attract authorize avoid award ban base believe
belong block borrow calculate call capture carry cause cease celebrate challenge change characterize charge cite claim
classify close collaborate collapse collect colonize combine commission compare compete complete compose comprise
compromise concern conclude condemn conduct confess confirm connect conquer consider consist construct consult consume
contain continue contradict contribute convert convince cook cooperate cover create cross cure damage date debate declare
decline decrease defeat defend define deliver demand demonstrate deny depart depend deploy derive describe design destroy
detect determine develop devise die differ direct disagree disappear discover discuss dislike dismiss dissolve distribute
divide dominate donate drop earn effect elect eliminate embrace emerge emigrate employ emulate enable encourage end
enforce engage enjoy enlarge enlist ensure enter equal escape establish estimate evolve examine exceed exchange exclude
execute exert exist expand expect experience explain exploit explore export express extend face fail favor feature finance
finish fix flow focus follow force form formulate found function fund gain gather generate govern graduate grant guard
happen harm help hire host house identify ignore illustrate imagine implement imply import impose improve include increase
indicate infect influence inform inhabit inherit initiate inspire install intend interact introduce invade invent invest
investigate invite involve issue join judge jump justify kill label lack land last launch license limit link live locate
look lower maintain manage manufacture march mark marry match measure mention merge migrate mine model move murder name
need negotiate note object oblige observe obtain occupy offer open operate oppose order organize originate overlap own
participate partner pass perform persuade pick place plan play pledge point portray possess practice praise predate
predict prepare present preserve prevent print proclaim produce prohibit promise promote propose protect protest provide
publish pull pump punish purchase push raise rank reach react realize receive recognize recommend record recruit reduce
reflect reform refuse regain regard register regulate reject relate release rely remain remove rename repeal replace
report represent request require research resemble reside resist resolve respond rest restore restrict result resume
retain retire retreat return reveal reverse reward rule sail satisfy save schedule search secure seem seize select
separate serve settle share sign signify solve sound spark sponsor staff start state stay stem stop stress strive study
succeed suffer suggest suit supply support suppress surrender surround survive suspend switch symbolize talk target tend
test threaten tie touch trace trade train transform translate transport trap treat trigger try turn undermine unify unite
use value vary view violate visit vote wait walk want warn weaken weigh wish witness work worship yield
"""

# Words that may stand for one another and mean something else: antonyms, and members of one kind.
KINDS = """
first last|earliest latest|early late|oldest newest|old new|older younger|largest smallest|large small|larger smaller
big tiny|biggest tiniest|high low|higher lower|highest lowest|long short|longest shortest|longer shorter|major minor
main secondary|primary secondary|most least|best worst|better worse|good bad|strong weak|stronger weaker
strongest weakest|rich poor|wealthy poor|modern ancient|national regional|international domestic|foreign domestic
global local|legal illegal|formal informal|positive negative|internal external|inner outer|upper lower|hard easy
difficult easy|hardest easiest|popular unpopular|important trivial|permanent temporary|military civilian
natural artificial|similar different|equal unequal|male female|maximum minimum|quick slow|fast slow|hot cold|wet dry
light heavy|former current|next previous|final initial|northern southern eastern western|north south east west
northeast southwest|northwest southeast|king duke emperor prince|queen duchess empress princess
president minister governor mayor|father uncle brother grandfather|mother aunt sister grandmother|son nephew
daughter niece|husband cousin|wife cousin|men women|boys girls|man woman|army navy|war rebellion|battle siege
treaty truce|city village|cities villages|town hamlet|country province|countries provinces|nation tribe|nations tribes
river mountain lake forest|rivers mountains lakes|church monastery|school hospital academy
schools hospitals academies|university museum|universities museums|book painting song|books paintings songs
company charity|companies charities|language religion|languages religions|museum theatre|bridge tower|bridges towers
railway canal|road tunnel|theory legend|theorem conjecture|scientist poet philosopher|author editor|students soldiers
student soldier|teacher lawyer doctor|professor lawyer|machine instrument|machines instruments|disease allergy
diseases allergies|protein enzyme|proteins enzymes|oil coal|water sand|parliament court|election trial
members visitors|member visitor|party club|parties clubs|government opposition|bill petition|bills petitions
island peninsula|islands peninsulas|ship wagon|ships wagons|building garden|buildings gardens|algorithm experiment
algorithms experiments|problem riddle|problems riddles|network orchestra|gas liquid|increase decrease
"""
MONTHS = listed("January February March April May June July August September October November December")
DAYS = listed("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
NUMBERS = listed("two three four five six seven eight nine ten eleven twelve")
ORDINALS = listed("second third fourth fifth sixth seventh eighth ninth tenth")

# Invented, for files that have too few of their own.
STAND_INS = {
    kind: names.split("|")
    for kind, names in {
        "person": "Mirela Vance|Oskar Lindt|Jonas Aldery|Tessa Corwin|Emil Radko|Ines Falk|Hugo Brandt|Clara Munz",
        "place": "Brackwater|Port Haldane|Velmora|Eastmere|Karsund|Tolvik|Ardenholm|Quillby",
        "people": "Velmorans|Haldanes|Karsunders|Tolvikers|Quillbyans|Arkanders",
        "adjective": "Velmoran|Karsundish|Haldanian|Tolvikese|Ardenic|Eastmerian",
        "the": "Ardenholm Council|Karsund Gap|Tolvik League|Haldane Canal|Velmora Range|Eastmere Fund",
        "acronym": "KORV|TLD|UNAR|BELQ|GRAP|OSTI",
        "other": "Ardenholm|Merrowin|Tolvara|Quelic|Brandovar|Sethune",
        "thing": "lantern|orchard|barometer|violin|harbour|copper|almanac|granite",
        "things": "lanterns|orchards|barometers|violins|harbours|almanacs|ladders|kettles",
    }.items()
}

DETERMINERS = set(listed("the a an this that these those its his her their some any each every no another"))
PREPOSITIONS = set(
    listed(
        "about above across after against along among amongst around as at before behind below between beyond by "
        "despite during for from in inside into like near of off on onto out outside over per since through "
        "throughout to toward towards under until up upon via with within without according because due down"
    )
)
BE, DO, HAVE = set(listed("is are was were")), set(listed("do does did")), set(listed("has have had"))
MODAL = set(listed("can could will would may might must should"))
AUXILIARY = BE | DO | HAVE | MODAL
NEGATED = set(listed("doesn't don't didn't isn't wasn't aren't weren't"))

# What a predicate may begin with after a form of to be, participles aside; and words in -ed that are none.
PREDICATES = set(listed("famous able unable capable incapable responsible based similar available present equal likely"))
NOT_VERBS = set(listed("united hundred indeed need speed seed breed red bed limited advanced"))

FORMS = [verb.split() for verb in re.split(r"[|\n]", IRREGULAR) if verb]
PAST = {base: past for base, past, _ in FORMS}
VERBS = set(listed(REGULAR)) | set(PAST)


def past(base: str) -> str:
    """found -> founded, try -> tried, stop -> stopped, go -> went."""
    if base in PAST:
        return PAST[base]
    if base.endswith("e"):
        return base + "d"
    if re.search(r"[^aeiou]y$", base):
        return base[:-1] + "ied"
    if re.fullmatch(r"[^aeiou]*[aeiou][bdgklmnprt]", base):  # one syllable, one vowel, one consonant
        return base + base[-1] + "ed"
    return base + "ed"


def third_person(base: str) -> str:
    """sign -> signs, carry -> carries, go -> goes, have -> has."""
    if base in ("have", "be"):
        return {"have": "has", "be": "is"}[base]
    if re.search(r"[^aeiou]y$", base):
        return base[:-1] + "ies"
    return base + ("es" if re.search(r"(s|x|z|ch|sh|o)$", base) else "s")


FINITE = AUXILIARY | NEGATED | set(PAST.values()) | {third_person(base) for base in VERBS}
PARTICIPLES = {participle for _, _, participle in FORMS}


def is_participle(word: str) -> bool:
    """signed, built, known; words in -ed that are no form of a verb are few."""
    return word in PARTICIPLES or (word.endswith("ed") and len(word) > 3 and word not in NOT_VERBS)


def is_finite(word: str) -> bool:
    """A form that can carry a sentence: signed, signs, took; auxiliaries too."""
    return word in FINITE or (word.endswith("ed") and is_participle(word))
