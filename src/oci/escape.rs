//! Makes foreign text harmless on a terminal and in a log line.
//!
//! Registry messages, names and labels may hold escape sequences (CVE-2021-25743), line breaks that
//! forge log lines (CVE-2025-58160) or characters that reorder what is shown. Everything that is
//! not printable comes out as a Rust escape; quotes and backslashes stay as they are, since the
//! result is for people and not for a parser.

use std::fmt;

/// Shows `text` with every character escaped that could drive a terminal.
pub fn escaped(text: &str) -> impl fmt::Display + '_ {
    Escaped(text)
}

struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for character in self.0.chars() {
            match character {
                '\'' | '"' | '\\' => f.write_char(character)?,
                other => fmt::Display::fmt(&other.escape_debug(), f)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cve_2025_58160_escapes_and_line_breaks_are_shown_and_not_sent() {
        let hostile = "\u{1b}[31mred\u{7}\r\nline\u{9b}2J \u{202e}right-to-left\u{2028}\u{200b}";
        let shown = escaped(hostile).to_string();
        assert!(shown.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{shown:?}");
    }

    #[test]
    fn ordinary_text_stays() {
        for text in ["it's \"fine\"", r"C:\dir", "grüße 日本", ""] {
            assert_eq!(escaped(text).to_string(), text);
        }
    }
}
