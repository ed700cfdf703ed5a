//! What all pages have: head, style, navigation, errors, footer.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use wbc_core::Warning;

const STYLE: &str = include_str!("style.css");

/// A way to a part of the page.
pub(super) struct Link {
    pub(super) id: String,
    pub(super) title: String,
}

/// A page with nothing to load and nothing to run.
pub(super) fn page(title: &str, header: &Markup, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content="wbc-clip";
                title { (title) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    div.inner {
                        p.brand { "WBC-CLIP" span { "morphology-aware vision and language for white blood cells" } }
                        (header)
                    }
                }
                main { (body) }
                footer { "For research, not diagnosis. Written by wbc-clip." }
            }
        }
    }
    .into_string()
}

/// Links to the parts of a page; none where there is but one.
pub(super) fn navigation(links: &[Link]) -> Markup {
    html! {
        @if links.len() > 1 {
            nav aria-label="Parts of this page" {
                @for link in links { a href=(format!("#{}", link.id)) { (link.title) } }
            }
        }
    }
}

/// What failed while the rest was done.
pub(super) fn error_list(errors: &[Warning]) -> Markup {
    html! {
        section.card.errors #errors {
            h2 { "What failed" }
            ul { @for error in errors { li { b { (error.item) } ": " (error.cause) } } }
        }
    }
}
