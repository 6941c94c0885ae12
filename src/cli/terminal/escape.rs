//! The one function that makes foreign bytes harmless on a terminal.
//!
//! Names, labels, commands of a history, registry messages and file names come from whoever made
//! the image. Nothing of them may reach a terminal that could move its cursor, change its colours
//! or title, reorder text or forge a line. Whatever is written to a terminal goes through
//! [`super::Output`], which calls this; what goes to a file or a pipe is left as it is.

use crate::oci::escaped;

/// Shows text or bytes with everything escaped that is not printable: `\u{1b}` for characters,
/// `\xff` for bytes that are no UTF-8.
pub fn escape(bytes: impl AsRef<[u8]>) -> String {
    let mut shown = String::new();
    for chunk in bytes.as_ref().utf8_chunks() {
        shown.push_str(&escaped(chunk.valid()).to_string());
        for byte in chunk.invalid() {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    shown
}

/// The same for text that is laid out in lines and columns: newlines and tabs stay.
pub fn escape_lines(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            shown.push('\n');
        }
        let cells: Vec<String> = line.split('\t').map(escape).collect();
        shown.push_str(&cells.join("\t"));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_drives_the_terminal() {
        let hostile = b"\x1b]0;title\x07\x1b[2J\xff\xc3(\xe2\x80\xaeabc\x7f\xc2\x9b31m\r\n";
        let shown = escape(hostile);
        assert!(shown.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{shown}");
        assert!(shown.starts_with("\\u{1b}]0;title\\u{7}\\u{1b}[2J\\xff\\xc3("), "{shown}");
        assert_eq!(escape_lines("a\tb\r\nc\x1b"), "a\tb\\r\nc\\u{1b}");
        assert_eq!(escape("größe 日本 \\ \"x\""), "größe 日本 \\ \"x\"");
    }
}
