//! Names in messages.

use std::fmt::Display;

/// As many names as a message can bear.
const NAMED: usize = 20;

/// The first names, and the number of the others.
pub fn listed(names: &[impl Display]) -> String {
    let mut text = names.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if let Some(more) = names.len().checked_sub(NAMED).filter(|&more| more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_first_are_counted() {
        assert_eq!(listed(&["a", "b"]), "a, b");
        let many: Vec<usize> = (0..23).collect();
        assert!(listed(&many).ends_with("18, 19 and 3 more"));
        assert_eq!(listed(&many[..20]).matches(',').count(), 19);
    }
}
