//! Self-BLEU against nltk; `golden/make_self_bleu.py` prints the values.

use wbc_caption::self_bleu;

/// Both compute in 64 bits, in another order.
const TOLERANCE: f64 = 1e-9;

#[derive(serde::Deserialize)]
struct Golden {
    sets: Vec<Set>,
}

#[derive(serde::Deserialize)]
struct Set {
    texts: Vec<String>,
    self_bleu: f64,
}

#[test]
fn self_bleu_is_that_of_nltk() {
    let golden: Golden = serde_json::from_str(include_str!("golden/self_bleu.json")).unwrap();
    assert_eq!(golden.sets.len(), 5);
    for set in golden.sets {
        let ours = self_bleu(&set.texts);
        assert!((ours - set.self_bleu).abs() < TOLERANCE, "{ours} where nltk has {}: {:?}", set.self_bleu, set.texts);
    }
}
