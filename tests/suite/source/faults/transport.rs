//! Connections that are not made, break, or drag on.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

use shalefs::source::registry::{Fault, RegistryError, STALLS, TRIES};

use super::{Bench, serve};
use crate::support::fault_registry::{Ending, Reply, part};
use crate::support::image::Image;

/// The fault of an error, after however many tries.
fn fault_of(error: &RegistryError) -> &Fault {
    match error {
        RegistryError::Transport { fault, .. } => fault,
        RegistryError::GaveUp { last, .. } => fault_of(last),
        other => panic!("a fault of the connection and not {other:?}"),
    }
}

#[test]
fn a_good_registry_for_comparison() {
    let image = Image::large();
    let server = serve(&image, |_| None);
    let bench = Bench::new();
    super::figures::not("registry faults");
    let pulled = bench.pull(&server).expect("nothing is wrong");
    assert_eq!(pulled.image.layers.len(), 2);
    assert_eq!(server.requests().len(), 4, "manifest, config, two layers and nothing else");
    assert_eq!(bench.clock.slept().len(), 0);
}

#[test]
fn connection_refused() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let bench = Bench::new();
    let (error, text) = bench.refused_by_name(&format!("{free}/test/image"));
    assert_eq!(fault_of(&error), &Fault::Refused);
    assert!(text.ends_with("connection refused"), "{text}");
    assert_eq!(bench.clock.slept().len(), 0, "a wrong name is said at once");
}

#[test]
fn no_such_host() {
    let bench = Bench::new();
    let (error, _) = bench.refused_by_name("no-such-host.invalid/test/image");
    assert!(matches!(fault_of(&error), Fault::Lookup(_)), "{error}");
    assert_eq!(bench.clock.slept().len(), 0);
}

#[test]
fn reset_before_the_answer_once() {
    let image = Image::small();
    let server = serve(&image, |request| {
        (request.is_manifest() && request.earlier == 0).then(|| Reply::raw(""))
    });
    Bench::new().pull(&server).expect("the second try works");
}

#[test]
fn reset_before_the_answer_for_ever() {
    let image = Image::small();
    let server = serve(&image, |_| Some(Reply::raw("")));
    let (error, text) = Bench::new().refused(&server);
    assert!(matches!(error, RegistryError::GaveUp { tries: TRIES, .. }), "{text}");
    // While it is not known whether it is http, each try may be made over TLS too.
    assert!(server.requests().len() <= 2 * TRIES as usize);
}

#[test]
fn reset_in_a_blob_resumes_where_it_broke() {
    let image = Image::large();
    let big = image.layers[1].clone();
    let server = serve(&image, move |request| {
        let first = request.is_blob(&big) && request.earlier == 0;
        first.then(|| part(&big, None).ending(Ending::Reset(1_000_000)))
    });
    Bench::new().pull(&server).expect("the rest is asked for");
    let ranges: Vec<_> = server.requests().iter().filter_map(|request| request.offset()).collect();
    assert_eq!(ranges.len(), 1);
    assert!(ranges[0] > 0 && ranges[0] <= 1_000_000, "{ranges:?}");
}

#[test]
fn reset_in_a_blob_after_every_mebibyte_still_arrives() {
    let image = Image::large();
    let big = image.layers[1].clone();
    let server = serve(&image, move |request| {
        let reply = request.is_blob(&big).then(|| part(&big, request.offset()))?;
        let most = (1 << 20) + 70_000;
        let count = reply.body.len().min(most);
        Some(if count == most { reply.ending(Ending::Close(count)) } else { reply })
    });
    Bench::new().pull(&server).expect("each try made progress");
}

#[test]
fn cut_off_at_the_same_byte_for_ever() {
    let image = Image::large();
    let big = image.layers[1].clone();
    let path = format!("blobs/{}", big.digest());
    let server = serve(&image, move |request| {
        let reply = request.is_blob(&big).then(|| part(&big, request.offset()))?;
        let count = 2_500_000_usize.saturating_sub(request.offset().unwrap_or(0));
        Some(reply.ending(Ending::Close(count)))
    });
    let (error, text) = Bench::new().refused(&server);
    let cut_off = matches!(fault_of(&error), Fault::CutOff { have: 2_500_000, .. });
    assert!(cut_off || matches!(fault_of(&error), Fault::Broken(_)), "{text}");
    assert_eq!(server.requests_for(&path), TRIES as usize);
    let after = server.all_requests().split_off(server.requests().len());
    let next = after.iter().find(|request| request.target.ends_with(&path)).expect("asked again");
    assert!(next.offset().is_some_and(|offset| offset > 1_000_000), "it goes on: {next:?}");
}

#[test]
fn truncated_with_the_right_length() {
    let image = Image::large();
    let big = image.layers[1].clone();
    let server = serve(&image, move |request| {
        let first = request.is_blob(&big) && request.earlier == 0;
        first.then(|| part(&big, None).ending(Ending::Close(5)))
    });
    Bench::new().pull(&server).expect("the rest is asked for");
}

#[test]
fn silent_before_the_answer() {
    let image = Image::small();
    let server = serve(&image, |request| {
        request.is_manifest().then(|| Reply::new(200, "x").ending(Ending::Stall(0)))
    });
    let (began, bench) = (Instant::now(), Bench::new());
    let (error, text) = bench.refused(&server);
    assert!(matches!(fault_of(&error), Fault::TimedOut(_)), "{text}");
    assert_eq!(server.requests().len(), STALLS as usize);
    assert!(began.elapsed().as_secs() < 10, "a bound on real time");
}

#[test]
fn silent_in_a_blob_then_fine() {
    let image = Image::large();
    let big = image.layers[1].clone();
    let server = serve(&image, move |request| {
        let first = request.is_blob(&big) && request.earlier == 0;
        first.then(|| part(&big, None).ending(Ending::Stall(2_000_000)))
    });
    Bench::new().pull(&server).expect("the rest is asked for");
}

#[test]
fn silent_in_a_blob_for_ever() {
    let image = Image::large();
    let big = image.layers[1].clone();
    let server = serve(&image, move |request| {
        request.is_blob(&big).then(|| part(&big, request.offset()).ending(Ending::Stall(10)))
    });
    let (error, text) = Bench::new().refused(&server);
    assert!(text.contains("gave up after 3 tries"), "{text}");
    assert!(matches!(fault_of(&error), Fault::TimedOut(_)), "{text}");
}

/// A bench, and the pull's error when the layer's body is sent so.
fn dripping(first: &[u8], again: &[u8]) -> (RegistryError, String, usize) {
    let image = Image::small();
    let layer = image.layers[1].clone();
    let bench = Bench::new();
    let drip = Ending::Drip(first.to_vec(), again.to_vec(), Arc::clone(&bench.clock));
    let path = format!("blobs/{}", layer.digest());
    let server = serve(&image, move |request| {
        let chunked = Reply::new(200, "").length(None).ending(drip.clone());
        request.is_blob(&layer).then_some(chunked)
    });
    let (error, text) = bench.refused(&server);
    (error, text, server.requests_for(&path))
}

#[test]
fn an_extension_of_a_chunk_that_never_ends() {
    let (error, text, requests) = dripping(b"1;x=", b"y");
    assert!(matches!(fault_of(&error), Fault::Stalled { .. }), "{text}");
    assert!(requests <= STALLS as usize, "{requests}");
}

#[test]
fn trailers_that_never_end() {
    // Of the layer only a part came, and then only what is around it, however much of that.
    for trailer in [&b"X: y\r\n"[..], &[b"X: ", &[b'y'; 20_000][..], b"\r\n"].concat()] {
        let (error, text, requests) = dripping(b"1\r\nx\r\n0\r\n", trailer);
        assert!(matches!(fault_of(&error), Fault::Stalled { .. }), "{text}");
        assert!(requests <= STALLS as usize, "{requests}");
    }
}

#[test]
fn trailers_of_a_document_that_never_end() {
    let image = Image::small();
    let bench = Bench::new();
    let clock = Arc::clone(&bench.clock);
    let body = image.manifest.bytes.clone();
    let server = serve(&image, move |request| {
        let mut first = format!("{:x}\r\n", body.len()).into_bytes();
        first.extend_from_slice(&body);
        first.extend_from_slice(b"\r\n0\r\n");
        let drip = Ending::Drip(first, b"X: y\r\n".to_vec(), Arc::clone(&clock));
        request.is_manifest().then(|| Reply::new(200, "").length(None).ending(drip))
    });
    let (error, text) = bench.refused(&server);
    assert!(matches!(fault_of(&error), Fault::Stalled { .. }), "{text}");
    assert!(server.requests().len() <= STALLS as usize, "{}", server.requests().len());
}

#[test]
fn interim_answers_are_passed_over_whatever_their_size() {
    let large = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "x".repeat(300_000));
    let many = (0..300).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    let many = format!("HTTP/1.1 102 Processing\r\n{many}\r\n");
    let odd = "HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.0 199 Who knows\n\n".to_owned();
    for interim in [large.clone(), many.clone(), odd.clone(), [large, many, odd].concat()] {
        let image = Image::large();
        let server = serve(&image.clone(), move |request| {
            let blob = image.blobs().into_iter().find(|blob| request.is_blob(blob));
            let manifest = || crate::support::fault_registry::manifest(&image.manifest);
            let reply = blob.map(|blob| part(blob, request.offset())).unwrap_or_else(manifest);
            Some(reply.after(interim.clone()))
        });
        let bench = Bench::new();
        bench.pull(&server).expect("what comes before the answer is no matter");
        assert_eq!(bench.clock.slept().len(), 0, "nor a failure");
    }
}

#[test]
fn interim_answers_for_ever() {
    let bench = Bench::new();
    let clock = Arc::clone(&bench.clock);
    let server = serve(&Image::small(), move |_| {
        let clock = Arc::clone(&clock);
        let interim = b"HTTP/1.1 102 Processing\r\n\r\n".to_vec();
        Some(Reply::raw("").ending(Ending::Drip(Vec::new(), interim, clock)))
    });
    let (error, text) = bench.refused(&server);
    assert!(matches!(fault_of(&error), Fault::TimedOut(_) | Fault::Stalled { .. }), "{text}");
    assert!(server.requests().len() <= 2 * STALLS as usize, "{}", server.requests().len());
}

#[test]
fn who_has_to_wait_for_bytes_is_told() {
    let image = Image::large();
    let big = image.layers[1].clone();
    let server = serve(&image, move |request| {
        let first = request.is_blob(&big) && request.earlier == 0;
        first.then(|| part(&big, None).ending(Ending::Stall(2_000_000)))
    });
    let told = crate::support::log_lines::record();
    Bench::new().pull(&server).expect("the rest is asked for");
    let told = told.lock().unwrap().clone();
    let waiting = |line: &&String| line.contains("127.0.0.1: nothing has come for");
    assert_eq!(told.iter().filter(waiting).count(), 1, "{told:?}");
}

#[test]
fn one_byte_a_second_in_a_blob() {
    let image = Image::large();
    let big = image.layers[1].clone();
    let bench = Bench::new();
    let clock = Arc::clone(&bench.clock);
    let server = serve(&image, move |request| {
        let slow = Ending::Trickle(Arc::clone(&clock));
        request.is_blob(&big).then(|| part(&big, request.offset()).ending(slow))
    });
    let (error, text) = bench.refused(&server);
    assert!(matches!(fault_of(&error), Fault::Stalled { .. }), "{text}");
    // A minute of data counts as progress once, but too slow a minute never does.
    assert!(server.requests_for("/blobs/") <= 2 + 2 * TRIES as usize);
}

#[test]
fn one_byte_a_second_in_a_manifest() {
    let image = Image::small();
    let bench = Bench::new();
    let clock = Arc::clone(&bench.clock);
    let bytes = image.manifest.bytes.clone();
    let server = serve(&image, move |request| {
        let slow = Ending::Trickle(Arc::clone(&clock));
        request.is_manifest().then(|| Reply::new(200, bytes.clone()).ending(slow))
    });
    let (error, text) = bench.refused(&server);
    assert!(matches!(fault_of(&error), Fault::Stalled { .. }), "{text}");
}

#[test]
fn not_http_at_all() {
    let image = Image::small();
    let server = serve(&image, |_| Some(Reply::raw("SSH-2.0-OpenSSH_9.2\r\n")));
    let bench = Bench::new();
    let (error, text) = bench.refused(&server);
    assert!(matches!(fault_of(&error), Fault::Protocol(_) | Fault::Broken(_)), "{text}");
}

#[test]
fn a_header_without_an_end() {
    let image = Image::small();
    let server = serve(&image, |_| {
        Some(Reply::raw(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20))))
    });
    let (error, text) = Bench::new().refused(&server);
    assert!(matches!(fault_of(&error), Fault::Protocol(_) | Fault::Broken(_)), "{text}");
    assert!(server.requests().len() <= 2 * TRIES as usize);
}

#[test]
fn a_bad_chunk_in_a_blob() {
    let image = Image::small();
    let layer = image.layers[1].clone();
    let server = serve(&image, move |request| {
        let raw = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nnonsense";
        request.is_blob(&layer).then(|| Reply::raw(raw))
    });
    let (error, text) = Bench::new().refused(&server);
    assert!(matches!(error, RegistryError::GaveUp { .. }), "{text}");
}
