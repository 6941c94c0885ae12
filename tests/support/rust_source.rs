//! A Rust file as the rules of tests/tidy.rs see it: its text, and its code alone.
//!
//! In `code` every comment and the inside of every string and character literal is blanked, so a rule
//! can look for words and braces without being misled. Lines and columns stay where they are. This is
//! a scanner of a few tokens, not a parser: good for code that compiles, silent about code that does not.

/// A file of the project.
pub struct Source {
    /// Relative to the project's root, with `/`.
    pub path: String,
    /// As it is.
    pub text: String,
    /// Without comments and literals.
    pub code: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into(), code: code_only(text) }
    }

    /// `PATH:LINE: MESSAGE` for the byte at `offset` of `code`.
    pub fn fault(&self, offset: usize, message: &str) -> String {
        let line = self.code[..offset].matches('\n').count() + 1;
        format!("{}:{line}: {message}", self.path)
    }

    /// Where `word` stands in the code as a whole word; `word` may hold `::` and end in `!`.
    pub fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        let part = |c: char| c.is_alphanumeric() || c == '_';
        self.code.match_indices(word).map(|(at, _)| at).filter(move |at| {
            let (before, after) = (&self.code[..*at], &self.code[at + word.len()..]);
            let goes_on = word.ends_with(part) && after.starts_with(part);
            !before.ends_with(part) && !goes_on
        })
    }
}

/// `text` with comments and literals blanked.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let blank = comment(rest).or_else(|| literal(rest, code.chars().next_back()));
        let length = blank.unwrap_or_else(|| rest.chars().next().map_or(0, char::len_utf8));
        let (token, after) = rest.split_at(length);
        match blank {
            None => code.push_str(token),
            // Byte for byte, so that offsets hold.
            Some(_) => code.extend(token.bytes().map(|b| if b == b'\n' { '\n' } else { ' ' })),
        }
        rest = after;
    }
    code
}

/// Length of the comment that `rest` begins with.
fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += 1;
        }
    }
    Some(rest.len())
}

/// Length of the string or character literal that `rest` begins with. A prefix (`b`, `r#`) counts
/// only at the start of a word.
fn literal(rest: &str, previous: Option<char>) -> Option<usize> {
    let inside_word = previous.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let prefix = if inside_word { 0 } else { rest.find(|c| !"bcr".contains(c)).unwrap_or(0) };
    let body = &rest[prefix.min(2)..];
    if rest[..prefix.min(2)].ends_with('r') {
        let hashes = body.len() - body.trim_start_matches('#').len();
        if body[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let length = body[hashes + 1..].find(&end).map(|at| at + hashes + 1 + end.len());
            return Some(prefix + length.unwrap_or(body.len()));
        }
        return None;
    }
    if body.starts_with('"') {
        return Some(prefix + quoted(body, b'"'));
    }
    let mut characters = body.strip_prefix('\'')?.chars();
    match (characters.next()?, characters.next()?) {
        ('\\', _) => Some(prefix + quoted(body, b'\'')),
        (one, '\'') => Some(prefix + 2 + one.len_utf8()),
        _ => None, // a lifetime
    }
}

/// Length of a literal in quotes, with backslashes.
fn quoted(body: &str, quote: u8) -> usize {
    let mut bytes = body.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        if byte == b'\\' {
            bytes.next();
        } else if byte == quote {
            return at + 1;
        }
    }
    body.len()
}

#[test]
fn comments_and_literals_are_blanked_and_nothing_else() {
    let code = |text| code_only(text).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(code("a // b\nc /* d /* e */ f */ g"), "a c g");
    assert_eq!(code(r#"f("x { \" // y", b"z{", 'q')"#), "f( , , )");
    assert_eq!(code("r#\"un\"safe\"# + br\"x\" + r#type + for_r\"s\""), "+ + r#type + for_r");
    assert_eq!(
        code("<'a>('{', '\\'', '\\u{7b}', b'}', 'é', &'static T)"),
        "<'a>( , , , , , &'static T)"
    );
    assert_eq!(code_only("é \"é{\"\nx").len(), "é \"é{\"\nx".len());
}
