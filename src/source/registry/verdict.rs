//! What an answer means, and what a registry says about its refusal (distribution-spec, "Error
//! Codes"), made safe to show.

use serde::Deserialize;

use super::RegistryError;
use super::http::Answer;
use super::retry::retry_after;
use crate::oci::{escaped, parse_object};
use crate::source::Options;

/// The largest error body that is read.
const LIMIT: u64 = 1024 * 1024;
/// How much of it is shown, in characters.
const SHOWN: usize = 300;

#[derive(Deserialize)]
struct Body {
    errors: Vec<Error>,
}

#[derive(Deserialize)]
struct Error {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// Turns statuses of the registry itself into errors.
pub(super) fn judge(
    mut answer: Answer,
    what: &str,
    options: &Options,
) -> Result<Answer, RegistryError> {
    match answer.status {
        200 | 206 | 416 => Ok(answer),
        404 => {
            Err(RegistryError::NotFound { what: what.to_owned(), message: message(&mut answer) })
        }
        _ => Err(status(answer, options)),
    }
}

/// Turns statuses of a storage server into errors: a refusal there is a signature that ran out,
/// and the registry will give another one. What it says is not shown: it may repeat the signature.
pub(super) fn judge_storage(
    answer: Answer,
    what: &str,
    options: &Options,
) -> Result<Answer, RegistryError> {
    let message = || "its storage gave no reason that may be shown".to_owned();
    match answer.status {
        200 | 206 | 416 => Ok(answer),
        401 | 403 => {
            let url = answer.url.to_string();
            Err(RegistryError::Storage { url, status: answer.status })
        }
        404 => Err(RegistryError::NotFound { what: what.to_owned(), message: message() }),
        _ => Err(refusal(&answer, message(), options)),
    }
}

pub(super) fn status(mut answer: Answer, options: &Options) -> RegistryError {
    let message = message(&mut answer);
    refusal(&answer, message, options)
}

fn refusal(answer: &Answer, message: String, options: &Options) -> RegistryError {
    let wait = answer.header("retry-after");
    let retry_after = wait.and_then(|value| retry_after(value, options.clock.wall()));
    RegistryError::Status {
        url: answer.url.to_string(),
        status: answer.status,
        message,
        retry_after,
    }
}

/// What came with status 200 instead of what belongs there, when that can be told: the registry's
/// own words of an error, or a page for people.
pub(super) fn instead(answer: &Answer, body: &[u8]) -> Option<String> {
    let content_type = answer.header("content-type").unwrap_or_default();
    if let Some(said) = registry_words(body) {
        return Some(format!("the answer is an error with status {}: {said}", answer.status));
    }
    let start = body.trim_ascii_start();
    let is_page = content_type.to_ascii_lowercase().contains("html")
        || (start.first() == Some(&b'<') && start.is_ascii());
    is_page.then(|| {
        let named = if content_type.is_empty() { "no type" } else { content_type };
        format!(
            "the answer is a page for people (HTML, Content-Type {}), as a sign-in or a proxy \
             gives it, and not a registry's",
            escaped(named)
        )
    })
}

/// The codes and messages of an error's body; a plain text as it is; nothing of anything else.
pub(super) fn message(answer: &mut Answer) -> String {
    // An error body that cannot be read is not worth an error of its own.
    let body = answer.read(LIMIT).unwrap_or_default();
    text(&body, answer.header("content-type").unwrap_or_default())
}

fn text(body: &[u8], content_type: &str) -> String {
    let plain = content_type.starts_with("text/plain");
    registry_words(body)
        .or_else(|| plain.then(|| shown(String::from_utf8_lossy(body).trim())).flatten())
        .unwrap_or_else(|| "no reason given".to_owned())
}

/// The codes and messages of a body of errors.
fn registry_words(body: &[u8]) -> Option<String> {
    let Body { errors } = parse_object(body).ok()?;
    shown(&errors.iter().take(3).map(one).collect::<Vec<_>>().join("; "))
}

/// Text from outside, short and harmless; nothing of an empty one.
fn shown(said: &str) -> Option<String> {
    let mut shown: String = said.chars().take(SHOWN).collect();
    if said.chars().count() > SHOWN {
        shown += "...";
    }
    (!said.is_empty()).then(|| escaped(&shown).to_string())
}

fn one(error: &Error) -> String {
    match (error.code.as_str(), error.message.as_str()) {
        ("", message) => message.to_owned(),
        (code, "") => code.to_owned(),
        (code, message) => format!("{code}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let long = format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "x".repeat(1000));
        for (body, content_type, shown) in [
            (
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":7}]}"#,
                "application/json",
                "MANIFEST_UNKNOWN: manifest unknown",
            ),
            (r#"{"errors":[{"code":"A"},{"message":"b"}]}"#, "", "A; b"),
            ("go away\n", "text/plain; charset=utf-8", "go away"),
            ("<html>go away</html>", "text/html", "no reason given"),
            (r#"{"errors":[]}"#, "application/json", "no reason given"),
            ("", "", "no reason given"),
            ("\u{1b}[31mred\nline", "text/plain", "\\u{1b}[31mred\\nline"),
            (&long, "", &format!("{}...", "x".repeat(300))),
        ] {
            assert_eq!(text(body.as_bytes(), content_type), shown, "{body}");
        }
    }
}
