//! The reader's words that steer the reading, say nothing, or must not be said; nouns and adjectives are in `vocabulary`.

/// Words that steer the reading, as normalised words.
pub(crate) const NEGATIONS: &[&str] = &[
    "no", "not", "neither", "does not", "do not", "no evidence of", "no sign of", "no signs of", "no trace of",
    "no traces of", "did not", "none of", "doesn t", "don t",
];
/// Those that deny both of two things that `and` joins.
pub(crate) const SPREADING_NEGATIONS: &[&str] = &[
    "without", "lacks", "lack", "lacking", "free of", "free from", "devoid of", "absence of", "lack of", "void of",
    "bereft of", "empty of", "without any", "lacks any", "lacking any", "lack any", "free of any", "devoid of any",
    "absence of any", "lacking in", "unmarked by", "wanting in",
];
pub(crate) const ABSENT: &[&str] = &[
    "absent", "free", "not present", "not seen", "not visible", "are not present", "is not present", "are not seen",
    "missing", "not evident", "not apparent", "not detected", "not found", "not observed", "not noted",
    "not discernible", "not identified", "cannot be seen", "cannot be found", "nowhere to be seen",
    "nowhere to be found",
];
pub(crate) const PRESENT: &[&str] = &[
    "present", "seen", "visible", "evident", "observed", "found", "shown", "noted", "apparent", "discernible",
    "noticeable", "exists", "exist", "can be seen", "can be observed", "can be found", "can be noted", "illustrated",
    "visualized", "visualised", "represented", "observable", "detected", "identifiable", "distinguishable",
    "located", "situated", "distributed", "scattered", "sprinkled", "embedded", "set", "lies", "lie", "lying",
    "sits", "sit", "sitting", "resides", "reside", "suspended", "spread", "recognisable", "recognizable",
    "perceptible", "demonstrable", "identified", "displayed", "can be identified", "can be made out",
    "can be recognised", "can be recognized", "can be discerned", "can be appreciated", "appreciated", "occur",
    "occurs", "demonstrated", "encountered", "revealed", "strewn", "dotted", "coexist", "present together",
    "noticed", "spotted", "picked out", "made out", "apparent here", "dusted",
];
/// Verbs behind which an enumeration may speak of the same noun.
pub(crate) const LINKS: &[&str] = &[
    "is", "are", "appears", "appear", "looks", "look", "stains", "stain", "remains", "appearing", "being",
    "is characterized by being", "was", "were", "stay", "stays", "remain", "takes on", "take on", "takes", "take",
    "taking on", "taking", "taken on", "has taken on", "assumes", "assume", "forms", "forming", "picks up",
    "pick up", "stained to", "is seen to be", "are seen to be", "can be described as", "is described as being",
    "shows up as", "show up as", "presents as", "present as", "described as being", "is coloured", "is colored",
    "are coloured", "are colored", "takes the form of", "take the form of", "takes the shape of", "has the form of",
    "has the shape of",
];
/// What joins a noun to what follows, up to the next comma only.
pub(crate) const SHORT_LINKS: &[&str] = &["stained", "staining", "colored", "coloured"];
/// First words of modifiers that stand behind their noun and end with themselves.
pub(crate) const TRAILING: &[&str] = &[
    "shaped", "with", "of", "in", "two", "several", "multiple", "divided", "segmented", "split", "separated", "made",
    "composed", "consisting", "consists", "comprising", "like", "drawn", "forming", "arranged",
];
/// Ends of modifiers that can stand alone behind an article: `a light blue`.
pub(crate) const NOUN_LIKE: &[&str] = &[
    "blue", "pink", "red", "purple", "indentation", "irregularity in shape", "band",
];
pub(crate) const DETERMINERS: &[&str] = &["a", "an", "the", "this", "its", "their", "some", "our"];
pub(crate) const BREAKS: &[&str] = &[
    "with", "showing", "containing", "exhibiting", "displaying", "having", "characterized by", "characterised by",
    "composed of", "consists of", "carrying", "holding", "bearing", "harbouring", "harboring", "featuring",
    "possessing", "including", "demonstrating", "enclosing", "housing", "marked by", "distinguished by",
    "recognised by", "recognized by", "identified by", "dotted with", "studded with", "filled with", "peppered with",
    "speckled with", "sprinkled with", "accompanied by", "combined with", "paired with", "comprising", "revealing",
    "presenting", "rich in", "full of", "laden with", "packed with", "stuffed with", "pitted with", "pitted by",
    "punctuated by", "crowded with", "made up of", "built of", "formed of", "loaded with", "rich with",
    "strewn with", "dusted with",
];
/// Verbs after which something is had.
pub(crate) const VERBS: &[&str] = &[
    "has", "have", "had", "shows", "show", "contains", "contain", "exhibits", "exhibit", "displays", "display",
    "depicts", "reveals", "reveal", "portrays", "presents", "presents with", "carries", "carry", "holds", "hold",
    "bears", "bear", "harbours", "harbors", "harbour", "harbor", "features", "possesses", "possess", "includes",
    "include", "demonstrates", "demonstrate", "boasts", "encloses", "enclose", "houses", "is characterized by",
    "is characterised by", "is marked by", "is distinguished by", "is filled with", "are filled with",
    "is dotted with", "is studded with", "is peppered with", "is speckled with", "is sprinkled with",
    "is packed with", "offers", "offer", "keeps", "keep", "retains", "retain",
];
/// Other words between two things.
pub(crate) const JOINTS: &[&str] = &[
    "distinguish", "distinguishes", "distinguishing", "characterise", "characterises", "characterize",
    "characterizes", "mark", "marks", "make up", "makes up", "define", "defines", "identify", "identifies",
    "identifies it as", "overlie", "overlies", "overlying", "surround", "surrounds", "encircles", "encircle",
    "encircling", "accompany", "accompanies", "are the features of", "are features of", "are the hallmarks of",
    "are hallmarks of", "is a feature of", "belong to", "belongs to", "set off by", "meets", "meet", "for", "by",
    "from", "given", "occupy", "occupying", "coexist in", "combined in", "as are", "as is", "stand out",
    "stands out", "standing out", "stand out against", "stands out against", "fills its", "combines", "combine",
    "joins", "coupled with", "fill", "fills", "crowd", "crowds", "dot", "stud", "cover", "covers", "occupies",
    "lines", "leaves room for", "leave room for", "leaving room for", "leaves room for only", "leaves only",
    "leaves space for", "leaves",
];
/// Those that tell of neighbours.
pub(crate) const NEIGHBOURS: &[&str] = &[
    "beside", "next to", "alongside", "above", "below", "beneath", "under", "surrounding", "surrounded by", "near",
    "adjacent to", "close to",
];
/// Verbs that ask at the beginning of a sentence and say nothing elsewhere.
pub(crate) const AUXILIARIES: &[&str] = &["does", "do", "can"];
/// What stands for one thing, and for many.
pub(crate) const ONE: &[&str] = &["it"];
pub(crate) const MANY: &[&str] = &["they", "these", "those"];
/// Ends of colours: `a blue-coloured cytoplasm`.
pub(crate) const COATED: &[&str] = &["colored", "coloured", "stained", "tinted", "hued"];
/// What a granulocyte can be, and the type that it is then.
pub(crate) const GRANULOCYTES: &[(&str, &str)] = &[
    ("basophilic", "basophil"),
    ("eosinophilic", "eosinophil"),
    ("neutrophilic", "neutrophil"),
];
/// What a thing may be inside of.
pub(crate) const WITHIN: &[&str] = &[
    "in", "within", "inside", "throughout", "across", "against", "among", "amid", "over", "inside of",
    "scattered through", "spread through", "dispersed through", "distributed through", "sprinkled through",
    "dispersed throughout", "dispersed in", "dispersed within", "dispersed across",
];
pub(crate) const DIMENSIONS: &[&str] = &[
    "type", "texture", "density", "appearance", "distribution", "tint", "quality", "character", "finish", "nature",
    "pattern", "tone", "shade", "cast",
];
pub(crate) const ABOUT: &[&str] = &["about", "approximately", "roughly", "around", "circa", "nearly"];
/// First words of the fillers that ask.
pub(crate) const QUESTIONS: &[&str] = &["what", "which", "how", "who", "where", "when", "whose"];
/// Words without a claim about the cell.
pub(crate) const FILLERS: &[&str] = &[
    "which", "while", "there", "as", "we", "on", "at", "also", "image", "blood", "smear", "blood smear",
    "microscopy", "teaching", "example", "note", "observe", "recognise", "look for", "finds", "find", "find in",
    "findings", "finding", "indicate", "impression", "conclusion", "diagnosis", "whose", "microscopic", "photograph",
    "picture", "consistent with", "here", "any", "depicted", "called", "known as", "presented", "one sees",
    "one notices", "one observes", "one finds", "one can see", "one can observe", "one can clearly see",
    "one detects", "one identifies", "see here", "see", "described as", "sample", "clear image", "clearly", "sees",
    "what", "how", "plain words", "like a typical", "unlike a typical", "unlike most", "on review", "on examination",
    "on inspection", "upon examination", "upon inspection", "on closer inspection", "under the microscope",
    "under microscopy", "in summary", "in brief", "in short", "overall", "in this case", "in this field",
    "in this view", "in this example", "in this image", "in this picture", "in the field", "teaching point",
    "the teaching point", "key point", "learning point", "point", "take note of", "point out", "points to", "notice",
    "notice how", "notice that", "note how", "note that", "pay attention to", "likewise", "itself", "themselves",
    "too", "additionally", "moreover", "furthermore", "in addition", "in turn", "meanwhile", "whereas", "despite",
    "despite being", "although", "though", "even though", "with regard to", "regarding", "in terms of", "as for",
    "kind", "type of", "said", "who", "where", "when", "notably", "distinctly", "plainly", "readily", "visibly",
    "noticeably", "morphologically", "description", "cytology", "morphology", "cytomorphology", "features include",
    "key features", "the key features", "main features", "which features", "what features", "feature",
    "the features", "consider", "examine", "look at", "we see", "we can see", "we find", "we observe", "you can see",
    "you see", "in plain words", "in simple terms", "put simply", "simply put", "simply", "in everyday words",
    "in everyday terms", "in other words", "that is", "this one", "of this field", "the slide", "slide", "specimen",
    "preparation", "film", "blood film", "stained smear", "view", "question", "answer", "q",
    "compared with a typical", "compared with the typical", "compared to a typical", "compared to the typical",
    "compared with most", "compared with other", "unlike the typical", "unlike other", "like the typical",
    "like most", "like other", "as in a typical", "than a typical", "relative to the nucleus",
    "in relation to the nucleus", "compared with the nucleus", "relative to its nucleus",
    "compared with its nucleus", "relative to nuclear size", "of its kind", "of its type", "in profile", "now",
    "then", "first", "finally", "again", "well", "thus", "altogether", "well as", "every", "all", "each", "only",
    "just", "nuclear features", "cytoplasmic features", "nuclear detail", "presented here", "pictured",
    "pictured here", "seen here", "captured", "captured here", "featured", "featured here", "imaged", "shown here",
    "in question", "at hand", "together", "of note", "worth noting", "importantly", "interestingly", "student",
    "students", "case", "field", "can be said about", "what can be said about", "can be said of",
    "what can be said of", "what can one say about", "examination", "examination of", "inspection", "your",
    "if you look at", "you will notice", "you will see", "you will find", "you may notice", "lecture", "pathology",
    "laboratory", "report", "class", "for your information", "think of", "proves to be", "captures", "presence of",
    "the presence of", "students should note", "one should note", "be described", "be seen", "how can",
    "this photograph", "haematology", "hematology", "histology", "impression is of", "alike", "respectively", "same",
    "the same", "here you see", "here we see", "here one sees", "shown above", "on display", "on show", "the reader",
    "readers", "learner", "learners", "trainee", "trainees", "remember", "recognised here", "recognized here",
    "seen in this field", "everyday language", "clinical", "clinical description", "equally", "there is",
    "there are", "there lies", "there lie", "imagine", "recorded for", "language", "layperson", "at all",
    "of this kind", "as follows", "in it", "peripheral blood", "peripheral blood smear", "peripheral blood film",
    "peripheral smear", "in the centre of the field", "in the center of the field", "to recognise", "to recognize",
    "what does one find", "what does one see", "what does one observe", "what does one notice", "what does one say",
    "what can one find", "what can one see", "what can one observe", "what can one notice", "what can one say",
    "does one find", "does one see", "does one observe", "does one notice", "does one say", "can one find",
    "can one see", "can one observe", "can one notice", "can one say",
];
/// Nouns for the same, in the same order: `a round shape`.
pub(crate) const RESPECT_NOUNS: [&[&str]; 4] = [
    &["colour", "color", "colours", "colors", "coloring", "colouring", "coloration", "colouration"],
    &["shape", "shapes", "form"],
    &["size", "sizes"],
    &[],
];
/// What a modifier is said to be about, and the attributes that it can be about.
pub(crate) const RESPECTS: &[(&[&str], &[&str])] = &[
    (&["in colour", "in color", "in hue", "hue", "in tint", "in tone"], &["cytoplasm_colour", "granule_colour"]),
    (&["in shape", "in outline", "in contour", "in form", "in profile"], &[
        "cell_shape", "nucleus_shape", "granule_type",
    ]),
    (&["in size"], &["cell_size", "granule_type", "nuclear_cytoplasmic_ratio"]),
    (&["in texture", "in consistency", "in density", "in amount", "in quantity"], &[
        "cytoplasm_texture", "chromatin_density", "granularity", "granule_type", "nuclear_cytoplasmic_ratio",
    ]),
];
/// Words that take back half of what is said.
pub(crate) const HEDGES: &[&str] = &[
    "may", "might", "possibly", "possible", "probably", "probable", "perhaps", "likely", "presumably", "could",
    "maybe", "seemingly", "apparently", "suggests", "suggest", "suggesting", "suggestive", "somewhat", "slightly",
    "partly", "partially", "mostly", "fairly", "rather", "relatively", "almost", "unclear", "uncertain", "doubtful",
    "can be", "appears to be", "appear to be", "resembling", "seems", "seem", "seeming", "suspected", "potentially",
    "conceivably", "arguably", "more or less", "kind of", "sort of", "tends", "tend", "tending", "appears perhaps",
    "if anything", "questionable", "equivocal", "debatable", "presumed", "would", "should", "ought", "perchance",
    "hints", "hint", "borderline", "roundish", "not clearly", "hard to say", "difficult to say",
    "cannot be excluded", "cannot be ruled out", "to some extent", "to some degree", "in part", "so to speak",
];

/// Causes, functions, diagnoses and properties that no attribute covers.
pub(crate) const INVENTIONS: &[&str] = &[
    "numerous", "many", "few", "fewer", "hundreds", "thousands", "dozens", "very", "extremely", "highly", "enormous",
    "normal", "typical", "because", "due to", "caused by", "causing", "leading to", "resulting in", "making it",
    "suitable for", "indicating", "indicates", "indicative", "function", "functions", "responsible", "role",
    "immune", "immunity", "infection", "infected", "inflammation", "inflammatory", "allergy", "allergic", "disease",
    "leukaemia", "leukemia", "leukemic", "lymphoma", "anaemia", "anemia", "cancer", "cancerous", "malignant",
    "malignancy", "benign", "pathological", "abnormal", "atypia", "blast", "blasts", "toxic", "apoptotic", "dying",
    "dead", "healthy", "activated", "reactive", "nucleolus", "nucleoli", "membrane", "mitochondria", "ribosomes",
    "vesicles", "inclusions", "auer rods", "phagocytosis", "divided", "dividing", "mitosis", "mature", "immature",
    "maturing", "young", "old", "motile", "transparent", "thick", "thin", "shiny", "green", "yellow", "orange",
    "brown", "black", "white", "grey", "gray", "prominent", "excess", "strikingly", "remarkably", "unusually",
    "exceptionally", "intensely", "deeply", "patient", "patients", "therapy", "treatment", "lymph", "marrow",
    "parasite", "parasites", "bacteria", "virus", "viral", "syndrome", "sepsis",
];
