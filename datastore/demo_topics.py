"""What people of the demo world talk about: topics with their things and lines. Pure functions of a random source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random


def phrases(text: str) -> list[str]:
    """The parts between the bars; line breaks count as spaces."""
    return [part.strip() for part in " ".join(text.split()).split("|")]


_TAILS = phrases(
    """
    More tea. | Small victories. | That is all. | Happy Monday, whatever day it is. | You had to be there. | Ask me
    how I know. | Photos later. | No further questions. | Ten out of ten. | Send help, or cake. | I needed that. |
    Same time tomorrow? | Tell me I am not alone. | Worth every minute. | It is the little things.
    """
)


@dataclass(frozen=True, slots=True)
class Topic:
    """Something people talk about: `lines` say it, with {it} for one of `things`."""

    tag: str
    things: Sequence[str]
    lines: Sequence[str]

    def tweet(self, random: Random) -> str:
        """One tweet; seldom the same twice."""
        text = random.choice(self.lines).format(it=random.choice(self.things))
        text = text[0].upper() + text[1:]
        if random.random() < 0.45:
            text += " " + random.choice(_TAILS)
        return f"{text} #{self.tag}" if random.random() < 0.3 else text


def _topic(tag: str, things: str, lines: str) -> Topic:
    return Topic(tag, phrases(things), [line.strip() for line in lines.strip().splitlines()])


TOPICS: Mapping[str, Topic] = {
    "bread": _topic(
        "baking",
        """
        rye loaf | sourdough | seeded loaf | focaccia | tray of cardamom buns | oat loaf | brioche | flatbread | malt
        loaf | walnut braid
        """,
        """
        The {it} came out of the oven singing. Best sound in the house.
        Third try at the {it} and it finally looks like the picture.
        Who else is up at five for the {it}?
        Left the {it} to rise, came back to find it had plans of its own.
        Swapping a warm {it} for somebody's jar of plum jam.
        Note to self: the {it} wants more salt and more patience.
        My neighbour says the {it} woke her up, and that it is a compliment.
        New flour, same oven, completely different {it}.
        """,
    ),
    "birds": _topic(
        "birdwatch",
        """
        wren | heron | goldfinch | kingfisher | barn owl | starling | nuthatch | cormorant | tawny owl | lapwing
        """,
        """
        Saw a {it} on the way to work and was late because of it.
        The {it} is back by the canal. Same branch, same attitude.
        Ten minutes of quiet, one {it}, day saved.
        I swear this {it} knows when I have forgotten my binoculars.
        First {it} of the year! Writing it on the calendar in red.
        Explained to a four year old what a {it} is. She explained it back better.
        There is a {it} on the roof and nobody gets to use the stairs until it leaves.
        Does anybody have a good way to tell a young {it} from an old one?
        """,
    ),
    "bicycles": _topic(
        "bikelife",
        """
        back wheel | new saddle | rusty chain | front light | old steel frame | bell | cargo box | left pedal | brake
        cable | dynamo
        """,
        """
        Spent the evening on the {it}. The kitchen now smells of oil.
        The {it} held all the way over the pass and broke in front of my door.
        Headwind both ways again. The {it} has seen better days, so have I.
        A stranger stopped to help with my {it}. People are alright.
        Whoever invented the {it}: thank you, it was a good ride.
        It is not the {it} that squeaks. I have checked. It is everything else.
        Forty kilometres before breakfast, and only the {it} complained.
        Free to a good home: one {it}, slightly adventurous.
        """,
    ),
    "garden": _topic(
        "garden",
        """
        tomatoes | runner beans | broad beans | sweet peas | courgettes | strawberries | gooseberries | radishes |
        sunflowers | peonies
        """,
        """
        Talked to the {it} this morning. They are doing better than me.
        The {it} survived the frost! I did not dare to look until noon.
        Anybody want {it}? I have enough for the street.
        One does not plant {it}. One negotiates with the slugs.
        Rain at last. You can hear the {it} say thanks.
        Advice on {it}, please: too much sun, or too much me?
        Two years of waiting, and today the first {it} worth the name.
        The hedgehog has moved in behind the {it}. Rent is paid in slugs.
        """,
    ),
    "books": _topic(
        "reading",
        """
        a book of sea stories | an atlas from the attic | a very long novel | a thin book of poems | a cookbook with
        no pictures | a history of salt | the diary of a lighthouse keeper | a mystery set on a train | a field guide
        to clouds | a book about glue
        """,
        """
        Started {it} on the tram and missed my stop.
        Found {it} with somebody's shopping list in it: eggs, string, courage.
        Recommending {it} to everybody until one of you gives in.
        The library had {it} all along, one shelf below where I looked for years.
        Halfway through {it} and reading slower so that it lasts.
        Lent out {it} in spring. It came home with coffee rings and new friends.
        What do you read after {it}? Nothing feels right.
        Reading {it} aloud to the cat. She prefers the chapters with fish.
        """,
    ),
    "stars": _topic(
        "nightsky",
        """
        Saturn | the Pleiades | a meteor | the whole Milky Way | Jupiter and three moons | the space station | the
        Orion nebula | Venus | a thin new moon | the northern lights
        """,
        """
        Clear sky, cold hands, {it}. Worth it.
        Showed {it} to the neighbours' kids and nobody said a word for a minute.
        The clouds opened for ten seconds and there was {it}.
        Set the alarm for three to see {it}. Ask me tomorrow whether I regret it.
        My first photo of {it}! Blurry, crooked, mine.
        Dark skies tonight: look south around ten for {it}.
        Every time I see {it} my list of problems gets shorter.
        The telescope is older than I am and still finds {it}.
        """,
    ),
    "music": _topic(
        "homemusic",
        """
        cello | old upright piano | banjo | trombone | harmonium | clarinet | squeezebox | mandolin | double bass |
        tin whistle
        """,
        """
        Two hours with the {it} and one good bar to show for it.
        The {it} next door is learning the tune I gave up on. Cheering quietly.
        Rehearsal tonight: the {it} was in tune, the rest of us were in time.
        Anyone near the old town want to play? We have a {it} and biscuits.
        There is no bad day that ends with a {it}.
        Cleaned the {it} and found a coin from 1962.
        Recorded the {it} on the stairwell. What an echo!
        My teacher says the {it} forgives everything except hurry.
        """,
    ),
    "hills": _topic(
        "hiking",
        """
        the ridge | the old mill path | the long loop round the lake | the pass | the fire tower | the bog boardwalk |
        the north face hut | the pilgrim road | the quarry trail | the beech wood
        """,
        """
        Up {it} before the rain, down again in it.
        Met nobody on {it} but a fox with somewhere to be.
        New boots, {it}, two blisters, no regrets.
        The view from {it} was fog, fog, a cow, fog.
        Sandwiches taste better on {it}. This is science.
        Took my mother up {it}. She waited for me at the top.
        If you go to {it} this weekend: the bridge is out, the ford is fine.
        Found a glove on {it}. Left hand, blue, clearly loved.
        """,
    ),
    "making": _topic(
        "handmade",
        """
        three-legged stool | bookshelf | wool jumper | clay teapot | kite | birdhouse | patchwork quilt | wooden spoon
        | lampshade | picnic table
        """,
        """
        Finished the {it}! It wobbles, but with confidence.
        Measured twice, cut once, still wrong. The {it} is now a smaller one.
        Somebody asked to buy the {it} and I forgot how to speak.
        Day nine of the {it}. We have stopped arguing.
        Learned from my grandfather: a {it} is done when you stop looking at it.
        The {it} goes to my sister. She does not know yet, do not tell her.
        Sanding, sanding, sanding. Somewhere in here is a {it}.
        What do you seal a {it} with? Oil, wax, hope?
        """,
    ),
    "kitchen": _topic(
        "supper",
        """
        lentil soup | mushroom dumplings | pickled beets | apple cake | chickpea stew | leek pie | pancakes | noodles
        with far too much garlic | plum jam | potato salad
        """,
        """
        Made {it} for two, which means for six.
        The secret of {it} is to hum. I do not make the rules.
        Rainy evening, {it}, radio on low.
        My aunt's recipe for {it} says: cook until it is enough. Thanks.
        Burned the {it}. Called it rustic. They asked for more.
        Potluck on Saturday, I bring {it}. Who brings chairs?
        Tried {it} with smoked paprika and there is no way back.
        It has been a week of {it} and I am not even sorry.
        """,
    ),
    "code": _topic(
        "smalltools",
        """
        parser | tiny web server | clock widget | text editor | build script | regular expression | bus timetable app
        | chess clock | spreadsheet macro | weather bot
        """,
        """
        Deleted half of the {it} and it got faster. There is a lesson here.
        The bug was not in the {it}. The bug was me, last Tuesday.
        Rubber duck debugging works, but mine now has opinions on the {it}.
        Wrote a {it} on the train. Forty lines, no network, pure joy.
        Someone I never met fixed a typo in my {it} and it made my day.
        The {it} passes all its tests. Now I do not trust the tests.
        Naming things is hard. The {it} is called Gerald until further notice.
        Pairing tomorrow on the {it}. Bring snacks and low expectations.
        """,
    ),
    "trains": _topic(
        "slowtravel",
        """
        night train | branch line | rail replacement bus | narrow gauge line | harbour tram | funicular | restaurant
        car | last train home | ferry train | mountain railway
        """,
        """
        On the {it} with a window seat and nowhere to be. Luxury.
        The {it} is late. The whole platform now knows each other's names.
        Four borders, one {it}, a bag of pears.
        Fell asleep on the {it} and woke up at the sea. No complaints.
        The conductor on the {it} wished everybody a good life. Not a good day: a good life.
        Timetables are poetry. Tonight's poem is about the {it}.
        If you ever get the chance to take the {it}, take the slow one.
        A child on the {it} waves at every cow. All of us do now.
        """,
    ),
}
