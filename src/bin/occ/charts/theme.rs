//! Colours by their part in a picture, not by their value.

use plotters::style::RGBColor;
use std::fmt::Write;

/// What a colour is for, as a CSS variable, and its value on light and dark paper.
struct Colour {
    variable: &'static str,
    light: &'static str,
    dark: &'static str,
}

const fn colour(variable: &'static str, light: &'static str, dark: &'static str) -> Colour {
    Colour { variable, light, dark }
}

/// Series are told apart by those with any colour vision (Okabe & Ito, 2008); made darker or
/// lighter, until lines stand out from the paper.
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

pub const INK: RGBColor = sentinel(1);
pub const MUTED: RGBColor = sentinel(2);
pub const GRID: RGBColor = sentinel(3);

/// How many series have a colour of their own.
const SERIES: usize = 6;

/// The colour of a series, from 0; after the last the first comes again.
pub fn series(number: usize) -> RGBColor {
    sentinel((COLOURS.len() - SERIES + number % SERIES) as u8)
}

/// What stands for a colour while drawing.
const fn sentinel(number: u8) -> RGBColor {
    RGBColor(0x0C, 0xC0, number)
}

/// Puts variables where sentinels are.
pub fn with_variables(svg: &str) -> String {
    let mut svg = svg.to_owned();
    for (number, colour) in COLOURS.iter().enumerate() {
        let RGBColor(r, g, b) = sentinel(number as u8);
        let drawn = format!("\"#{r:02X}{g:02X}{b:02X}\"");
        svg = svg.replace(&drawn, &format!("\"var({})\"", colour.variable));
    }
    svg
}

/// CSS that defines the colours for what a selector finds, as the reader prefers them; and keeps
/// texts of pictures in it apart from lines behind them.
pub fn palette(selector: &str) -> String {
    let mut css = format!("{selector} {{ color-scheme: light dark;");
    for colour in &COLOURS {
        let _ = write!(css, " {}: {};", colour.variable, colour.light);
    }
    let _ = write!(css, " }}\n@media screen and (prefers-color-scheme: dark) {{ {selector} {{");
    for colour in &COLOURS {
        let _ = write!(css, " {}: {};", colour.variable, colour.dark);
    }
    css.push_str(
        " } }\nsvg text { paint-order: stroke; stroke: var(--paper); stroke-width: 40 }\n",
    );
    css
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How far two colours are apart in lightness, 1 to 21 (WCAG 2).
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
    fn colours_stand_out_from_the_paper() {
        let paper = &COLOURS[0];
        for (number, colour) in COLOURS.iter().enumerate().skip(1) {
            let least = match number {
                1 | 2 => 4.5, // text
                3 => 1.2,     // the grid is to stay behind
                _ => 3.0,
            };
            for (on, drawn) in [(paper.light, colour.light), (paper.dark, colour.dark)] {
                assert!(contrast(on, drawn) >= least, "{} {drawn}", colour.variable);
            }
        }
    }

    #[test]
    fn variables_take_the_place_of_sentinels_alone() {
        let drawn = "<p fill=\"#0CC001\" stroke=\"#0CC009\">#0CC001</p><p fill=\"#123456\"/>";
        let shown = "<p fill=\"var(--ink)\" stroke=\"var(--series-6)\">#0CC001</p>\
                     <p fill=\"#123456\"/>";
        assert_eq!(with_variables(drawn), shown);
        assert_eq!((series(0), series(SERIES)), (sentinel(4), sentinel(4)));
    }
}
