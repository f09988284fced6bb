"""Short texts of three topics that a small model can tell apart."""

import random

TOPICS = {
    "food": ["soup", "bread", "cheese", "salad", "pepper", "butter", "lemon", "rice"],
    "sport": ["goal", "match", "team", "race", "player", "coach", "league", "score"],
    "music": ["song", "guitar", "chorus", "album", "drum", "melody", "singer", "tune"],
}


def topic_rows(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Make `count` texts and their topics."""
    chooser = random.Random(seed)
    fillers = ["the", "a", "of", "with", "and", "new", "some", "very"]
    rows = []
    for number in range(count):
        topic = list(TOPICS)[number % len(TOPICS)]
        words = chooser.sample(TOPICS[topic], 3) + chooser.sample(fillers, 3)
        chooser.shuffle(words)
        rows.append((f"{' '.join(words)} {number}", topic))
    return rows
