//! `WWW-Authenticate`, which may hold several challenges in one value and several values
//! (RFC 9110 section 11.6.1).
//!
//! A comma separates both parameters and challenges; a word before a comma or a space and not
//! before `=` begins a challenge. What cannot be read ends the value; what was read before counts.

/// One way of authenticating that a server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// `bearer`, `basic`, ...: in lower case.
    pub scheme: String,
    /// Names in lower case, in their order.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The value of a parameter; of several the first.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Reads one value of the header.
pub fn parse_challenges(value: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = value.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let (word, after) = split_token(rest);
        if word.is_empty() {
            break;
        }
        match (after.trim_start_matches([' ', '\t']).strip_prefix('='), challenges.last_mut()) {
            (Some(value), Some(challenge)) if !value.starts_with('=') => {
                let Some((value, after)) = split_value(value.trim_start_matches([' ', '\t']))
                else {
                    break;
                };
                challenge.parameters.push((word.to_ascii_lowercase(), value));
                rest = after;
            }
            (Some(_), _) => break,
            (None, _) => {
                let scheme = word.to_ascii_lowercase();
                challenges.push(Challenge { scheme, parameters: Vec::new() });
                rest = after;
            }
        }
        rest = rest.trim_start_matches([' ', '\t', ',']);
    }
    challenges
}

fn split_token(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    text.split_at(text.find(|c| !is_token(c)).unwrap_or(text.len()))
}

/// A token or a quoted string. Unquoted values may hold what only quoted ones should: realms are
/// sent so.
fn split_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find([',', ' ', '\t']).unwrap_or(text.len()));
        return Some((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> String {
        let challenges = parse_challenges(value);
        let texts = challenges.iter().map(|challenge| {
            let parameters =
                challenge.parameters.iter().map(|(key, value)| format!("{key}={value}"));
            format!("{}({})", challenge.scheme, parameters.collect::<Vec<_>>().join(";"))
        });
        texts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn challenges() {
        for (value, expected) in [
            (
                r#"Bearer realm="https://a/t",service="s",scope="repository:x:pull,push""#,
                "bearer(realm=https://a/t;service=s;scope=repository:x:pull,push)",
            ),
            (r#"Basic realm="Registry""#, "basic(realm=Registry)"),
            ("Basic", "basic()"),
            (r#"BASIC realm="a", Bearer realm="b",x=y"#, "basic(realm=a) bearer(realm=b;x=y)"),
            (r#"Negotiate, Basic realm="a""#, "negotiate() basic(realm=a)"),
            (r#"Bearer realm = "a" , service= b"#, "bearer(realm=a;service=b)"),
            (r#"Bearer realm="a \"b\" \\ c""#, r#"bearer(realm=a "b" \ c)"#),
            (r#"Bearer realm="https://a/t"service="s""#, "bearer(realm=https://a/t;service=s)"),
            ("Bearer realm=https://a/t?x=1,service=s", "bearer(realm=https://a/t?x=1;service=s)"),
            (r#"Bearer realm="open"#, "bearer()"),
            (r#"Bearer realm="open\"#, "bearer()"),
            ("Bearer REALM=a,Realm=b", "bearer(realm=a;realm=b)"),
            (r#", ,Bearer realm="a""#, "bearer(realm=a)"),
            ("realm=a", ""),
            ("", ""),
            ("\"x\"", ""),
            ("Bearer @", "bearer()"),
            ("Bearer ,,,", "bearer()"),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
    }
}
