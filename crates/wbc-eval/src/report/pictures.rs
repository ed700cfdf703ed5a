//! Cells, and searches with what they found.

use super::{Hit, Item, Picture, RetrievalExample, figures};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

/// Cells in a grid.
pub(super) fn gallery(pictures: &[Picture]) -> Markup {
    html! {
        section.card #gallery {
            h2 { "Cells" }
            div.gallery { @for p in pictures { (picture(p)) } }
        }
    }
}

/// Each query above its hits.
pub(super) fn retrieval_examples(examples: &[RetrievalExample]) -> Markup {
    html! {
        section.card #retrieval {
            h2 { "Searches" }
            p.hint { "Best first, with cosine similarity. " span.mark.yes { "✓" } " relevant, " span.mark.no { "✗" } " not relevant." }
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
    let (class, mark, said) = if hit.relevant { ("yes", "✓", "relevant") } else { ("no", "✗", "not relevant") };
    let kind = if matches!(hit.item, Item::Text(_)) { " said" } else { "" };
    html! {
        li class=(format!("{class}{kind}")) {
            p.score {
                span class=(format!("mark {class}")) title=(said) role="img" aria-label=(said) { (mark) }
                " " (figures::fixed(hit.score, 3))
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
    fn relevance_is_told_by_more_than_colour() {
        let of = |relevant| hit(&Hit { item: Item::Text("x".into()), score: 0.25, relevant }).into_string();
        assert!(of(true).contains("✓") && of(true).contains("0.250"));
        assert!(of(false).contains("✗") && of(false).contains("not relevant"));
    }
}
