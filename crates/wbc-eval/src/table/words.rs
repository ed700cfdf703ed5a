//! Whether every word of a caption is understood.

use super::{Table, UNDEFINED, share};
use crate::document::{DatasetReport, Figure};
use crate::words::{ChoiceScores, CombinationScores, Hits, TextChoices, Words};

pub(super) fn tables(datasets: &[DatasetReport]) -> [Table; 4] {
    let all: Vec<(&str, &Words)> = datasets.iter().filter_map(|d| Some((d.id.as_str(), d.words.as_ref()?))).collect();
    [minimal_pairs(&all), negation(&all), paraphrase(&all), combinations(&all)]
}

type Asked<'a> = [(&'a str, &'a Words)];

fn choices(names: &[&str], n: usize, accuracy: Figure, balanced: Figure) -> Vec<String> {
    let figures = [n.to_string(), share(accuracy), share(balanced)];
    names.iter().map(|name| (*name).to_owned()).chain(figures).collect()
}

fn mean(names: &[&str], pairs: &TextChoices) -> Vec<String> {
    let n = pairs.per_attribute.values().map(|s| s.n_pairs).sum();
    choices(names, n, pairs.mean_accuracy, pairs.mean_balanced_accuracy)
}

fn attribute(names: &[&str], scores: &ChoiceScores) -> Vec<String> {
    choices(names, scores.n_pairs, scores.accuracy, scores.balanced_accuracy)
}

fn minimal_pairs(all: &Asked<'_>) -> Table {
    let mut rows = Vec::new();
    for (id, pairs) in all.iter().filter_map(|(id, w)| Some((id, w.minimal_pairs.as_ref()?))) {
        rows.push(mean(&[id, "mean"], pairs));
        rows.extend(pairs.per_attribute.iter().map(|(name, s)| attribute(&[id, name], s)));
    }
    Table::new("Minimal pairs", &["dataset", "attribute", "pairs", "accuracy", "balanced"], rows)
}

fn yes_or_no(known: Option<bool>) -> &'static str {
    known.map_or(UNDEFINED, |yes| if yes { "yes" } else { "no" })
}

/// Wordings that are no prompts of the run are said to be held out.
fn negation(all: &Asked<'_>) -> Table {
    let mut rows = Vec::new();
    for (id, pairs) in all.iter().filter_map(|(id, w)| Some((id, w.negation.as_ref()?))) {
        rows.push(mean(&[id, "mean", "all", UNDEFINED], pairs));
        if let Some(m) = &pairs.held_out {
            let asked = |s: &ChoiceScores| s.n_cells * s.wordings.iter().filter(|w| w.held_out == Some(true)).count();
            let n = pairs.per_attribute.values().map(asked).sum();
            rows.push(choices(&[id, "mean", "all", "yes"], n, m.mean_accuracy, m.mean_balanced_accuracy));
        }
        for (name, scores) in &pairs.per_attribute {
            rows.push(attribute(&[id, name, "all", UNDEFINED], scores));
            rows.extend(scores.wordings.iter().map(|w| {
                let names = [*id, name, w.without.as_str(), yes_or_no(w.held_out)];
                choices(&names, scores.n_cells, w.accuracy, w.balanced_accuracy)
            }));
        }
    }
    Table::new("Negation", &["dataset", "attribute", "wording", "held out", "pairs", "accuracy", "balanced"], rows)
}

fn paraphrase(all: &Asked<'_>) -> Table {
    let mut rows = Vec::new();
    for (id, found) in all.iter().filter_map(|(id, w)| Some((id, w.paraphrase.as_ref()?))) {
        let prompts = [found.prompts.mean_accuracy, found.prompts.mean_macro_f1].map(share);
        let none = [(); 3].map(|()| UNDEFINED.to_owned());
        let names = [*id, "prompts", "yes"].map(String::from);
        rows.push(names.into_iter().chain(prompts).chain(none).collect());
        for (name, s) in &found.registers {
            let figures = [s.mean_accuracy, s.mean_macro_f1, s.accuracy_drop, s.macro_f1_drop, s.agreement].map(share);
            rows.push([*id, name, yes_or_no(s.trained)].map(String::from).into_iter().chain(figures).collect());
        }
    }
    let header =
        ["dataset", "phrasing", "trained", "accuracy", "macro-F1", "accuracy drop", "macro-F1 drop", "agreement"];
    Table::new("Attributes by other phrasing", &header, rows)
}

fn combinations(all: &Asked<'_>) -> Table {
    let row = |id: &str, direction: &str, which: &str, hits: &Hits| -> Vec<String> {
        let names = [id, direction, which].map(String::from);
        names.into_iter().chain([hits.n_queries.to_string(), share(hits.hit_rate_1)]).collect()
    };
    let rows = all.iter().filter_map(|(id, w)| Some((id, w.combinations.as_ref()?))).flat_map(|(id, c)| {
        let of = |which: &str, s: &CombinationScores| {
            [row(id, "image_to_text", which, &s.image_to_text), row(id, "text_to_image", which, &s.text_to_image)]
        };
        [of("seen", &c.seen), of("unseen", &c.unseen)].concat()
    });
    let header = ["dataset", "direction", "combinations", "queries", "hit@1"];
    Table::new("Combinations of attributes, seen in training or not", &header, rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::example;
    use crate::table::{TableStyle, render};
    use crate::words::{ChoiceMeans, Combinations, Paraphrase, PromptScores, RegisterScores, WordingScores};

    fn told() -> Words {
        let wording = |without: &str, held_out| WordingScores {
            with: "vacuoles".into(),
            without: without.into(),
            held_out: Some(held_out),
            accuracy: 0.75.into(),
            balanced_accuracy: 0.5.into(),
        };
        let wordings = vec![wording("no vacuoles", false), wording("lacks vacuoles", true)];
        let scores = |wordings: Vec<WordingScores>| ChoiceScores {
            accuracy: Figure::new(0.75, Some([0.5, 1.0])),
            balanced_accuracy: 0.5.into(),
            n_cells: 4,
            n_pairs: 8,
            wordings,
        };
        let choices = |name: &str, wordings| TextChoices {
            mean_accuracy: 0.75.into(),
            mean_balanced_accuracy: 0.5.into(),
            per_attribute: [(name.to_owned(), scores(wordings))].into(),
            held_out: None,
        };
        let held_out = ChoiceMeans { mean_accuracy: 0.625.into(), mean_balanced_accuracy: 0.25.into() };
        let register = |trained| RegisterScores {
            trained,
            mean_accuracy: 0.5.into(),
            mean_macro_f1: 0.25.into(),
            accuracy_drop: 0.25.into(),
            macro_f1_drop: 0.5.into(),
            agreement: 0.625.into(),
            per_attribute: [("cell_size".into(), 0.5.into())].into(),
        };
        let hits = |n_queries, rate: f64| Hits { n_queries, hit_rate_1: rate.into() };
        let combination =
            |n| CombinationScores { n_combinations: n, image_to_text: hits(4, 0.5), text_to_image: hits(n, 1.0) };
        Words {
            minimal_pairs: Some(choices("cell_size", vec![])),
            negation: Some(TextChoices { held_out: Some(held_out), ..choices("cytoplasm_vacuole", wordings) }),
            paraphrase: Some(Paraphrase {
                prompts: PromptScores { mean_accuracy: 0.75.into(), mean_macro_f1: 0.75.into() },
                registers: [("plain".into(), register(Some(false))), ("sentence".into(), register(None))].into(),
            }),
            combinations: Some(Combinations { seen: combination(3), unseen: combination(1) }),
        }
    }

    #[test]
    fn every_part_has_its_table() {
        let mut document = example();
        document.datasets[0].words = Some(told());
        let text = render(&document, TableStyle::Text);
        let expected = "\
Minimal pairs
  dataset    attribute  pairs  accuracy              balanced
  cells.csv  mean       8      0.750                 0.500
  cells.csv  cell_size  8      0.750 [0.500, 1.000]  0.500

Negation
  dataset    attribute          wording         held out  pairs  accuracy              balanced
  cells.csv  mean               all             –         8      0.750                 0.500
  cells.csv  mean               all             yes       4      0.625                 0.250
  cells.csv  cytoplasm_vacuole  all             –         8      0.750 [0.500, 1.000]  0.500
  cells.csv  cytoplasm_vacuole  no vacuoles     no        4      0.750                 0.500
  cells.csv  cytoplasm_vacuole  lacks vacuoles  yes       4      0.750                 0.500

Attributes by other phrasing
  dataset    phrasing  trained  accuracy  macro-F1  accuracy drop  macro-F1 drop  agreement
  cells.csv  prompts   yes      0.750     0.750     –              –              –
  cells.csv  plain     no       0.500     0.250     0.250          0.500          0.625
  cells.csv  sentence  –        0.500     0.250     0.250          0.500          0.625

Combinations of attributes, seen in training or not
  dataset    direction      combinations  queries  hit@1
  cells.csv  image_to_text  seen          4        0.500
  cells.csv  text_to_image  seen          3        1.000
  cells.csv  image_to_text  unseen        4        0.500
  cells.csv  text_to_image  unseen        1        1.000
";
        assert!(text.contains(expected), "{text}");
        let back: crate::EvalDocument = serde_json::from_str(&serde_json::to_string(&document).unwrap()).unwrap();
        assert_eq!(back, document);
    }

    #[test]
    fn documents_that_do_not_tell_what_is_held_out_are_read() {
        let mut document = example();
        document.datasets[0].words = Some(told());
        let mut written = serde_json::to_value(&document).unwrap();
        let negation = &mut written["datasets"][0]["words"]["negation"];
        assert!(negation.as_object_mut().unwrap().remove("held_out").is_some());
        let wordings = negation["per_attribute"]["cytoplasm_vacuole"]["wordings"].as_array_mut().unwrap();
        assert!(wordings.iter_mut().all(|w| w.as_object_mut().unwrap().remove("held_out").is_some()));
        let back: crate::EvalDocument = serde_json::from_value(written).unwrap();
        let words = back.datasets[0].words.as_ref().unwrap();
        let negation = words.negation.as_ref().unwrap();
        assert_eq!(negation.held_out, None);
        assert!(negation.per_attribute["cytoplasm_vacuole"].wordings.iter().all(|w| w.held_out.is_none()));
        let expected = "
  cells.csv  mean               all             –         8      0.750                 0.500
  cells.csv  cytoplasm_vacuole  all             –         8      0.750 [0.500, 1.000]  0.500
  cells.csv  cytoplasm_vacuole  no vacuoles     –         4      0.750                 0.500
  cells.csv  cytoplasm_vacuole  lacks vacuoles  –         4      0.750                 0.500
";
        let text = render(&back, TableStyle::Text);
        assert!(text.contains(expected), "what nobody told is not denied: {text}");
        assert_eq!(words.combinations, document.datasets[0].words.as_ref().unwrap().combinations);
    }
}
