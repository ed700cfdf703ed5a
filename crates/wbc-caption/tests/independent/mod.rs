//! A second reader of blood cell captions, made only to cross-check the main verifier.
//!
//! It rewrites a caption with tables: phrases become symbols, patterns of symbols become noun phrases, and noun
//! phrases become statements, always the longest pattern first. What no pattern consumes is a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// What a caption says, and what in it could not be read.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Pairs of attribute name (or `type`) and value name.
    pub facts: BTreeSet<(String, String)>,
    /// Why the caption is refused; empty when all of it was read.
    pub faults: Vec<String>,
}

/// Adjectives, as `noun dimensions attribute value = phrases`, with slashes between. The dimensions are the letters
/// of the symbols `DIM` that it may be "in" or "of".
const ADJECTIVES: &str = "\
    CELL s cell_size big = large|big / CELL s cell_size small = small / \
    CELL foa cell_shape round = round|rounded|round shaped / \
    CELL foa cell_shape irregular = irregular|irregularly shaped / \
    NUC foa nucleus_shape segmented-bilobed = bilobed|segmented bilobed|two lobed / \
    NUC foa nucleus_shape segmented-multilobed = multilobed|segmented multilobed / \
    NUC foa nucleus_shape unsegmented-band = band shaped|unsegmented band|band like|shaped like a band / \
    NUC foa nucleus_shape unsegmented-band = that resembles a band / \
    NUC foa nucleus_shape unsegmented-indented = indented|unsegmented indented|kidney shaped / \
    NUC foa nucleus_shape unsegmented-round = round|rounded|unsegmented round|round shaped / \
    NUC foa nucleus_shape irregular = irregular|irregularly shaped / RATIO - nuclear_cytoplasmic_ratio high = high / \
    RATIO - nuclear_cytoplasmic_ratio low = low / \
    CYT - nuclear_cytoplasmic_ratio high = scant|scanty|sparse|little|a small amount of / \
    CYT - nuclear_cytoplasmic_ratio low = abundant|ample|plentiful|copious|a lot of|lots of / \
    CYT - nuclear_cytoplasmic_ratio low = extensive|a substantial quantity of|plenty of|a large amount of|a high amount of / \
    CHR ntad chromatin_density densely = dense|densely packed|condensed|tightly packed|compacted|tightly compacted / \
    CHR ntad chromatin_density loosely = loose|loosely packed|open|loosely arranged|loosely compacted / \
    CYT a cytoplasm_vacuole yes = vacuolated / CYT a cytoplasm_vacuole no = vacuole free|non vacuolated / \
    CYT ta granularity yes = granular / CYT ta granularity no = agranular|non granular / \
    CYT ta cytoplasm_texture clear = clear / CYT ta cytoplasm_texture frosted = frosted / \
    CYT ca cytoplasm_colour light blue = light blue|pale blue / CYT ca cytoplasm_colour blue = blue / \
    CYT ca cytoplasm_colour purple blue = purple blue|purplish blue / GRA skta granule_type small = small|fine / \
    GRA foka granule_type round = round|rounded / GRA skta granule_type coarse = coarse|coarsely sized / \
    GRA ca granule_colour pink = pink / GRA ca granule_colour red = red / GRA ca granule_colour purple = purple";

/// The other phrases, as `SYMBOL:head = phrases`; those that state a fact name it before the equals sign.
const PHRASES: &str = "\
    , = , / STOP = .|;|: / AND = and|as well as|but / OR = or|nor / NO = no|absence of|the absence of / \
    DET:the = a|an|the|these|their|the cell s|this cell s / DET:this = this / DET:its = its / N:it = it|they / \
    N:CELL = cell|cells|leukocyte|leukocytes|white blood cell|white blood cells|blood cell|blood cells / \
    N:CELL = white cell|white cells / N:NUC = nucleus|nuclei / N:CHR = chromatin / N:CYT = cytoplasm / \
    N:GRA = granule|granules|cytoplasmic granules / N:VAC = vacuole|vacuoles|cytoplasmic vacuoles / \
    N:RATIO = nuclear cytoplasmic ratio|nc ratio / \
    N:RATIO = nuclear to cytoplasmic ratio|ratio of nucleus to cytoplasm|nucleus to cytoplasm ratio / \
    LOB:bilobed = two lobes / LOB:multilobed = several lobes|multiple lobes / LOB:indented = indentation / \
    DIM:s = size / DIM:f = shape|form|body / DIM:o = outline|contour / DIM:t = texture / \
    DIM:c = colour|color|hue|staining|coloration|colouration|coloring|tint / DIM:a = appearance / DIM:n = structure / \
    DIM:k = type / DIM:d = density / \
    BE = is|are|appears|appear|looks|look|can be|is seen as|are seen as|is described as|are described as / \
    STAIN = stain|stains / STD = stained / THAT = that|which / \
    HAVE = has|have|shows|show|contains|contain|exhibits|exhibit|displays|display|includes|include / \
    W = with|showing|having|containing|exhibiting|displaying / LACKV = lacks|lack|lacks any|lack any / \
    LACK = without|without any|lacking|lacking any|free of|free from|devoid of / \
    LACKV = does not contain|does not contain any|does not have|does not have any / \
    LACKV = do not contain|do not contain any|do not have|do not have any / \
    SEEN = noticeable|discernible|seen|visible|observed|shown|present|evident|found|apparent|noted|depicted|described|presented|identified / \
    ABSENT = absent|not present|not seen|not visible|not observed|not found|not evident / IN = in|within|from / \
    OF = of / TO = to recognise|to recognize / LOC = here / LOC:CELL = for this cell|for the cell / \
    PRE = here is|here are|seen here is|seen here are|there is|there are|one sees|one can see|one can see that / \
    PRE = one observes|one notices|one finds|note|observe|look for|the image shows|this image shows|the findings indicate / \
    PRE = blood smear image of|microscopy of|teaching example :|for teaching : / \
    PRE = impression :|conclusion :|diagnosis : / \
    N:CELL type neutrophil = neutrophil|neutrophil granulocyte|neutrophilic granulocyte|polymorphonuclear neutrophil / \
    N:CELL type basophil = basophil|basophil granulocyte|basophilic granulocyte / \
    N:CELL type eosinophil = eosinophil|eosinophil granulocyte|eosinophilic granulocyte / \
    N:CELL type lymphocyte = lymphocyte / N:CELL type monocyte = monocyte / \
    NP:SAID granule_type nil = no granule type|granules of no type|granule type absent|granule type is absent / \
    NP:SAID granule_colour nil = no granule colour|granules of no colour|granule colour absent|no granule color / \
    NP:SAID granule_colour nil = granules of no color|granule color absent|granule colour is absent";

/// Patterns of symbols, tier after tier, as `action SYMBOL = pattern`, with slashes between. `X:a|b` asks for a head,
/// `?` marks an optional symbol, `!` one that must not follow. PART is any noun phrase but a cell, DENIED is
/// granules or vacuoles, VERBLESS bars a verb.
const TIERS: &[&str] = &[
    "qualify A = A IN DIM / qualify A = A STD / qualify PA = STD A / gather W = THAT HAVE / gather LACK = THAT LACKV",
    "qualify PA = THAT BE A / qualify PA = THAT BE A AND A / qualify PA = THAT BE PA / qualify PA = THAT STAIN A / \
     qualify PV = STAIN A",
    "gather A = A ,? AND? A",
    "negate NP = NO SEEN? N:GRA|VAC / negate NP = NO SEEN? N:GRA|VAC OR N:GRA|VAC / gather NP = DET NP:SAID / \
     name NP = DET? A? DIM OF DET? A? N / name NP = DET? A? N DIM / name NP = DET:its DIM / name NP = DET DIM:o / \
     name NP = DET? A? N / qualify PA = OF DET? A DIM / qualify PA = OF DIM A / qualify NP = DET? A DIM|STAIN / \
     qualify NP = DET? LOB",
    "fold NP = NP ,? PA / fold NP = NP A / fold NP = NP , A !, / fold NP = NP , A , !NP|PRE / \
     negate NP = DENIED ABSENT / fold NP = NP SEEN / gather LOC = IN NP:CELL|CYT !PA / gather LOC = IN NP:NUC !PA|W / \
     gather LOC = IN NP:CYT OF NP:CELL / fold NP = NP:NUC|CHR|CYT|GRA W NP:DIM / fold NP = NP LOC",
    "negate NOT = LACK DENIED / negate NOT = LACK DENIED OR DENIED / negate NOTV = LACKV DENIED / \
     negate NOTV = LACKV DENIED OR DENIED",
    "fold NP = NP:NUC ,? W NP:CHR / fold NP = NP:CYT ,? W NP:GRA|VAC|NONE|SAID / fold NP = NP:CYT ,? NOT",
    "list L = PART , AND? PART VERBLESS / list L = PART AND PART VERBLESS / list L = L , AND? PART VERBLESS / \
     list L = L AND PART VERBLESS",
    "fold NP = NP:CELL ,? W NP|L / fold NP = NP:CELL ,? NOT",
    "say S = LOC , PRE NP|L / say S = TO NP:CELL , PRE NP|L / say S = PRE NP|L LOC? VERBLESS / \
     fold S = NP BE A|PA|NOT / fold S = NP PV|NOTV / fold S = NP BE SEEN LOC? LOC? / fold S = NP BE LOC / \
     negate S = DENIED BE ABSENT LOC? / say S = DET:this BE NP:CELL / say S = NP:CELL BE NP:CELL / \
     fold S = NP HAVE NP|L / say S = NP:NUC|CHR AND NP:NUC|CHR BE SEEN !LOC",
    "fold S = S ,? W NP|L / fold S = S ,? AND? NOT / fold S = S ,? AND BE A|PA / fold S = S ,? AND PV|NOTV / \
     fold S = S ,? AND HAVE NP|L / fold S = S , A|PA / fold S = S LOC / say S = PRE S / say S = LOC , S / \
     say S = S , AND? S / say S = S AND S / say S = S:CELL ,? AND BE NP:CELL / list L = NP|L , NP|L",
];

/// Makes one symbol of the symbols a pattern consumed, noting faults.
type Action = fn(&[Sym], &mut Vec<String>) -> Sym;

/// A piece of the caption on its way from words to statements.
#[derive(Clone, Default)]
struct Sym {
    tag: &'static str,
    head: &'static str,
    text: String,
    /// Dimension of a noun such as "granule type".
    dim: &'static str,
    /// Adjectives with no noun yet, each with its dimension.
    adjectives: Vec<(&'static str, &'static str)>,
    facts: Vec<(&'static str, &'static str)>,
    /// Members of a list.
    parts: Vec<Sym>,
    /// A noun of which nothing is said yet.
    bare: bool,
    /// Ends in a denial, so that a bare noun after "and" could be denied too.
    denies: bool,
}

impl Sym {
    /// Gives adjectives to the noun or statement.
    fn describe(&mut self, adjectives: &[(&'static str, &'static str)], faults: &mut Vec<String>) {
        for &(word, dim) in adjectives {
            let dim = if dim.is_empty() { self.dim } else { dim };
            let fits = |row: &[&str], words: &str| {
                row[0] == self.head && row[1].contains(dim) && words.split('|').any(|known| known == word)
            };
            match rows(ADJECTIVES).find(|(row, words)| row.len() == 4 && fits(row, words)) {
                Some((row, _)) => self.facts.push((row[2], row[3])),
                None => faults.push(format!("\"{word}\" does not fit \"{}\"", self.text)),
            }
            self.bare = false;
        }
    }

    /// The facts of a statement or of a noun that is there; a bare word in a mere list states nothing.
    fn stated(&self, listed: bool, faults: &mut Vec<String>) -> Vec<(&'static str, &'static str)> {
        let mut whole = self.clone();
        match (self.tag, self.head, self.bare) {
            ("L", ..) => return self.parts.iter().flat_map(|part| part.stated(listed, faults)).collect(),
            ("NP", "DIM", _) if self.adjectives.iter().all(|&(_, dim)| dim == "o") => {
                whole.head = "CELL";
                whole.describe(&self.adjectives, faults);
            }
            ("NP", "GRA" | "VAC", true) if self.dim.is_empty() && (!listed || self.text.contains("cytoplasm")) => {
                whole.facts.push((if self.head == "GRA" { "granularity" } else { "cytoplasm_vacuole" }, "yes"));
            }
            ("NP", "CELL", _) if self.dim.is_empty() => {}
            ("NP", "DIM", _) | ("NP", _, true) => faults.push(format!("\"{}\" says nothing", self.text)),
            _ => {}
        }
        whole.facts
    }

    /// The members of a list, or the symbol itself.
    fn members(&self) -> &[Sym] {
        if self.tag == "L" { &self.parts } else { std::slice::from_ref(self) }
    }
}

/// Keeps everything the symbols carry, with the last head.
fn gather(syms: &[Sym], _: &mut Vec<String>) -> Sym {
    Sym {
        head: syms.last().map_or("", |sym| sym.head),
        adjectives: syms.iter().flat_map(|sym| sym.adjectives.clone()).collect(),
        facts: syms.iter().flat_map(|sym| sym.facts.clone()).collect(),
        ..Sym::default()
    }
}

/// Adjectives with the dimension they are said to be in.
fn qualify(syms: &[Sym], faults: &mut Vec<String>) -> Sym {
    let dimension = syms.iter().find_map(|sym| match sym.tag {
        "DIM" => Some(sym.head),
        "STD" | "STAIN" => Some("c"),
        _ => None,
    });
    let mut whole = Sym { head: "DIM", ..gather(syms, faults) };
    for (_, dim) in &mut whole.adjectives {
        *dim = if dim.is_empty() { dimension.unwrap_or("") } else { dim };
    }
    whole
}

/// A noun with its article, adjectives and dimension.
fn name(syms: &[Sym], faults: &mut Vec<String>) -> Sym {
    let noun = syms.iter().find(|sym| sym.tag == "N");
    let mut whole = Sym { head: noun.map_or("CELL", |noun| noun.head), text: text(syms), bare: true, ..Sym::default() };
    whole.dim = syms.iter().find(|sym| sym.tag == "DIM").map_or("", |sym| sym.head);
    whole.facts = noun.map(|noun| noun.facts.clone()).unwrap_or_default();
    if let Some(adjective) = syms.iter().find(|sym| sym.tag == "A") {
        whole.describe(&adjective.adjectives, faults);
        let body = whole.head == "CELL" && !whole.dim.is_empty();
        (whole.head, whole.dim) = (if body { "BODY" } else { whole.head }, "");
    }
    whole
}

/// Denies bare granules or vacuoles, keeping what else was said.
fn negate(syms: &[Sym], faults: &mut Vec<String>) -> Sym {
    let mut whole = Sym { head: "NONE", denies: true, ..Sym::default() };
    for noun in syms.iter().filter(|sym| matches!(sym.tag, "N" | "NP")) {
        if noun.tag == "NP" && (!noun.bare || !noun.dim.is_empty()) {
            faults.push(format!("\"{}\" cannot be denied", noun.text));
        }
        whole.facts.extend(&noun.facts);
        whole.facts.push((if noun.head == "GRA" { "granularity" } else { "cytoplasm_vacuole" }, "no"));
    }
    whole
}

/// Says of the first symbol what the others say, places first.
fn fold(syms: &[Sym], faults: &mut Vec<String>) -> Sym {
    let Some((first, rest)) = syms.split_first() else { return Sym::default() };
    let mut whole = Sym { denies: false, ..first.clone() };
    rest.iter().filter(|sym| sym.tag == "LOC").for_each(|sym| place(&mut whole, sym, faults));
    for sym in rest {
        match (rest[0].tag, sym.tag) {
            (_, "A" | "PA" | "PV") => whole.describe(&sym.adjectives, faults),
            (_, "NP" | "NOT" | "NOTV" | "L") => sym.members().iter().for_each(|part| own(&mut whole, part, faults)),
            (_, "SEEN") | ("BE", "LOC") => (whole.facts, whole.bare) = (whole.stated(false, faults), false),
            _ => {}
        }
    }
    whole
}

/// Gives a part to the thing that has it.
fn own(whole: &mut Sym, part: &Sym, faults: &mut Vec<String>) {
    let may = match whole.head {
        "CELL" => part.head != "CELL",
        "NUC" => matches!(part.head, "CHR" | "DIM"),
        "CYT" => matches!(part.head, "GRA" | "VAC" | "NONE" | "SAID" | "DIM"),
        "CHR" | "GRA" => part.head == "DIM",
        _ => false,
    };
    if !may {
        faults.push(format!("\"{}\" cannot have \"{}\"", whole.text, part.text));
    } else if part.head == "DIM" {
        whole.describe(&part.adjectives, faults);
    } else {
        whole.facts.extend(part.stated(false, faults));
        (whole.bare, whole.denies) = (false, part.denies);
    }
}

/// Puts a thing in its place, which may bring facts of its own.
fn place(whole: &mut Sym, place: &Sym, faults: &mut Vec<String>) {
    let may = match place.head {
        "CYT" => matches!(whole.head, "GRA" | "VAC" | "NONE" | "SAID" | "DIM"),
        "NUC" => matches!(whole.head, "CHR" | "DIM"),
        "CELL" => whole.head != "CELL",
        _ => true,
    };
    if !may {
        faults.push(format!("\"{}\" cannot be \"{}\"", whole.text, place.text));
    }
    if whole.head == "DIM" && !place.head.is_empty() {
        let adjectives = std::mem::take(&mut whole.adjectives);
        whole.head = place.head;
        whole.describe(&adjectives, faults);
    }
    whole.facts.extend(&place.facts);
}

/// States every symbol side by side.
fn say(syms: &[Sym], faults: &mut Vec<String>) -> Sym {
    let mut whole = Sym::default();
    for sym in syms.iter().filter(|sym| matches!(sym.tag, "NP" | "L" | "S" | "LOC")) {
        whole.head = sym.head;
        whole.facts.extend(sym.stated(false, faults));
    }
    whole
}

/// A list; after a denial, a bare noun is ambiguous.
fn list(syms: &[Sym], faults: &mut Vec<String>) -> Sym {
    let lists = syms.iter().filter(|sym| matches!(sym.tag, "NP" | "L"));
    let parts: Vec<Sym> = lists.flat_map(|sym| sym.members().to_vec()).collect();
    if let [.., one, other] = &parts[..]
        && (one.denies && other.bare && matches!(other.head, "GRA" | "VAC"))
        && (!other.text.contains("cytoplasm") || syms.iter().any(|sym| sym.tag == "AND"))
    {
        faults.push(format!("\"{}\" may be denied or not", other.text));
    }
    Sym { head: "LIST", parts, ..Sym::default() }
}

/// The words the symbols were made of.
fn text(syms: &[Sym]) -> String {
    syms.iter().map(|sym| sym.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// The rows of a table: what stands before the equals sign, and the phrases.
fn rows(table: &'static str) -> impl Iterator<Item = (Vec<&'static str>, &'static str)> {
    let rows = table.split(" / ").filter_map(|row| row.split_once(" = "));
    rows.map(|(names, words)| (names.splitn(4, ' ').collect(), words))
}

/// Every phrase with its symbol.
fn phrases() -> &'static BTreeMap<String, Sym> {
    static KNOWN: OnceLock<BTreeMap<String, Sym>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let mut known = BTreeMap::new();
        for word in rows(ADJECTIVES).flat_map(|row| row.1.split('|')) {
            let tag = if word.ends_with("a band") { "PA" } else { "A" };
            known.insert(word.to_owned(), Sym { tag, adjectives: vec![(word, "")], ..Sym::default() });
        }
        for (names, words) in rows(PHRASES) {
            let (tag, head) = names[0].split_once(':').unwrap_or((names[0], ""));
            let adjectives = if tag == "LOB" { vec![(head, "f")] } else { Vec::new() };
            let facts = if let [_, attribute, value] = names[..] { vec![(attribute, value)] } else { Vec::new() };
            let endings = if names.contains(&"type") { &["", "s", " cell", " cells"][..] } else { &[""] };
            let sym = Sym { tag, head, adjectives, facts, ..Sym::default() };
            let words = words.split('|').flat_map(|word| endings.iter().map(move |ending| format!("{word}{ending}")));
            known.extend(words.map(|word| (word, sym.clone())));
        }
        known
    })
}

/// How many symbols the pattern consumes at the start of these.
fn matching(pattern: &[&str], syms: &[Sym]) -> Option<usize> {
    let Some((place, pattern)) = pattern.split_first() else { return Some(0) };
    let bare = place.trim_matches(['!', '?']);
    let (tags, heads) = bare.split_once(':').unwrap_or((bare, ""));
    let among = |names: &str, name: &str| names.split('|').any(|known| known == name);
    let takes = syms.first().is_some_and(|sym| among(tags, sym.tag) && (heads.is_empty() || among(heads, sym.head)));
    if place.starts_with('!') {
        return if takes { None } else { matching(pattern, syms) };
    }
    let more = if takes { matching(pattern, &syms[1..]).map(|more| more + 1) } else { None };
    more.or_else(|| if place.ends_with('?') { matching(pattern, syms) } else { None })
}

/// A pattern, its action and what it becomes.
type Rule = (Vec<&'static str>, Action, &'static str);

/// Reads a row of `TIERS`.
fn rule(row: &'static str) -> Option<Rule> {
    let (made, pattern) = row.split_once(" = ")?;
    let (action, tag) = made.split_once(' ')?;
    let actions: [(&str, Action); 6] =
        [("qualify", qualify), ("name", name), ("negate", negate), ("fold", fold), ("say", say), ("list", list)];
    let action = actions.iter().find(|known| known.0 == action).map_or(gather as Action, |known| known.1);
    let long = |place| match place {
        "PART" => "NP:BODY|NUC|CHR|CYT|GRA|VAC|RATIO|NONE|SAID|DIM",
        "DENIED" => "NP:GRA|VAC",
        "VERBLESS" => "!BE|HAVE|PV|NOTV",
        place => place,
    };
    Some((pattern.split(' ').map(long).collect(), action, tag))
}

/// Rewrites by every tier in turn, leftmost and longest first.
fn rewrite(syms: &mut Vec<Sym>, faults: &mut Vec<String>) {
    static RULES: OnceLock<Vec<Vec<Rule>>> = OnceLock::new();
    for tier in RULES.get_or_init(|| TIERS.iter().map(|tier| tier.split(" / ").filter_map(rule).collect()).collect()) {
        let longest = |at: usize, syms: &[Sym]| {
            let found = tier.iter().filter_map(|rule| Some((matching(&rule.0, &syms[at..])?, at, rule)));
            found.max_by_key(|found| found.0)
        };
        while let Some((length, at, (_, action, tag))) = (0..syms.len()).find_map(|at| longest(at, syms)) {
            let consumed = &syms[at..at + length];
            let whole = Sym { tag, text: text(consumed), ..action(consumed, faults) };
            syms.splice(at..at + length, [whole]);
        }
    }
}

/// The words and marks of a caption, in lower case.
fn words(caption: &str, faults: &mut Vec<String>) -> Vec<String> {
    let mut words = Vec::new();
    for chunk in caption.split(' ') {
        let lower = chunk.to_lowercase().replace('\u{2019}', "'");
        let core = lower.strip_suffix([',', '.', ';', ':']).unwrap_or(&lower);
        let mark = &lower[core.len()..];
        let (core, possessive) = core.strip_suffix("'s").map_or((core, false), |owner| (owner, true));
        let core = if matches!(core, "n:c" | "n/c") { "nc" } else { core };
        for word in core.split('-') {
            if word.is_empty() || !word.chars().all(|letter| letter.is_ascii_lowercase()) {
                faults.push(format!("\"{}\" is not plain text", chunk.escape_debug()));
            }
            words.push(word.to_owned());
        }
        words.extend(
            [if possessive { "s" } else { "" }, mark].iter().filter(|end| !end.is_empty()).map(|&end| end.into()),
        );
    }
    words
}

/// The symbols of the words, the longest phrase first; "it" and "they" stand for the last noun.
fn symbols(words: &[String], faults: &mut Vec<String>) -> Vec<Sym> {
    let (mut syms, mut at, mut last) = (Vec::new(), 0, "CELL");
    while at < words.len() {
        let mut found = (at + 1..=words.len().min(at + 7)).rev().map(|end| (end, words[at..end].join(" ")));
        let found = found.find_map(|(end, text)| Some((end, phrases().get(&text)?.clone(), text)));
        let Some((end, sym, text)) = found else {
            faults.push(format!("unknown word \"{}\"", words[at]));
            at += 1;
            continue;
        };
        let head = match (sym.head, text.as_str(), last) {
            ("it", "it", "CELL") | ("it", "they", "CELL" | "GRA") => last,
            ("its", _, "CELL") => "its",
            ("its", ..) => "the",
            (head, ..) => head,
        };
        last = if sym.tag == "N" { head } else { last };
        syms.push(Sym { head, text, ..sym });
        at = end;
    }
    syms
}

/// Reads a caption; a caption with any fault is to be refused.
pub(crate) fn read(caption: &str) -> Reading {
    let mut faults = Vec::new();
    let told = words(
        ["What is seen here? ", "Which cell is this? "].iter().find_map(|q| caption.strip_prefix(q)).unwrap_or(caption),
        &mut faults,
    );
    let mut syms = symbols(&told, &mut faults);
    rewrite(&mut syms, &mut faults);
    let mut values: BTreeMap<&str, &str> = BTreeMap::new();
    syms.pop_if(|sym| sym.text == ".");
    for sentence in syms.split(|sym| sym.tag == "STOP") {
        let [whole @ Sym { tag: "S" | "NP" | "L", .. }] = sentence else {
            faults.push(format!("not understood: \"{}\"", text(sentence)));
            continue;
        };
        for (attribute, value) in whole.stated(true, &mut faults) {
            if values.insert(attribute, value).is_some_and(|other| other != value) {
                faults.push(format!("two values of {attribute}"));
            }
        }
    }
    Reading { facts: values.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(), faults }
}
