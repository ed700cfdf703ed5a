//! Cells, and searches with what they found.

use super::{Failure, Hit, Item, Picture, RetrievalExample, figures};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

/// Cells in a grid.
pub(super) fn gallery(id: &str, pictures: &[Picture]) -> Markup {
    html! {
        section.card id=(id) {
            h2 { "Cells" }
            div.gallery { @for p in pictures { (picture(p)) } }
        }
    }
}

/// Cells whose type was missed, with what they are and what was said.
pub(super) fn failures(id: &str, failures: &[Failure]) -> Markup {
    html! {
        section.card id=(id) {
            h2 { "Wrong and sure" }
            p.hint { "Cells whose type was missed, those with the highest probability of the wrong type first." }
            div.gallery.failures {
                @for f in failures {
                    div {
                        (picture(&f.picture))
                        p { span.role { "is" } " " b { (figures::spoken(&f.truth)) } }
                        p {
                            span.role { "called" } " " b.mark.no { "✗ " (figures::spoken(&f.said)) }
                            " " (figures::percent(Some(f.probability)))
                        }
                    }
                }
            }
        }
    }
}

/// Each query above its hits.
pub(super) fn retrieval_examples(id: &str, examples: &[RetrievalExample]) -> Markup {
    html! {
        section.card id=(id) {
            h2 { "Searches" }
            p.hint {
                "Best first, with cosine similarity. " span.mark.yes { "✓" } " relevant, " span.mark.no { "✗" } " not relevant, "
                "no mark: not annotated."
            }
            @for example in examples {
                article.search {
                    div.query { p.role { "query" } (item(&example.query)) }
                    @if example.hits.is_empty() {
                        p.empty { "Nothing was found." }
                    } @else {
                        ol.hits { @for h in &example.hits { (hit(h)) } }
                    }
                }
            }
        }
    }
}

fn hit(hit: &Hit) -> Markup {
    let class = match hit.relevant {
        Some(true) => "yes",
        Some(false) => "no",
        None => "open",
    };
    let mark = hit.relevant.map(|is| if is { ("✓", "relevant") } else { ("✗", "not relevant") });
    let kind = if matches!(hit.item, Item::Text(_)) { " said" } else { "" };
    html! {
        li class=(format!("{class}{kind}")) {
            p.score {
                @if let Some((mark, said)) = mark {
                    span class=(format!("mark {class}")) title=(said) role="img" aria-label=(said) { (mark) }
                    " "
                }
                (figures::fixed(hit.score, 3))
            }
            (item(&hit.item))
        }
    }
}

fn item(item: &Item) -> Markup {
    match item {
        Item::Text(text) => html! { blockquote { (text) } },
        Item::Image(shown) => picture(shown),
    }
}

fn picture(picture: &Picture) -> Markup {
    html! {
        figure.picture {
            @if picture.png.is_empty() {
                div.missing role="img" aria-label=(picture.caption) { (figures::UNDEFINED) }
            } @else {
                img src=(data_uri(&picture.png)) alt=(picture.caption);
            }
            @if !picture.caption.is_empty() { figcaption { (picture.caption) } }
            @if !picture.note.is_empty() { p.note { (picture.note) } }
        }
    }
}

fn data_uri(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(png))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_embedded() {
        let shown = Picture { caption: "a cell".into(), png: vec![0x89, b'P', b'N', b'G'], note: String::new() };
        let html = picture(&shown).into_string();
        assert!(html.contains(r#"<img src="data:image/png;base64,iVBORw==" alt="a cell">"#), "{html}");
        assert!(picture(&Picture { png: vec![], ..shown }).into_string().contains("–"));
    }

    #[test]
    fn a_failure_says_what_is_and_what_was_said() {
        let picture = Picture { caption: "cell-7".into(), png: vec![], note: String::new() };
        let (truth, said) = ("band_neutrophil".into(), "monocyte".into());
        let html = failures("x", &[Failure { picture, truth, said, probability: 0.9871 }]).into_string();
        for part in ["id=\"x\"", "cell-7", "<b>band neutrophil</b>", "✗ monocyte", "98.7\u{202f}%"] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }

    #[test]
    fn relevance_is_told_by_more_than_colour() {
        let of = |relevant| hit(&Hit { item: Item::Text("x".into()), score: 0.25, relevant }).into_string();
        assert!(of(Some(true)).contains("✓") && of(Some(true)).contains("0.250"));
        assert!(of(Some(false)).contains("✗") && of(Some(false)).contains("not relevant"));
        let open = of(None);
        assert!(open.contains("0.250") && open.contains("<li class=\"open said\">"), "{open}");
        assert!(!open.contains("mark") && !open.contains("relevant"), "what nobody annotated is no mistake: {open}");
    }
}
