//! Tokens that are too long, too strange, or none.

use shalefs::source::registry::RegistryError;

use super::Bench;
use super::auth::{bearer, refused, token};
use crate::support::image::Image;

#[test]
fn a_huge_token() {
    let (error, text, requests) =
        refused(token(&format!(r#"{{"token":"{}"}}"#, "x".repeat(70_000))));
    assert!(matches!(error, RegistryError::Token { .. }), "{text}");
    assert_eq!(requests, 2);
}

#[test]
fn a_token_body_of_two_mebibytes() {
    let (_, text, _) = refused(token(&format!(r#"{{"token":"{}"}}"#, "x".repeat(2 << 20))));
    assert!(text.contains("larger than the limit of 1048576 bytes"), "{text}");
}

#[test]
fn a_token_body_at_the_limit_and_one_past() {
    let body = |length: usize| format!(r#"{{"token":"t","x":"{}"}}"#, "x".repeat(length - 20));
    let at = body(1 << 20);
    assert_eq!(at.len(), 1 << 20);
    let server = bearer(&Image::small(), move |_| token(&at), |given| given == "t");
    Bench::new().pull(&server).expect("at the limit");
    let (_, text, _) = refused(token(&body((1 << 20) + 1)));
    assert!(text.contains("larger than the limit of 1048576 bytes"), "{text}");
}

#[test]
fn a_token_that_would_split_the_header() {
    let (error, text, requests) = refused(token(r#"{"token":"a\r\nX-Evil: 1"}"#));
    assert!(matches!(error, RegistryError::Token { .. }), "{text}");
    assert_eq!(requests, 2);
}

#[test]
fn tokens_that_are_none() {
    for body in ["", "null", "[]", "{}", "{\"token\":\"\"}", "{\"token\":7}", "<html>", "\"t\""] {
        let (error, text, _) = refused(token(body));
        assert!(matches!(error, RegistryError::Token { .. }), "{body}: {text}");
    }
}

#[test]
fn what_is_wrong_with_a_token_is_said() {
    let errors = r#"{"errors":[{"code":"DENIED","message":"try later"}]}"#;
    for (body, words) in [
        (r#"{"token":"t","expires_in":"300"}"#, "its \"expires_in\" is a text and no number"),
        (r#"{"token":"t","expires_in":[300]}"#, "its \"expires_in\" is a list and no number"),
        (r#"{"token":7}"#, "its \"token\" is a number and no text"),
        (r#"{"access_token":{"x":"hunter2"}}"#, "its \"access_token\" is an object and no text"),
        (errors, "an error with status 200: DENIED: try later"),
        ("<!DOCTYPE html><p>hunter2", "HTML"),
    ] {
        let (error, text, requests) = refused(token(body));
        assert!(matches!(error, RegistryError::Token { .. }), "{body}: {text}");
        assert!(text.contains(words), "{body}: {text}");
        assert_eq!(requests, 2);
    }
}

#[test]
fn strange_lives_of_tokens() {
    for life in ["-5", "0", "1e300", "0.5", "99999999999999999999", "null"] {
        let body = format!(r#"{{"token":"t","expires_in":{life}}}"#);
        let server = bearer(&Image::small(), move |_| token(&body), |given| given == "t");
        Bench::new().pull(&server).expect(life);
    }
}
