"""The demo's questions and answers in LLaVA's conversation form."""

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]

WRITTEN = [
    "<image>\nWhat is written?",
    "<image>\nWhich digit is in the picture?",
    "What does the picture show? <image>",
    "<image>\nRead the digit.",
]
SPOKEN = [
    "<audio>\nWhat is spoken?",
    "<audio>\nWhich digit is in the recording?",
    "What does the voice say? <audio>",
    "<audio>\nRepeat the word.",
]
BOTH = [
    "<image><audio>\nWhat is written and what is spoken?",
    "<image>\n<audio>\nRead the digit, then repeat the word.",
    "<image><audio>\nWhich digits are in the picture and in the recording?",
    "Look at the picture, listen to the recording. <image><audio>\nWhich digits are they?",
]
TWO_PICTURES = ["<image><image>\nWhich digits are in the pictures?", "<image><image>\nRead both digits."]
NEXT = ["Which digit comes after {}?", "Count on from {}."]

KINDS = ["written", "spoken", "both"]


def sample(question, answer, images=(), audios=()):
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    record = {"conversations": turns}
    for one, many, paths in (("image", "images", images), ("audio", "audios", audios)):
        if len(paths) == 1:
            record[one] = paths[0]
        elif paths:
            record[many] = list(paths)
    return record


def ask(kind, random, pictures, clips):
    """A question of one of KINDS about a random picture and recording: lists of (digit, path)."""
    written, picture = random.choice(pictures)
    spoken, clip = random.choice(clips)
    if kind == "written":
        return sample(random.choice(WRITTEN), WORDS[written], images=[picture])
    if kind == "spoken":
        return sample(random.choice(SPOKEN), WORDS[spoken], audios=[clip])
    return sample(random.choice(BOTH), f"{WORDS[written]} and {WORDS[spoken]}", images=[picture], audios=[clip])


def ask_two_pictures(random, pictures):
    (first, one), (second, two) = random.choice(pictures), random.choice(pictures)
    return sample(random.choice(TWO_PICTURES), f"{WORDS[first]} and {WORDS[second]}", images=[one, two])


def ask_next(random):
    digit = random.randrange(9)
    return sample(random.choice(NEXT).format(WORDS[digit]), WORDS[digit + 1])


def sentences():
    """Every sentence that may occur, without placeholders: what the tokenizer learns from."""
    questions = [*WRITTEN, *SPOKEN, *BOTH, *TWO_PICTURES, *(text.format(word) for text in NEXT for word in WORDS)]
    for placeholder in ("<image>", "<audio>"):
        questions = [question.replace(placeholder, "\n") for question in questions]
    return [*questions, *WORDS, *(f" and {word}" for word in WORDS)]
