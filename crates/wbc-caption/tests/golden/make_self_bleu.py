"""Prints golden values of self-BLEU: pip install nltk==3.10.4, python make_self_bleu.py > self_bleu.json

Self-BLEU is Texygen's (Zhu et al. 2018): the mean sentence BLEU-4 of each text with all others as references, with
method-1 smoothing of Chen and Cherry (2014). Tokens are words in lower case and single punctuation marks.
"""

import json
import re

import nltk
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

SETS = [
    [
        "A basophil with an irregular nucleus. The granules are coarse and stain purple.",
        "Teaching example: a large, round basophil with coarse purple granules and an irregular nucleus.",
        "basophil, large cell, low nuclear-cytoplasmic ratio, coarse granules",
        "What is seen here? It is a large basophil. Coarse granules are purple.",
    ],
    ["no vacuoles", "no vacuoles", "round nucleus", "a round nucleus with dense chromatin and no vacuoles at all"],
    ["dense", "dense chromatin", "dense chromatin, dense chromatin, dense chromatin"],
    ["the cell diameter is about 62 px", "The nucleus fills 62 % of the cell.", "N:C ratio: high; cytoplasm: scant."],
    ["pink granules fill this big cell", "a round nucleus with dense chromatin", "nothing is shared here at all"],
]


def tokens(text):
    return re.findall(r"[^\W_]+|[^\w\s]|_", text.lower())


def self_bleu(texts):
    all_tokens = [tokens(t) for t in texts]
    smoothing = SmoothingFunction().method1
    scores = [
        sentence_bleu(all_tokens[:i] + all_tokens[i + 1 :], t, smoothing_function=smoothing)
        for i, t in enumerate(all_tokens)
    ]
    return sum(scores) / len(scores)


print(json.dumps({"nltk": nltk.__version__, "sets": [{"texts": s, "self_bleu": self_bleu(s)} for s in SETS]}, indent=1))
