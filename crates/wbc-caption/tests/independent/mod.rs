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
/// of the symbols `DIM` that it may be "in" or "of"; a colour (`c`) also has the head `c`. Types fit granulocytes only.
const ADJECTIVES: &str = "\
    CELL s cell_size big = large|big / CELL s cell_size small = small / \
    CELL foab cell_shape round = round|rounded|round shaped / \
    CELL foab cell_shape irregular = irregular|irregularly shaped|not spherical / CELL a type basophil = basophilic / \
    CELL a type eosinophil = eosinophilic / CELL a type neutrophil = neutrophilic / \
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
    CYT - nuclear_cytoplasmic_ratio low = extensive|plenty of|an abundance of|much|a large amount of|a high amount of / \
    CYT - nuclear_cytoplasmic_ratio low = a substantial amount of|a substantial quantity of / \
    CHR ntad chromatin_density densely = dense|densely packed|packed densely|condensed|tightly packed|compacted|tightly compacted / \
    CHR ntad chromatin_density loosely = loose|loosely packed|packed loosely|open|loosely arranged|loosely compacted / \
    CYT a cytoplasm_vacuole yes = vacuolated / CYT a cytoplasm_vacuole no = vacuole free|non vacuolated / \
    CYT ta granularity yes = granular / CYT ta granularity no = agranular|non granular / \
    CYT ta cytoplasm_texture clear = clear / CYT ta cytoplasm_texture frosted = frosted / \
    CYT ca cytoplasm_colour light blue = light blue|pale blue / CYT ca cytoplasm_colour blue = blue / \
    CYT ca cytoplasm_colour purple blue = purple blue|purplish blue / GRA skta granule_type small = small|fine / \
    GRA foka granule_type round = round|rounded / GRA skta granule_type coarse = coarse|coarsely sized / \
    GRA ca granule_colour pink = pink / GRA ca granule_colour red = red / GRA ca granule_colour purple = purple";

/// The other phrases, as `SYMBOL:head = phrases`; those that state a fact name it before the equals sign.
const PHRASES: &str = "\
    , = , / STOP = .|;|: / AND = and|as well as|but / OR = or|nor / NO = no|absence of|the absence of|a lack of|lack of / \
    DET:the = a|an|the|these|their / DET:whose = the cell s|this cell s / DET:this = this / DET:its = its / \
    N:it = it|they / LOC = here / LOC:CELL = for this cell|for the cell / \
    N:CELL = cell|cells|leukocyte|leukocytes|white blood cell|white blood cells|blood cell|blood cells / \
    N:CELL = white cell|white cells|type of cell|type of white blood cell|type of blood cell|type of leukocyte / \
    N:CELL = granulocyte|granulocytes / N:NUC = nucleus|nuclei / N:CHR = chromatin / N:CYT = cytoplasm / \
    N:GRA = granule|granules|cytoplasmic granules|granularity|granulation / N:VAC = vacuole|vacuoles|cytoplasmic vacuoles / \
    N:RATIO = nuclear cytoplasmic ratio|nc ratio / \
    N:RATIO = nuclear to cytoplasmic ratio|ratio of nucleus to cytoplasm|nucleus to cytoplasm ratio / \
    LOB:bilobed = two lobes / LOB:multilobed = several lobes|multiple lobes / LOB:indented = indentation / \
    DIM:s = size / DIM:f = shape|shapes|form / DIM:b = body / DIM:o = outline|contour / DIM:t = texture / \
    DIM:c = colour|color|hue|staining|coloration|colouration|coloring|tint / DIM:a = appearance|features / DIM:n = structure / \
    DIM:k = type / DIM:d = density|packing / \
    BE:is = is|are / BE:can = can be / BE = appears|appear|looks|look / AS:as = appears as|appear as / \
    BE:as = is seen as|are seen as|is described as|are described as|is illustrated as|are illustrated as / \
    BE:as = is depicted as|are depicted as|is shown as|are shown as / CLEARLY = clearly|plainly|distinctly|readily / \
    STAIN = stain|stains / STD = stained / THAT = that|which / \
    HAVE = has|have|contains|contain|includes|include / HAVE:show = shows|show|exhibits|exhibit|displays|display / \
    W = with|showing|having|containing|exhibiting|displaying / \
    HAVE = is characterized by|is characterised by|are characterized by|are characterised by / \
    HAVE = is described as having|are described as having|is depicted as having|are depicted as having / \
    LACKV = lacks|lack|lacks any|lack any / \
    LACK = without|without any|lacking|lacking any|free of|free from|devoid of / \
    LACKV = does not contain|does not contain any|does not have|does not have any / \
    LACKV = do not contain|do not contain any|do not have|do not have any / \
    SEEN:seen = seen / SEEN = noticeable|discernible|visible|observed|shown|present|evident|found|apparent|noted / \
    SEEN = exists|exist / SEEN = depicted|presented|identified|illustrated / IN = in|within|from / ON = on|throughout / \
    ABSENT = absent|not present|not seen|not visible|not observed|not found|not evident / \
    IMAGE:IMAGE = image|picture|photograph|smear|blood smear|blood / IMAGE = sample|blood sample|specimen / \
    OF = of / TO = to recognise|to recognize / \
    PRE = here is|here are|seen here is|seen here are|seen is|seen are|shown here is|shown here are|shown is / \
    PRE = shown are|there is|there are|there s|one sees|one can see|one can see that|one observes|one notices / \
    PRE = one finds|note|observe|look for|the image shows|this image shows|the findings indicate / \
    PRE = the image reveals|the image depicts|the image displays|this image reveals|this image depicts / \
    PRE = this image displays|blood smear image of|microscopy of|impression :|conclusion :|diagnosis : / \
    HEAD = findings :|microscopy :|blood smear :|note :|example :|teaching example :|for teaching : / \
    MARK = ? / HOW = how does|what does / \
    ASK = which cell is this|what is seen|what is shown|what can be seen|what can one see|what does one see / \
    ASK = what does one find|what does one observe|what does the image show|what does this image show / \
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
     qualify PV = STAIN A / qualify PV = HAVE:show A:c !A|,|AND|N|DIM|STAIN",
    "gather A = A ,? AND? A",
    "negate NP = NO SEEN? N:GRA|VAC / negate NP = NO SEEN? N:GRA|VAC OR N:GRA|VAC / gather NP = DET NP:SAID / \
     name NP = DET? A? DIM OF DET? A? N / name NP = DET? A? N DIM / name NP = DET:its DIM / name NP = DET DIM:o / \
     name NP = DET? A? N / name NP = DET? A:c N:CYT|GRA STD !BE|HAVE|IN|W|LACK|, / qualify PA = OF DET? A DIM / \
     qualify PA = OF DIM A / qualify PA = IN DET? A DIM:f|c / qualify NP = DET? A DIM|STAIN / qualify NP = DET? LOB / \
     qualify PV = BE|AS:as DET:the A DIM:f",
    "fold NP = NP ,? PA / fold NP = NP A / fold NP = NP , A !, / fold NP = NP , A , !NP|PRE / \
     negate NP = DENIED ABSENT / fold NP = NP SEEN / gather LOC = ,? THAT BE SEEN / gather LOC = IN|ON NP:CELL|CYT !PA / \
     gather LOC = IN NP:NUC !PA|W / gather LOC = IN NP:CYT OF NP:CELL / fold NP = NP:NUC|CHR|CYT|GRA W NP:DIM / \
     fold NP = NP LOC / gather LOC = IN IMAGE !OF / gather LOC = IN DET:the|this IMAGE !OF / \
     fold IMAGE = IMAGE OF NP:CELL",
    "negate NOT = LACK DENIED / negate NOT = LACK DENIED OR DENIED / negate NOTV = LACKV DENIED / \
     negate NOTV = LACKV DENIED OR DENIED",
    "fold NP = NP:NUC ,? W NP:CHR / fold NP = NP:CYT ,? W NP:GRA|VAC|NONE|SAID / fold NP = NP:CYT ,? NOT",
    "list L = PART , AND? PART VERBLESS / list L = PART AND PART VERBLESS / list L = L , AND? PART VERBLESS / \
     list L = L AND PART VERBLESS",
    "fold NP = NP:CELL ,? W NP|L / fold NP = NP:CELL ,? NOT",
    "say S = LOC , PRE NP|L / say S = TO NP:CELL , PRE NP|L / say S = PRE NP|L LOC? VERBLESS / \
     fold S = NP BE A|PA|NOT / fold S = NP PV|NOTV / fold S = NP BE SEEN LOC? LOC? / fold S = NP BE:is SEEN:seen A / \
     fold S = NP:CELL|NUC|CHR|CYT|GRA|VAC|RATIO|DIM BE:is|can CLEARLY SEEN LOC? LOC? / fold S = NP BE SEEN PA / \
     fold S = A:c BE SEEN LOC:CYT / fold S = NP BE LOC / negate S = DENIED BE ABSENT LOC? / say S = ASK LOC? MARK / \
     say S = HOW NP:CELL BE|HAVE MARK / say S = DET:this BE NP:CELL / say S = NP:CELL BE NP:CELL / \
     fold S = NP HAVE NP|L / say S = NP:NUC|CHR AND NP:NUC|CHR BE SEEN !LOC",
    "fold S = S ,? W NP|L / fold S = S ,? AND? NOT / fold S = S ,? AND BE A|PA / fold S = S ,? AND PV|NOTV / \
     fold S = S ,? AND HAVE NP|L / fold S = S , A|PA / fold S = S LOC / say S = PRE S / say S = LOC , S / \
     say S = S , AND? S / say S = S AND S / say S = S:CELL ,? AND BE NP:CELL / say S = S:CELL , NP:CELL !AND / \
     list L = NP|L , NP|L",
    "gather S = NOT",
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
                let suits = row[2] != "type" || (matches!(self.dim, "" | "a") && self.text.contains("granulocyte"));
                row[0] == self.head && suits && row[1].contains(dim) && words.split('|').any(|known| known == word)
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
            // Every cell has one; only a list may mention it all the same.
            ("NP", "NUC", true) if listed && self.text == "a nucleus" => {}
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
        dim: syms.last().map_or("", |sym| sym.dim),
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
    // "A small round shape" also tells the size; "a small shape" tells nothing.
    let size = |word: &str| matches!(word, "large" | "big" | "small");
    match &mut whole.adjectives[..] {
        [(one, dim @ ""), (two, _), ..] if dimension == Some("f") && size(one) && !size(two) => *dim = "s",
        _ => {}
    }
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
    // Granules are never told one by one; vacuoles may be.
    let single = noun.is_some_and(|noun| noun.text == "granule");
    if single && whole.dim.is_empty() && whole.text.starts_with("a ") {
        faults.push(format!("\"{}\" counts one", whole.text));
    }
    if let Some(adjective) = syms.iter().find(|sym| sym.tag == "A") {
        whole.describe(&adjective.adjectives, faults);
        let body = whole.head == "CELL" && !whole.dim.is_empty();
        whole.head = if body { "BODY" } else { whole.head };
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
    // What is said of a thing comes before its being seen: of a thing merely seen, nothing may have been said.
    for sym in rest.iter().filter(|sym| sym.tag != "SEEN").chain(rest.iter().filter(|sym| sym.tag == "SEEN")) {
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
        "IMAGE" => part.head == "CELL",
        _ => false,
    };
    if !may || (!whole.dim.is_empty() && part.head != "DIM") {
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
        "CYT" => matches!(whole.head, "GRA" | "VAC" | "NONE" | "SAID" | "DIM" | "c"),
        "NUC" => matches!(whole.head, "CHR" | "DIM"),
        "CELL" => whole.head != "CELL",
        _ => true,
    };
    if !may || !place.dim.is_empty() {
        faults.push(format!("\"{}\" cannot be \"{}\"", whole.text, place.text));
    }
    if matches!(whole.head, "DIM" | "c") && matches!(place.head, "CELL" | "NUC" | "CYT") {
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
        for (word, dims) in rows(ADJECTIVES).flat_map(|row| row.1.split('|').map(move |word| (word, row.0[1]))) {
            let head = if dims.contains('c') { "c" } else { "" };
            let tag = if word.ends_with("a band") { "PA" } else { "A" };
            known.insert(word.to_owned(), Sym { tag, head, adjectives: vec![(word, "")], ..Sym::default() });
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
        let core = lower.strip_suffix([',', '.', ';', ':', '?']).unwrap_or(&lower);
        let mark = &lower[core.len()..];
        let (core, possessive) = core.strip_suffix("'s").map_or((core, false), |owner| (owner, true));
        let core = if matches!(core, "n:c" | "n/c") { "nc" } else { core };
        for word in core.split('-') {
            if word.is_empty() || !word.chars().all(|letter| letter.is_ascii_lowercase()) {
                faults.push(format!("\"{}\" is not plain text", chunk.escape_debug()));
            }
            words.push(word.to_owned());
        }
        // A question also ends its sentence.
        let ends = [if possessive { "s" } else { "" }, mark, if mark == "?" { "." } else { "" }];
        words.extend(ends.iter().filter(|end| !end.is_empty()).map(|&end| end.into()));
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
            ("its", ..) => "",
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
    let told = words(caption, &mut faults);
    let mut syms = symbols(&told, &mut faults);
    // A heading states nothing, and stands first or nowhere.
    if syms.first().is_some_and(|sym| sym.tag == "HEAD") {
        syms.remove(0);
    }
    rewrite(&mut syms, &mut faults);
    let mut values: BTreeMap<&str, &str> = BTreeMap::new();
    syms.pop_if(|sym| sym.text == ".");
    if syms.last().is_some_and(|sym| sym.text.ends_with('?')) {
        faults.push("a question without an answer".to_owned());
    }
    for sentence in syms.split(|sym| sym.tag == "STOP") {
        let [whole @ Sym { tag: "S" | "NP" | "L", .. }] = sentence else {
            faults.push(format!("not understood: \"{}\"", text(sentence)));
            continue;
        };
        let stated = whole.stated(true, &mut faults);
        // A granulocyte is one of three types, so that the word alone does not name one.
        let typed = stated.iter().any(|fact| fact.0 == "type" && fact.1.ends_with("phil"));
        if whole.text.contains("granulocyte") && !typed {
            faults.push(format!("a granulocyte of no type: \"{}\"", whole.text));
        }
        for (attribute, value) in stated {
            if values.insert(attribute, value).is_some_and(|other| other != value) {
                faults.push(format!("two values of {attribute}"));
            }
        }
    }
    Reading { facts: values.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(), faults }
}

/// Captions with what may stand at one place: what is right, after bars what states other facts (or cannot be read),
/// and after exclamation marks what must be refused. A pattern that became too wide shows here.
const SPOILED: &[&str] = &[
    "What does one find here? {A large|A small|An irregular!No large!A not large!A very large} monocyte is visible.",
    "What can be seen here? A monocyte is {depicted!absent!missing!described!not depicted!lost} in the image.",
    "{What is seen here?!What is not seen here?!What is absent here?!Is this it?!What is this patient?} A monocyte.",
    "Which cell is this? {A monocyte.|A basophil.|A cell.!A monocyte, a basophil.!A monocyte?!Which?!}",
    "How does this {round|irregular|small!dense!healthy!clear} cell look? It has a bilobed nucleus.",
    "What does one find in this big {monocyte|neutrophil|cell!nucleus shape!image shape!patient}? Open chromatin.",
    "What does one find in this big monocyte? {Dense|Loose!Clear!No!Blue!Granular} chromatin, and scant cytoplasm.",
    "{Findings: t!Findings t!Dense: t!Nucleus: t!Leukaemia: t!Findings: findings: t}he cell is large and round.",
    "{Blood smear: r!Blood smear r!Blood: r!Smear of blood: a chromatin, r}ounded cell body, a nucleus.",
    "Microscopy: rounded cell body{, a nucleus|, a round nucleus!, a chromatin!, a ratio!, a lymph node!, no nucleus}.",
    "Shown here is {a small|a large!no small!a dense!a small dense} lymphocyte; the cytoplasm is scant.",
    "The cell {has|lacks|does not have!is!sees!has not} vacuoles; a round nucleus is evident.",
    "{Pale|Purple|Granular!Not pale!Round!Dense!No pale} blue is seen in the cytoplasm.",
    "Pale blue is {seen!absent!not seen!round!lost} in the cytoplasm; the nucleus is round.",
    "Frosted blue is visible in the {cytoplasm!nucleus!chromatin!cell!cytoplasm texture!image!granules}.",
    "Clear cytoplasm displays {light blue|blue|vacuoles!red!round!dense!scant!no light blue!light blue round}.",
    "{Clear cytoplasm!The nucleus!The cell!The chromatin!Clear cytoplasm size} displays light blue.",
    "Chromatin is seen {loose|dense!clear!round!abundant!loose and dense!not loose!}.",
    "Chromatin is {open!found in a dense structure!in an open body!seen in a round shape!characterized by granules}.",
    "A monocyte is seen in a {round|irregular!dense!large!clear!blue!round monocyte is seen in a} shape.",
    "The cell is characterized by {cytoplasmic vacuoles|no vacuoles|granules!nucleoli!a cell!vacuoles, no vacuoles}.",
    "{The cell!The cell shape!The nucleus!The chromatin!The image} is characterized by cytoplasmic vacuoles.",
    "A lymphocyte is depicted as having {irregular|round!dense!no irregular!irregular round!blue} shapes.",
    "There is a small cell; {free of vacuoles|free of granules|with vacuoles!free of chromatin!free of} in cytoplasm.",
    "One sees a small cell; free of vacuoles in {cytoplasm!nucleus!chromatin!cytoplasm shape!granules}.",
    "This is a small neutrophil, a {type of white blood cell!monocyte!type of nucleus!type of granule!type}.",
    "Basophil is {a type of cell!a type of monocyte!not a type of cell!a type!a type of chromatin!no cell}.",
    "A basophil is seen in an image of {a basophil!a monocyte!a nucleus!no basophil!the patient!}.",
    "There's no {granules|vacuoles|granules or vacuoles!nucleus!cell!blue!chromatin} in a cytoplasm.",
    "There are {red granules|purple granules|no granules!a red granule!two granules!red nuclei!no red granules} here.",
    "The cell exhibits a {substantial|small!substantial and small!dense!tiny!substantial no} amount of cytoplasm.",
    "Cytoplasm is {abundant|scant!dense!round!large!segmented!abundant and scant!not abundant} throughout the cell.",
    "One sees {no granules on the cell!no nucleus on the cell!no granules on the nucleus!no granules on no cell}.",
    "One sees a {blue|red!round!dense!not blue!blue red!} cytoplasm stained.",
    "A granulocyte is {illustrated as basophilic|eosinophilic!illustrated!illustrated basophilic!seen as a monocyte}.",
    "A granulocyte is {basophilic!basophilic and eosinophilic!not basophilic!basophilic in size!no basophil!dense}.",
    "The {granulocyte|big granulocyte!cell!monocyte!nucleus!granulocyte shape} is eosinophilic in appearance.",
    "A granulocyte with {neutrophilic appearance!round appearance!neutrophilic granules!scant cytoplasm!a nucleus}.",
    "A {basophilic granulocyte!granulocyte!basophilic cell!basophilic monocyte!basophilic} is illustrated here.",
    "A {neutrophil!monocyte!lymphocyte!cell!granulocyte} is a granulocyte.",
    "The image {reveals|reveals no!is!reveals not!lacks!depicted!reveals seen!of} granules.",
    "{This image depicts!This nucleus depicts!Image depicts!No image depicts!The image depicts as} a monocyte.",
    "Chromatin is loose in this {sample!patient!no sample!sample of a monocyte!sample shape!granule!}.",
    "A round nucleus is clearly {seen|seen in a small cell!not seen!absent!lost!!indented!seen round} in the cell.",
    "{Granules!No granules!No clearly visible granules!Granules or vacuoles!Clearly granules} are clearly visible.",
    "A lymphocyte with a {small round|large round|small irregular|round!small!big small!small dense!blue} shape.",
    "A {lymphocyte!nucleus!lymphocyte nucleus!granule!chromatin!ratio} with a small round shape.",
    "A monocyte {is seen as!is as!as!lacks!is not seen as!appears!is absent as} a small irregular shape.",
    "A monocyte appears as a {big, round|small, round|round!big!dense!no round!big big!big round nucleus} shape.",
    "A {cell with granules is visible!cell with granules is visible in its cytoplasm!round monocyte is a round}.",
];

#[test]
fn spoiled_captions_do_not_read_like_the_right_ones() {
    let mut spoiled = 0;
    for row in SPOILED {
        let (start, rest) = row.split_once('{').unwrap();
        let (choices, end) = rest.split_once('}').unwrap();
        let (readable, refused) = choices.split_once('!').map_or((choices, None), |(one, other)| (one, Some(other)));
        let with = |choice: &str| read(&format!("{start}{choice}{end}"));
        let mut readable = readable.split('|').map(|choice| (choice, with(choice)));
        let (_, right) = readable.next().unwrap();
        assert!(right.faults.is_empty(), "{row}: {:?}", right.faults);
        for (choice, other) in readable {
            assert!(!other.faults.is_empty() || other.facts != right.facts, "{row}: {choice}");
            spoiled += 1;
        }
        for choice in refused.into_iter().flat_map(|refused| refused.split('!')) {
            assert!(!with(choice).faults.is_empty(), "{row}: {choice}: {:?}", with(choice).facts);
            spoiled += 1;
        }
    }
    assert!(spoiled >= 250, "{spoiled}");
}
