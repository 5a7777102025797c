//! What all pages have: head, style, and how tables and pictures stand in them.

use crate::charts::{Picture, palette};
use crate::numbers::grouped;
use crate::table::{Align, Table};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");

/// A page of its own.
pub fn page(title: &str, summary: &str, body: &Markup) -> String {
    let style = palette(":root") + STYLE;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(style)) }
            }
            body {
                header {
                    h1 { (title) }
                    p { (summary) }
                }
                main { (body) }
                footer {
                    p { "Made by occ " (env!("CARGO_PKG_VERSION")) "." }
                }
            }
        }
    };
    page.into_string()
}

/// A part of a page, under a title.
pub fn section(title: &str, body: &Markup) -> Markup {
    html! {
        section {
            h2 { (title) }
            (body)
        }
    }
}

/// A part that is shown when it is asked for.
pub fn details(title: &str, body: &Markup) -> Markup {
    html! {
        details {
            summary { (title) }
            (body)
        }
    }
}

/// Lines of a whole list, at most.
pub const LISTED: usize = 500;

/// A table of many lines that is shown when it is asked for; `rest` are left out, and listed by
/// `elsewhere`.
pub fn listing(title: &str, lines: &Table, rest: usize, elsewhere: &str) -> Markup {
    details(
        title,
        &html! {
            (table(lines))
            @if rest > 0 {
                p { "and " (grouped(rest as u64)) " more: " (elsewhere) "." }
            }
        },
    )
}

/// A table that is scrolled by itself where the page is too narrow.
pub fn table(table: &Table) -> Markup {
    let class = |column: usize| {
        let is_number =
            table.columns().get(column).is_some_and(|(_, align)| *align == Align::Right);
        is_number.then_some("number")
    };
    html! {
        div.scrolled {
            table {
                thead {
                    tr {
                        @for (column, (title, _)) in table.columns().iter().enumerate() {
                            th scope="col" class=[class(column)] { (title) }
                        }
                    }
                }
                tbody {
                    @for row in table.rows() {
                        tr {
                            @for (column, cell) in row.iter().enumerate() {
                                @if column == 0 {
                                    th scope="row" { (cell) }
                                } @else {
                                    td class=[class(column)] { (cell) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Pictures side by side, as many as fit.
pub fn figures(pictures: &[Picture]) -> Markup {
    html! {
        div.figures {
            @for picture in pictures {
                figure { (PreEscaped(picture.inline())) }
            }
        }
    }
}

/// A list of sentences.
pub fn list(sentences: &[String]) -> Markup {
    html! {
        ul {
            @for sentence in sentences {
                li { (sentence) }
            }
        }
    }
}
