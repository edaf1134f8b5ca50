"""Readable titles for the demo log: what a film is about can be told from its words."""

from __future__ import annotations

import numpy as np

WORDS = {
    "crime": (
        "Silent Crooked Midnight Second Borrowed Cold Hollow Final Guilty Nameless",
        "Verdict Alibi Harbour Witness Ledger Suspect Detective Heist Informer Precinct",
    ),
    "space": (
        "Distant Orbital Silver Frozen Lost Infinite Quiet Burning Seventh Drifting",
        "Orbit Colony Signal Comet Starship Airlock Moon Horizon Beacon Galaxy",
    ),
    "romance": (
        "Summer Tender Secret Paper Unsent Parisian Golden Autumn First Reluctant",
        "Letter Waltz Promise Kiss Bouquet Heart Courtship Reunion Sweetheart Serenade",
    ),
    "horror": (
        "Whispering Crimson Buried Hungry Pale Forgotten Rotten Endless Crawling Cursed",
        "Cellar Manor Ritual Doll Asylum Shadow Scream Séance Fog Grave",
    ),
    "western": (
        "Dusty Lonesome Iron Wild Broken Scarlet Painted Bitter Outlaw Prairie",
        "Canyon Saddle Sheriff Stagecoach Ranch Revolver Frontier Posse Mesa Saloon",
    ),
    "comedy": (
        "Accidental Clumsy Perfect Terrible Awkward Unlikely Cheerful Overdue Suburban Rented",
        "Wedding Roommate Vacation Butler Neighbour Holiday Landlord Babysitter Mayor Honeymoon",
    ),
    "war": (
        "Fallen Northern Bloody Brave Winter Steel Weary Sunken Forward Silent",
        "Trench Battalion Convoy Bridge Sniper Regiment Armistice Soldier Submarine Siege",
    ),
    "animation": (
        "Little Tiny Magic Brave Sleepy Purple Flying Curious Lucky Giggling",
        "Hedgehog Dragon Teapot Penguin Lighthouse Robot Kite Acorn Otter Balloon",
    ),
    "documentary": (
        "Living Vanishing Ordinary Hidden Melting Deep Ancient Human Working Shrinking",
        "Ocean Glacier Village Archive Reef Forest River Archivist Harvest Migration",
    ),
    "fantasy": (
        "Ember Moonlit Elder Shattered Thorn Ivory Everlasting Veiled Wandering Sapphire",
        "Crown Wizard Sword Citadel Oracle Amulet Realm Griffin Prophecy Throne",
    ),
    "music": (
        "Electric Velvet Broken Loud Blue Restless Acoustic Neon Southern Backstage",
        "Guitar Encore Jukebox Trumpet Rhythm Ballad Orchestra Vinyl Chorus Drummer",
    ),
    "sport": (
        "Underdog Extra Golden Muddy Undefeated Last Barefoot Fearless Home Uphill",
        "Marathon Inning Goalkeeper Ring Sprint Coach League Trophy Penalty Pitcher",
    ),
}
"""Genre: adjectives and nouns."""

PATTERNS = (
    "The {adjective} {noun}",
    "{adjective} {noun}",
    "Return of the {adjective} {noun}",
    "Night of the {adjective} {noun}",
)


def titles(genres: np.ndarray, years: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """One title for each item of a genre (a number) and year; no two are alike even without the year."""
    names: np.ndarray = np.empty(len(genres), dtype=object)
    for genre, words in enumerate(WORDS.values()):
        adjectives, nouns = (part.split() for part in words)
        phrases = [
            pattern.format(adjective=adjective, noun=noun)
            for pattern in PATTERNS
            for adjective in adjectives
            for noun in nouns
        ]
        places = np.flatnonzero(genres == genre)
        likely = np.repeat([3.0, 2.0, 0.3, 0.3], len(phrases) // 4)
        drawn = np.argsort(-np.log(generator.random(len(phrases))) / likely)[: len(places)]
        names[places] = [f"{phrases[at]} ({year})" for at, year in zip(drawn, years[places], strict=True)]
    return names
