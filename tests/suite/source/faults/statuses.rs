//! Answers that say no.

use std::time::Duration;

use shalefs::source::registry::{RegistryError, TRIES};

use super::{Bench, serve};
use crate::support::fault_registry::{Reply, part};
use crate::support::image::Image;

/// The error and the number of requests when every manifest request gets `reply`.
fn always(reply: Reply) -> (RegistryError, String, usize) {
    let server =
        serve(&Image::small(), move |request| request.is_manifest().then(|| reply.clone()));
    let (error, text) = Bench::new().refused(&server);
    (error, text, server.requests().len())
}

/// The waits when the first manifest request gets `reply` and the next one a good answer.
fn once(reply: Reply) -> Vec<Duration> {
    let server = serve(&Image::small(), move |request| {
        (request.is_manifest() && request.earlier == 0).then(|| reply.clone())
    });
    let bench = Bench::new();
    bench.pull(&server).expect("the second try works");
    bench.clock.slept()
}

fn seconds(count: u64) -> Vec<Duration> {
    vec![Duration::from_secs(count)]
}

fn too_many(retry_after: &str) -> Reply {
    Reply::error(429, "TOOMANYREQUESTS", "slow down").with("Retry-After", retry_after)
}

#[test]
fn status_500_once() {
    assert_eq!(once(Reply::new(500, "")).len(), 1);
}

#[test]
fn status_500_for_ever() {
    let (error, text, requests) = always(Reply::error(500, "UNKNOWN", "boom"));
    assert!(matches!(error, RegistryError::GaveUp { .. }));
    assert!(text.contains("UNKNOWN: boom") && text.contains("HTTP 500"), "{text}");
    assert_eq!(requests, TRIES as usize);
}

#[test]
fn status_502_once() {
    assert_eq!(once(Reply::new(502, "<html>bad gateway</html>")).len(), 1);
}

#[test]
fn status_503_once_with_retry_after() {
    assert_eq!(once(Reply::new(503, "").with("Retry-After", "3")), seconds(3));
}

#[test]
fn status_504_for_ever() {
    assert_eq!(always(Reply::new(504, "")).2, TRIES as usize);
}

#[test]
fn status_501_is_final() {
    assert_eq!(always(Reply::new(501, "")).2, 1);
}

#[test]
fn status_408_once() {
    assert_eq!(once(Reply::new(408, "")).len(), 1);
}

#[test]
fn status_429_with_seconds() {
    assert_eq!(once(too_many("7")), seconds(7));
}

#[test]
fn status_429_with_zero() {
    assert_eq!(once(too_many("0")), seconds(0));
}

#[test]
fn status_429_with_far_too_many_seconds() {
    assert_eq!(once(too_many("86400")), seconds(60));
}

#[test]
fn status_429_with_a_number_that_overflows() {
    assert_eq!(once(too_many("99999999999999999999999999")), seconds(60));
}

#[test]
fn status_429_with_a_date() {
    // The fake clock starts a million seconds after the epoch.
    assert_eq!(once(too_many("Mon, 12 Jan 1970 13:46:50 GMT")), seconds(10));
}

#[test]
fn status_429_with_a_date_in_the_past() {
    assert_eq!(once(too_many("Thu, 01 Jan 1970 00:00:00 GMT")), seconds(0));
}

#[test]
fn status_429_with_nonsense() {
    let usual = once(Reply::new(429, ""));
    for value in ["soon", "-1", "1.5", "", "7, 8"] {
        assert_eq!(once(too_many(value)), usual, "{value:?}");
    }
}

#[test]
fn status_429_for_ever() {
    let (_, text, requests) = always(too_many("60"));
    assert!(text.contains("too many requests") && text.contains("slow down"), "{text}");
    assert_eq!(requests, TRIES as usize);
}

#[test]
fn status_404() {
    let (error, text, requests) = always(Reply::error(404, "MANIFEST_UNKNOWN", "unknown tag"));
    assert!(error.is_not_found());
    assert!(
        text.contains("test/image") && text.contains("MANIFEST_UNKNOWN: unknown tag"),
        "{text}"
    );
    assert_eq!(requests, 1);
}

#[test]
fn status_404_for_a_blob() {
    let image = Image::small();
    let layer = image.layers[0].clone();
    let server = serve(&image, move |request| {
        request.is_blob(&layer).then(|| Reply::error(404, "BLOB_UNKNOWN", "gone"))
    });
    let (error, text) = Bench::new().refused(&server);
    assert!(error.is_not_found());
    assert!(text.contains(&image.layers[0].digest().to_string()), "{text}");
}

#[test]
fn status_403() {
    let (_, text, requests) = always(Reply::error(403, "DENIED", "not you"));
    assert!(text.contains("denied (HTTP 403): DENIED: not you"), "{text}");
    assert_eq!(requests, 1);
}

#[test]
fn status_400_from_plain_http() {
    let (_, text, _) = always(Reply::error(400, "NAME_INVALID", "bad name"));
    assert!(text.contains("HTTP 400") && text.contains("bad name"), "{text}");
}

#[test]
fn statuses_that_mean_nothing_here() {
    for status in [202, 204, 206, 304, 305, 402, 418, 451, 999] {
        let (_, _, requests) = always(Reply::new(status, "").with("Content-Length", "0"));
        assert_eq!(requests, 1, "{status}");
    }
}

#[test]
fn cve_2021_25743_and_cve_2024_43785_escapes_in_the_message() {
    let (_, text, _) = always(Reply::error(403, "DENIED", "\u{1b}[2J\r\nfake\u{202e}line\u{7}"));
    assert!(text.contains("\\u{1b}[2J\\r\\nfake"), "{text}");
}

#[test]
fn an_error_body_of_five_mebibytes() {
    let (_, text, requests) = always(Reply::new(403, vec![b'x'; 5 << 20]));
    assert!(text.len() < 1000);
    assert_eq!(requests, 1);
}

#[test]
fn an_error_body_that_never_comes() {
    let reply = Reply::new(403, "").length(Some(1000));
    let (_, text, _) = always(reply.ending(crate::support::fault_registry::Ending::Stall(0)));
    assert!(text.contains("no reason given"), "{text}");
}

#[test]
fn status_500_in_the_middle_of_a_blob() {
    use crate::support::fault_registry::Ending;
    let image = Image::large();
    let big = image.layers[1].clone();
    let server = serve(&image, move |request| match request.earlier {
        0 if request.is_blob(&big) => Some(part(&big, None).ending(Ending::Close(1000))),
        1 | 2 if request.is_blob(&big) => Some(Reply::new(500, "")),
        _ => None,
    });
    Bench::new().pull(&server).expect("it comes back");
}
