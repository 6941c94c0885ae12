//! Go's `path.Match`: shell patterns whose `*` and `?` stop at a slash.
//!
//! `[a-z]`, `[^a-z]` and `\` escapes are known. A malformed pattern is an error even where the
//! match has failed before the malformed part, so that it never depends on the data.

/// The pattern is malformed: Go's `syntax error in pattern`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPattern;

/// A part of a pattern.
#[derive(Debug)]
enum Part {
    /// `*`: any number of characters but slashes.
    Any,
    /// `?`: one character but a slash.
    One,
    /// `[...]`: whether it is negated, and its ranges.
    Set(bool, Vec<(char, char)>),
    /// One character.
    Char(char),
}

/// A pattern that is well formed.
#[derive(Debug)]
pub struct Pattern(Vec<Part>);

impl Pattern {
    /// Parses a pattern.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let mut parts = Vec::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            parts.push(match c {
                '*' => Part::Any,
                '?' => Part::One,
                '[' => set(&mut rest)?,
                '\\' => Part::Char(rest.next().ok_or(BadPattern)?),
                c => Part::Char(c),
            });
        }
        Ok(Self(parts))
    }

    /// Whether all of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut part, mut at) = (0, 0);
        // Where to go on when a later part fails: the star takes one character more.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match (self.0.get(part), text.get(at)) {
                (None, None) => return true,
                (Some(Part::Any), _) => {
                    retry = Some((part, at));
                    part += 1;
                    continue;
                }
                (Some(Part::One), Some(c)) if *c != '/' => {}
                (Some(Part::Set(negated, ranges)), Some(c)) if in_set(*negated, ranges, *c) => {}
                (Some(Part::Char(wanted)), Some(c)) if c == wanted => {}
                _ => {
                    let Some((star, taken)) = retry else { return false };
                    if text.get(taken).is_none_or(|c| *c == '/') {
                        return false;
                    }
                    retry = Some((star, taken + 1));
                    (part, at) = (star + 1, taken + 1);
                    continue;
                }
            }
            part += 1;
            at += 1;
        }
    }
}

fn in_set(negated: bool, ranges: &[(char, char)], c: char) -> bool {
    ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != negated
}

/// The rest of a set, up to its bracket.
fn set(rest: &mut std::str::Chars<'_>) -> Result<Part, BadPattern> {
    let negated = rest.as_str().starts_with('^');
    if negated {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        if rest.as_str().starts_with(']') && !ranges.is_empty() {
            rest.next();
            return Ok(Part::Set(negated, ranges));
        }
        let low = set_char(rest)?;
        let high = if rest.as_str().starts_with('-') {
            rest.next();
            set_char(rest)?
        } else {
            low
        };
        ranges.push((low, high));
    }
}

fn set_char(rest: &mut std::str::Chars<'_>) -> Result<char, BadPattern> {
    match rest.next() {
        None | Some('-' | ']') => Err(BadPattern),
        Some('\\') => rest.next().ok_or(BadPattern),
        Some(c) => Ok(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern).expect("well formed").matches(text)
    }

    #[test]
    fn answers_of_path_match() {
        // The table of Go's own tests.
        for (pattern, text, wanted) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^b-d]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("a?b", "a/b", false),
            ("a*b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[\\-]", "-", true),
            ("[x\\-]", "z", false),
            ("*x", "xxx", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, text), wanted, "{pattern} {text}");
        }
    }

    #[test]
    fn malformed_patterns() {
        for pattern in ["[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc", "a[", "\\"] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        assert!(!matches(&format!("{}b", "a*".repeat(100)), &"a".repeat(5000)));
        assert!(matches(&format!("{}b", "a*".repeat(100)), &format!("{}b", "a".repeat(5000))));
    }
}
