"""What people of the demo world are called and say: names, bios, tweets and answers, all invented. Pure functions."""

from collections.abc import Sequence
from random import Random

from datastore.demo_topics import phrases

_GIVEN = phrases(
    """
    Ada | Aiko | Amara | Anselm | Anouk | Arjun | Asha | Astrid | Bao | Beatriz | Bela | Bram | Callum | Carys | Chidi
    | Clio | Dalia | Davor | Devi | Dunya | Edda | Eero | Elif | Elio | Emeka | Enzo | Esme | Farah | Fennel | Finn |
    Freya | Gita | Goran | Hana | Hugo | Ibo | Ilse | Imani | Ines | Ivo | Jamal | Jana | Joon | Juno | Kaia | Kamal |
    Keiko | Kofi | Lark | Lena | Leo | Linh | Lotte | Luca | Lupe | Mabel | Maeve | Malik | Mara | Mateo | Mei | Milo
    | Mina | Nadia | Nico | Nils | Noor | Odile | Oksana | Olu | Orla | Otis | Pavel | Petra | Priya | Quill | Rafa |
    Ravi | Remy | Rosa | Rune | Saba | Sami | Selma | Signe | Sol | Suki | Tariq | Tess | Thea | Tomas | Uma | Vera |
    Viggo | Wanda | Wren | Xenia | Yara | Yusuf | Zadie | Zola
    """
)
_FAMILY = phrases(
    """
    Alderbrook | Applegarth | Ashlock | Barleymow | Birchwood | Blackthorn | Bramblecote | Bridgewell | Brightwater |
    Cloudsley | Copperfield | Cranefield | Dovecote | Driftwell | Elmhollow | Fairweather | Fernley | Fieldhouse |
    Foxglove | Gladeshore | Goldcrest | Greenhithe | Hartwood | Hazelmere | Heronsgate | Hollybank | Juniper |
    Kingfisher | Lanternes | Larkspur | Lindenau | Longmeadow | Maplethorpe | Marigold | Millstone | Mossley |
    Nightingale | Oakenshaw | Orchard | Pebblewick | Pinecroft | Quickwater | Reedmoor | Rosewater | Rowanlea |
    Saltmarsh | Sandpiper | Seabright | Silverbirch | Skylark | Snowdrop | Stillwater | Stonebridge | Summerlea |
    Swallowtail | Thistledown | Tidewell | Underhill | Wavecrest | Wildgoose | Windermoor | Woodlark | Yarrow
    """
)
_TRADES = phrases(
    """
    Baker | Night nurse | Bookbinder | Gardener | Ferry mate | Teacher | Map maker | Piano tuner | Bicycle mender |
    Beekeeper | Translator | Tram driver | Potter | Retired surveyor | Student of mosses | Sound engineer | Carpenter
    | Librarian | Vet | Weather watcher
    """
)
_QUIRKS = phrases(
    """
    Tea first | Always early | Easily distracted by dogs | Learning to whistle | Opinions my own, jokes borrowed | Ask
    me about moss | Left-handed | Two cats, no plan | Slow replies, warm heart | Here for the small things | Lists,
    mostly | Mostly outdoors | Will trade recipes | Bad puns on Fridays | Looking up | Still reading the manual
    """
)
_ANSWERS = phrases(
    """
    @{name} this made me smile, thank you. | @{name} same here, every single time. | @{name} tell us more about it! |
    @{name} I was just thinking about that. | @{name} you have convinced me, starting on {day}. | @{name} my {kin}
    says exactly the same. | @{name} we need pictures. | @{name} and how did it end? | @{name} can I come along on
    {day}? | @{name} saving this for a rainy {day}. | @{name} respectfully: best thing I read today. | @{name} my
    {kin} taught me the opposite, now I am torn. | @{name} that is the spirit. | @{name} count me in. | @{name} it
    took me years to learn that. | @{name} wait until you try it on a {day}. | @{name} printing this out for my {kin}.
    | @{name} I laughed so loud that my {kin} came to look. | @{name} yes! Finally somebody says it. | @{name} next
    time bring enough for all of us.
    """
)
_DAYS = phrases("Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday")
_KIN = phrases("grandmother|brother|neighbour|aunt|daughter|uncle|flatmate|sister|boss|choir")

# The demo author keeps a harbour; 11 and 13 share no factor, so that 143 posts pass before a pair comes again.
_LOG = "Harbour log"
_SEEN = (
    "a seal on the slipway, asleep",
    "fog to the second buoy",
    "three small boats out, three back",
    "the ferry, eleven minutes late, waving",
    "a rainbow with one foot in the bay",
    "oystercatchers in dispute over a rock",
    "flat water, you could write on it",
    "a crate of lemons, nobody's",
    "wind from the west, smelling of rain",
    "the first swimmers, pretending it is warm",
    "a kite stuck to the lighthouse",
)
_FELT = (
    "Kettle on.",
    "The lamp is lit.",
    "Good night for staying in.",
    "Tide turns in an hour.",
    "Who is out there tonight?",
    "All is well.",
    "I could watch this all day, and do.",
    "Sound carries far this evening.",
    "Tell me what you see from your window.",
    "Mind the steps, they are wet.",
    "The cat has signed the log with a paw.",
    "Nothing to report, gladly reported.",
    "Hello to everybody awake.",
)


def name(random: Random) -> tuple[str, str]:
    """A username that passes the rules, and a display name."""
    given, family = random.choice(_GIVEN), random.choice(_FAMILY)
    low, number = given.lower(), random.randrange(2, 99)
    usernames = (f"{low}_{family.lower()}", f"{low}{number}", f"{family.lower()}_{low[0]}", f"{given}{family}")
    username = random.choice([each for each in usernames if len(each) <= 15])
    display_name = random.choice((f"{given} {family}",) * 3 + (given, f"{given} {family[0]}."))
    return username, display_name


def bio(random: Random, topics: Sequence[str]) -> str:
    """Who somebody is, in one line."""
    likes = " and ".join(topics)
    return f"{random.choice(_TRADES)}. {likes.capitalize()}. {random.choice(_QUIRKS)}."


def answer(random: Random, username: str) -> str:
    """An answer to anything this person says."""
    return random.choice(_ANSWERS).format(name=username, day=random.choice(_DAYS), kin=random.choice(_KIN))


def is_log_entry(text: str) -> bool:
    """Whether the demo author wrote this into the log."""
    return text.startswith(_LOG)


def log_entry(number: int) -> str:
    """The demo author's entry of this number; no two numbers give the same."""
    tag = " #harbourlog" if number % 5 == 0 else ""
    return f"{_LOG} {number}: {_SEEN[number % len(_SEEN)]}. {_FELT[number % len(_FELT)]}{tag}"
