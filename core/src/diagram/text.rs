//! Texts of users, made harmless for each format, and how much room they take.

/// The longest text shown in a box or at an edge, in characters; the whole of it stands in the tooltip.
pub(super) const LONGEST: usize = 36;

/// A text on one line, without control characters, and not too long.
pub(super) fn short(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| if is_odd(c) { ' ' } else { c })
        .collect();
    let line = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    let mut cut: String = line.chars().take(LONGEST - 1).collect();
    cut.push('…');
    cut
}

/// Characters that no format shows, that XML does not allow, or that turn the direction of what follows.
fn is_odd(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
                       | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// A text for XML, in content and in attributes; line breaks stay.
pub(super) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push('\n'),
            c if is_odd(c) => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A text for a quoted string of Mermaid. Whatever is neither letter, digit nor plain punctuation becomes a character
/// code, so that nothing in it can end the string, start Markdown (a list: `1.` or `-`) or HTML, or be taken for a
/// keyword.
pub(super) fn mermaid(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut only_digits = true;
    for c in text.chars() {
        let list = only_digits && matches!(c, '.' | '-');
        only_digits &= c.is_ascii_digit();
        if !list && (c.is_alphanumeric() || matches!(c, ' ' | ',' | '.' | ':' | '/' | '-' | '_')) {
            out.push(c);
        } else {
            out.push_str(&format!("#{};", u32::from(c)));
        }
    }
    out
}

/// A text for a quoted string of DOT. A backslash would start an escape, such as the node's name.
pub(super) fn dot(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Roughly how wide a text is in a sans-serif font of 12 pixels, in pixels.
pub(super) fn width(text: &str) -> f64 {
    text.chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | 't' | 'f' | 'r' | ' ' | '.' | ',' | ':' | '\'' | '|' => 4.2,
            'm' | 'w' | 'M' | 'W' | '@' | '%' => 10.5,
            c if u32::from(c) >= 0x1100 => 13.0,
            c if c.is_uppercase() => 8.6,
            _ => 7.0,
        })
        .sum()
}
