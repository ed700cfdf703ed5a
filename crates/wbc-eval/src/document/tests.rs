use super::*;
use crate::shifts::{ShiftCaseReport, ShiftFigures, ShiftMean};
use serde_json::{Value, json};
use wbc_data::{ShiftKind, ShiftStrength};

/// Four bins of so many cells, half of each right and stated as surely as the middle of their bin.
pub(crate) fn quarters(counts: [usize; 4]) -> Vec<ReliabilityBin> {
    let bin = |(n, i): (usize, u8)| ReliabilityBin {
        lower: f64::from(i) / 4.0,
        upper: f64::from(i + 1) / 4.0,
        n,
        confidence: (n > 0).then(|| f64::from(i) / 4.0 + 0.125),
        accuracy: (n > 0).then_some(0.5),
    };
    counts.into_iter().zip(0..).map(bin).collect()
}

pub(crate) fn example() -> EvalDocument {
    let class = |recall: Option<f64>, n| ClassScores { recall: recall.into(), precision: Figure::UNDEFINED, n };
    let zero_shot = ZeroShot {
        accuracy: Figure::new(0.75, Some([0.5, 1.0])),
        balanced_accuracy: 0.75.into(),
        macro_f1: f64::NAN.into(),
        ece: Figure::UNDEFINED,
        reliability: quarters([0, 0, 1, 3]),
        per_class: [("monocyte".into(), class(Some(0.75), 4)), ("basophil".into(), class(None, 0))].into(),
        confusion: vec![vec![0, 0], vec![1, 3]],
    };
    let value = ValueScores { recall: 1.0.into(), precision: 1.0.into(), f1: 1.0.into(), ece: None, n: 4 };
    let shape = AttributeScores {
        accuracy: 1.0.into(),
        macro_f1: 0.5.into(),
        ece: Some(0.25.into()),
        reliability: quarters([0, 1, 0, 3]),
        per_value: [("round".into(), value)].into(),
    };
    let attributes = Attributes {
        mean_accuracy: 1.0.into(),
        mean_macro_f1: 0.5.into(),
        mean_ece: Some(0.25.into()),
        reliability: quarters([0, 1, 0, 3]),
        per_attribute: [("cell_shape".into(), shape)].into(),
    };
    let retrieval = Retrieval {
        direction: Direction::ImageToText,
        relevance: RelevanceRule::SameAttributes,
        n_queries: 4,
        n_gallery: 2,
        hit_rate: [(10, 1.0.into()), (5, 1.0.into()), (1, 0.5.into())].into(),
        recall: [(1, 0.5.into()), (5, 1.0.into()), (10, 1.0.into())].into(),
        map: 0.75.into(),
        median_rank: 1.5.into(),
    };
    let branch = Scores { zero_shot: Some(zero_shot.clone()), ..Scores::default() };
    let annotated = DatasetReport {
        scores: Scores { zero_shot: Some(zero_shot), attributes: Some(attributes), retrieval: vec![retrieval] },
        branches: Some([("pixels".into(), branch)].into()),
        ..DatasetReport::of("cells.csv", 4, vec!["basophil".into(), "monocyte".into()])
    };
    let bare = DatasetReport::of("b|are", 0, vec![]);
    let error = Warning { item: "bccd".into(), cause: "absent".into() };
    EvalDocument::new(vec![annotated, bare], vec![error])
}

#[test]
fn the_document_has_the_form_of_the_contract() {
    let found = serde_json::to_value(example()).unwrap();
    assert_eq!((&found["schema"], &found["version"]), (&json!("wbc-clip.eval"), &json!(1)));
    assert_eq!(found["errors"], json!([{"item": "bccd", "cause": "absent"}]));
    let first = &found["datasets"][0];
    assert_eq!(first["zero_shot"]["accuracy"], json!({"value": 0.75, "ci95": [0.5, 1.0]}));
    assert_eq!(first["zero_shot"]["per_class"]["monocyte"]["n"], json!(4));
    assert_eq!(first["zero_shot"]["confusion"], json!([[0, 0], [1, 3]]));
    assert_eq!(first["attributes"]["per_attribute"]["cell_shape"]["per_value"]["round"]["f1"]["value"], json!(1.0));
    assert_eq!(first["attributes"]["mean_ece"], json!({"value": 0.25, "ci95": null}));
    assert_eq!(first["attributes"]["per_attribute"]["cell_shape"]["per_value"]["round"].get("ece"), None);
    assert_eq!(
        first["retrieval"][0],
        json!({
            "direction": "image_to_text", "relevance": "same_attributes", "n_queries": 4, "n_gallery": 2,
            "hit_rate": {"1": {"value": 0.5, "ci95": null}, "5": {"value": 1.0, "ci95": null},
                "10": {"value": 1.0, "ci95": null}},
            "recall": {"1": {"value": 0.5, "ci95": null}, "5": {"value": 1.0, "ci95": null},
                "10": {"value": 1.0, "ci95": null}},
            "map": {"value": 0.75, "ci95": null}, "median_rank": {"value": 1.5, "ci95": null},
        })
    );
    assert_eq!(first["branches"]["pixels"]["zero_shot"], first["zero_shot"]);
    assert_eq!(found["datasets"][1], json!({"id": "b|are", "n": 0, "classes": [], "retrieval": []}));
}

#[test]
fn undefined_is_null_and_never_nan() {
    let found = serde_json::to_value(example()).unwrap();
    let undefined = json!({"value": null, "ci95": null});
    assert_eq!(found["datasets"][0]["zero_shot"]["macro_f1"], undefined);
    assert_eq!(found["datasets"][0]["zero_shot"]["per_class"]["basophil"]["recall"], undefined);
    assert_eq!(Figure::new(f64::INFINITY, Some([0.0, 1.0])), Figure::UNDEFINED);
    assert_eq!(Figure::new(1.0, Some([f64::NAN, 1.0])), Figure::from(1.0));
}

#[test]
fn documents_round_trip_through_text() {
    let text = serde_json::to_string_pretty(&example()).unwrap();
    assert_eq!(serde_json::from_str::<EvalDocument>(&text).unwrap(), example());
    let unknown: Result<Figure, _> = serde_json::from_value(json!({"value": 1.0, "ci95": null, "sd": 2.0}));
    assert!(unknown.is_err());
    let empty: Value = serde_json::to_value(EvalDocument::new(vec![], vec![])).unwrap();
    assert_eq!(empty, json!({"schema": "wbc-clip.eval", "version": 1, "datasets": [], "errors": []}));
}

#[test]
fn documents_without_bins_are_read() {
    let mut document = example();
    let written = serde_json::to_value(&document).unwrap();
    let bins = &written["datasets"][0]["zero_shot"]["reliability"];
    assert_eq!(bins[3], json!({"lower": 0.75, "upper": 1.0, "n": 3, "confidence": 0.875, "accuracy": 0.5}));
    assert_eq!(bins[0], json!({"lower": 0.0, "upper": 0.25, "n": 0, "confidence": null, "accuracy": null}));
    let scores = &mut document.datasets[0].scores;
    scores.zero_shot.as_mut().unwrap().reliability.clear();
    let attributes = scores.attributes.as_mut().unwrap();
    attributes.reliability.clear();
    attributes.per_attribute.values_mut().for_each(|a| a.reliability.clear());
    let branches = document.datasets[0].branches.iter_mut().flat_map(|b| b.values_mut());
    branches.filter_map(|b| b.zero_shot.as_mut()).for_each(|z| z.reliability.clear());
    let text = serde_json::to_string(&document).unwrap();
    assert!(!text.contains("reliability"), "{text}");
    assert_eq!(serde_json::from_str::<EvalDocument>(&text).unwrap(), document);
}

#[test]
fn shifts_are_there_only_where_asked_for() {
    let figures = ShiftFigures { accuracy: Figure::new(0.5, Some([0.25, 0.75])), ..ShiftFigures::default() };
    let case = ShiftCaseReport { kind: ShiftKind::Jpeg, strength: ShiftStrength::Weak, figures };
    let mean = ShiftMean { strength: ShiftStrength::Weak, figures };
    let mut document = example();
    document.datasets[0].shifts = Some(ShiftReport { unshifted: figures, cases: vec![case], mean: vec![mean] });
    let written = serde_json::to_value(&document).unwrap();
    let undefined = json!({"value": null, "ci95": null});
    let expected = json!({
        "accuracy": {"value": 0.5, "ci95": [0.25, 0.75]}, "balanced_accuracy": undefined,
        "attributes_mean_accuracy": undefined, "attributes_mean_macro_f1": undefined, "hit_rate_1": undefined,
    });
    let found = &written["datasets"][0]["shifts"];
    assert_eq!(found["cases"], json!([{"kind": "jpeg", "strength": "weak", "figures": expected}]));
    assert_eq!(found["mean"], json!([{"strength": "weak", "figures": expected}]));
    assert_eq!(found["unshifted"], expected);
    assert_eq!(written["datasets"][1].get("shifts"), None);
    assert_eq!(serde_json::from_value::<EvalDocument>(written).unwrap(), document);
    let expected = "\
Simulated shifts, sizes masked
  dataset    shift  strength  accuracy              balanced  attributes  attribute macro-F1  hit@1
  cells.csv  none             0.500 [0.250, 0.750]  –         –           –                   –
  cells.csv  jpeg   weak      0.500 [0.250, 0.750]  –         –           –                   –
  cells.csv  mean   weak      0.500 [0.250, 0.750]  –         –           –                   –
";
    let text = crate::render(&document, crate::TableStyle::Text);
    assert!(text.contains(expected), "{text}");
}

#[test]
fn names_of_rules_are_those_of_the_document() {
    for d in [Direction::ImageToText, Direction::TextToImage] {
        assert_eq!(serde_json::to_value(d).unwrap(), json!(d.as_str()));
    }
    use RelevanceRule::*;
    for r in [SamePair, SameCaption, SameAttributes, SameClass] {
        assert_eq!(serde_json::to_value(r).unwrap(), json!(r.as_str()));
    }
}
