//! Colours by role, as CSS variables for light and dark backgrounds.

use std::fmt::Write;

/// A CSS variable and its values.
struct Colour {
    variable: &'static str,
    light: &'static str,
    dark: &'static str,
}

const fn colour(variable: &'static str, light: &'static str, dark: &'static str) -> Colour {
    Colour { variable, light, dark }
}

/// The series' colours are distinguishable with colour vision deficiencies (Okabe and Ito, 2008),
/// made darker or lighter for enough contrast with the background.
const COLOURS: [Colour; 10] = [
    colour("--paper", "#ffffff", "#15181c"),
    colour("--ink", "#1b1e22", "#e8eaed"),
    colour("--muted", "#5c636b", "#a3abb4"),
    colour("--grid", "#e1e4e8", "#343a41"),
    colour("--series-1", "#0072b2", "#4aa8e8"),
    colour("--series-2", "#d55e00", "#ff8140"),
    colour("--series-3", "#00805d", "#2ec495"),
    colour("--series-4", "#b0588b", "#e29bc4"),
    colour("--series-5", "#b98000", "#f2b632"),
    colour("--series-6", "#3c97cd", "#a4d8f5"),
];

pub const INK: &str = "--ink";
pub const MUTED: &str = "--muted";
pub const GRID: &str = "--grid";

/// Number of series colours.
const SERIES: usize = 6;

/// The colour of a series, counted from 0. Colours repeat after the last one.
pub fn series_colour(number: usize) -> &'static str {
    COLOURS[COLOURS.len() - SERIES + number % SERIES].variable
}

/// CSS that defines the colours for a selector, by the reader's colour scheme, and outlines the
/// text of charts so that lines behind it do not cross it.
pub fn palette(selector: &str) -> String {
    let mut css = format!("{selector} {{ color-scheme: light dark;");
    for colour in &COLOURS {
        let _ = write!(css, " {}: {};", colour.variable, colour.light);
    }
    let _ = write!(css, " }}\n@media screen and (prefers-color-scheme: dark) {{ {selector} {{");
    for colour in &COLOURS {
        let _ = write!(css, " {}: {};", colour.variable, colour.dark);
    }
    css.push_str(" } }\nsvg text { paint-order: stroke; stroke: var(--paper); stroke-width: 4 }\n");
    css
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contrast ratio of two colours, 1 to 21 (WCAG 2).
    fn contrast(a: &str, b: &str) -> f64 {
        let luminance = |colour: &str| {
            let channel = |at: usize| {
                let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
                if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
        };
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn colours_contrast_with_the_background() {
        let paper = &COLOURS[0];
        for (number, colour) in COLOURS.iter().enumerate().skip(1) {
            let least = match number {
                1 | 2 => 4.5, // text
                3 => 1.2,     // the grid stays in the background
                _ => 3.0,
            };
            for (background, drawn) in [(paper.light, colour.light), (paper.dark, colour.dark)] {
                assert!(contrast(background, drawn) >= least, "{} {drawn}", colour.variable);
            }
        }
    }

    #[test]
    fn series_colours_repeat() {
        assert_eq!((series_colour(0), series_colour(5)), ("--series-1", "--series-6"));
        assert_eq!(series_colour(SERIES), series_colour(0));
    }
}
