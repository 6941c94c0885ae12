//! Blobs of the wrong length, ranges that do not fit, encodings nobody asked for.

use shalefs::source::registry::{RegistryError, TRIES};

use super::{Bench, serve};
use crate::support::fault_registry::{Ending, FaultRegistry, Reply, Request, part};
use crate::support::image::{Blob, Image};

/// The large image, whose big layer breaks once after 1,000 bytes and then gets `second`.
fn broken_once(second: impl Fn(&Blob, &Request) -> Reply + Send + Sync + 'static) -> FaultRegistry {
    let image = Image::large();
    let big = image.layers[1].clone();
    serve(&image, move |request| match request.earlier {
        0 if request.is_blob(&big) => Some(part(&big, None).ending(Ending::Close(1000))),
        1 if request.is_blob(&big) => Some(second(&big, request)),
        _ => None,
    })
}

fn fails_with(server: &FaultRegistry, part: &str) -> RegistryError {
    let (error, text) = Bench::new().refused(server);
    assert!(text.contains(part), "{text}");
    error
}

#[test]
fn a_content_length_that_is_too_short() {
    let image = Image::large();
    let big = image.layers[1].clone();
    let server = serve(&image, move |request| {
        request.is_blob(&big).then(|| Reply::new(200, &big.bytes[..1000]))
    });
    assert!(fails_with(&server, "has 1000 bytes instead of").is_mismatch());
    assert_eq!(server.requests_for("/blobs/"), 2, "what is too short is not asked for again");
}

#[test]
fn a_content_length_that_is_too_long() {
    let image = Image::small();
    let layer = image.layers[1].clone();
    let server = serve(&image, move |request| {
        let bytes = [&layer.bytes[..], b"extra"].concat();
        request.is_blob(&layer).then(|| Reply::new(200, bytes))
    });
    assert!(fails_with(&server, "bytes instead of").is_mismatch());
}

#[test]
fn extra_bytes_in_chunks() {
    let image = Image::small();
    let layer = image.layers[1].clone();
    let server = serve(&image, move |request| {
        let bytes = [&layer.bytes[..], b"extra"].concat();
        request.is_blob(&layer).then(|| Reply::new(200, bytes).length(None))
    });
    assert!(fails_with(&server, "bytes instead of").is_mismatch());
}

#[test]
fn endless_bytes_in_chunks() {
    let image = Image::small();
    let layer = image.layers[1].clone();
    let server = serve(&image, move |request| {
        request.is_blob(&layer).then(|| Reply::new(200, vec![0; 20 << 20]).length(None))
    });
    assert!(fails_with(&server, "bytes instead of").is_mismatch());
}

#[test]
fn too_few_bytes_in_chunks() {
    let image = Image::small();
    let layer = image.layers[1].clone();
    let server = serve(&image, move |request| {
        let reply = Reply::new(200, &layer.bytes[..10]).length(None);
        request.is_blob(&layer).then_some(reply)
    });
    fails_with(&server, "gave up after 5 tries");
}

#[test]
fn chunks_are_fine() {
    let image = Image::large();
    let layers = image.layers.clone();
    let server = serve(&image, move |request| {
        let layer = layers.iter().find(|layer| request.is_blob(layer))?;
        Some(Reply::new(200, layer.bytes.clone()).length(None))
    });
    Bench::new().pull(&server).expect("chunks are as good");
}

#[test]
fn the_range_is_ignored() {
    let server = broken_once(|big, _| part(big, None));
    Bench::new().pull(&server).expect("the known part is thrown away");
}

#[test]
fn a_part_that_begins_elsewhere() {
    let server = broken_once(|big, request| {
        let offset = request.offset().unwrap() + 1;
        part(big, Some(offset))
    });
    let error = fails_with(&server, "does not answer the request for bytes from 1000");
    assert!(matches!(error, RegistryError::Range { .. }));
}

#[test]
fn a_part_of_something_longer() {
    let server = broken_once(|big, request| {
        let (offset, size) = (request.offset().unwrap(), big.bytes.len());
        part(big, Some(offset))
            .with("Content-Range", &format!("bytes {offset}-{}/{}", size - 1, size + 1))
    });
    assert!(fails_with(&server, "bytes instead of").is_mismatch());
}

#[test]
fn a_part_without_a_content_range() {
    let server = broken_once(|big, request| {
        let mut reply = part(big, request.offset());
        reply.headers.clear();
        reply
    });
    assert!(matches!(fails_with(&server, "Content-Range"), RegistryError::Range { .. }));
}

#[test]
fn a_part_with_nonsense_as_content_range() {
    for value in ["bytes", "bytes 1000-/3", "bytes 5-1/2", "lines 1000-2000/3", "bytes a-b/c"] {
        let server = broken_once(move |big, request| {
            part(big, request.offset()).with("Content-Range", value)
        });
        assert!(matches!(fails_with(&server, "Content-Range"), RegistryError::Range { .. }));
    }
}

#[test]
fn a_part_whose_length_is_not_its_range() {
    let server = broken_once(|big, request| {
        let reply = part(big, request.offset());
        Reply { body: reply.body[1..].to_vec(), ..reply }
    });
    assert!(matches!(fails_with(&server, "Content-Range"), RegistryError::Range { .. }));
}

#[test]
fn a_part_that_ends_early() {
    let server = broken_once(|big, request| {
        let (offset, size) = (request.offset().unwrap(), big.bytes.len());
        Reply::new(206, &big.bytes[offset..offset + 5000])
            .with("Content-Range", &format!("bytes {offset}-{}/{size}", offset + 4999))
    });
    Bench::new().pull(&server).expect("the rest is asked for");
}

#[test]
fn a_blob_in_correct_but_short_parts() {
    for most in [16_000, 200_000] {
        let image = Image::large();
        let big = image.layers[1].clone();
        let path = format!("blobs/{}", big.digest());
        let server = serve(&image, move |request| {
            let offset = request.is_blob(&big).then(|| request.offset())?;
            let Some(offset) = offset else {
                return Some(part(&big, None).ending(Ending::Close(1000)));
            };
            let (size, end) = (big.bytes.len(), big.bytes.len().min(offset + most));
            let range = format!("bytes {offset}-{}/{size}", end - 1);
            Some(Reply::new(206, &big.bytes[offset..end]).with("Content-Range", &range))
        });
        let bench = Bench::new();
        bench.pull(&server).expect("each part is as good as the whole");
        let size = image.layers[1].bytes.len();
        assert_eq!(server.requests_for(&path), 1 + (size - 1000).div_ceil(most));
        assert_eq!(bench.clock.slept().len(), 1, "only the broken connection is a failure");
    }
}

#[test]
fn a_blob_byte_by_byte_ends() {
    let image = Image::new("amd64", &[("a", &[b'a'; 3000])], false);
    let layer = image.layers[0].clone();
    let (size, path) = (layer.bytes.len(), format!("blobs/{}", layer.digest()));
    let server = serve(&image, move |request| {
        let offset = request.is_blob(&layer).then(|| request.offset())?;
        let Some(offset) = offset else {
            return Some(part(&layer, None).ending(Ending::Close(1)));
        };
        let range = format!("bytes {offset}-{offset}/{}", layer.bytes.len());
        Some(Reply::new(206, &layer.bytes[offset..=offset]).with("Content-Range", &range))
    });
    let (error, text) = Bench::new().refused(&server);
    assert!(matches!(error, RegistryError::Body { .. }), "{text}");
    let most = 1000 + size / 1024;
    assert!(text.contains(&format!("it comes in more than {most} parts")), "{text}");
    assert_eq!(server.requests_for(&path), 2 + most);
}

#[test]
fn a_page_for_people_instead_of_a_blob() {
    let image = Image::small();
    let layer = image.layers[1].clone();
    let server = serve(&image, move |request| {
        let page = Reply::new(200, "<html>Sign in</html>").with("Content-Type", "text/html");
        request.is_blob(&layer).then_some(page)
    });
    let error = fails_with(&server, "HTML, Content-Type text/html");
    assert!(error.to_string().contains(&server.host()), "{error}");
}

#[test]
fn a_part_with_an_unknown_total() {
    let server = broken_once(|big, request| {
        let (offset, size) = (request.offset().unwrap(), big.bytes.len());
        part(big, Some(offset)).with("Content-Range", &format!("bytes {offset}-{}/*", size - 1))
    });
    Bench::new().pull(&server).expect("the total is known anyway");
}

#[test]
fn a_part_that_nobody_asked_for() {
    let image = Image::small();
    let layer = image.layers[1].clone();
    let server = serve(&image, move |request| {
        let size = layer.bytes.len();
        let reply = Reply::new(206, layer.bytes.clone())
            .with("Content-Range", &format!("bytes 0-{}/{size}", size - 1));
        request.is_blob(&layer).then_some(reply)
    });
    fails_with(&server, "HTTP 206 to a request for bytes from 0");
}

#[test]
fn status_416_although_there_is_more() {
    let server = broken_once(|big, _| {
        Reply::new(416, "").with("Content-Range", &format!("bytes */{}", big.bytes.len()))
    });
    Bench::new().pull(&server).expect("it is asked for from the beginning");
}

#[test]
fn status_416_because_it_is_shorter() {
    let server = broken_once(|_, _| Reply::new(416, "").with("Content-Range", "bytes */1000"));
    assert!(fails_with(&server, "has 1000 bytes instead of").is_mismatch());
}

#[test]
fn status_416_without_a_content_range() {
    let server = broken_once(|_, _| Reply::new(416, ""));
    Bench::new().pull(&server).expect("it is asked for from the beginning");
}

#[test]
fn status_416_to_everything() {
    let image = Image::small();
    let layer = image.layers[1].clone();
    let server = serve(&image, move |request| request.is_blob(&layer).then(|| Reply::new(416, "")));
    fails_with(&server, "HTTP 416 to a request for bytes from 0");
}

#[test]
fn a_blob_labelled_as_encoded() {
    // Some storage labels gzip layers so; the bytes are the layer's all the same.
    let image = Image::large();
    let layers = image.layers.clone();
    let server = serve(&image, move |request| {
        let layer = layers.iter().find(|layer| request.is_blob(layer))?;
        Some(part(layer, request.offset()).with("Content-Encoding", "gzip"))
    });
    Bench::new().pull(&server).expect("nothing is decoded");
    for request in server.requests() {
        assert_eq!(request.header("accept-encoding"), Some("identity"));
    }
}

#[test]
fn a_blob_that_really_is_encoded() {
    let image = Image::small();
    let layer = image.layers[1].clone();
    let server = serve(&image, move |request| {
        let encoded = crate::support::image::gzipped(&layer.bytes);
        let reply = Reply::new(200, encoded).with("Content-Encoding", "gzip");
        request.is_blob(&layer).then_some(reply)
    });
    assert!(fails_with(&server, "bytes instead of").is_mismatch());
}

#[test]
fn the_wrong_bytes_of_the_right_length_are_the_stores_to_refuse() {
    use std::io::Read as _;
    let image = Image::small();
    let layer = image.layers[1].clone();
    let descriptor = layer.descriptor();
    let server = serve(&image, move |request| {
        request.is_blob(&layer).then(|| Reply::new(200, vec![b'x'; layer.bytes.len()]))
    });
    let name = format!("{}/test/image", server.host()).parse().unwrap();
    let source = shalefs::source::open(&name, &Bench::new().options).unwrap();
    let mut bytes = Vec::new();
    source.blob(&descriptor, 0).unwrap().read_to_end(&mut bytes).expect("a stream is a claim");
    assert_eq!(bytes.len() as u64, descriptor.size);
    assert_ne!(shalefs::oci::Digest::sha256(&bytes), descriptor.digest);
}

#[test]
fn a_resumed_download_asks_for_the_rest_only() {
    use std::io::Read as _;
    let image = Image::large();
    let descriptor = image.layers[1].descriptor();
    let server = serve(&image, |_| None);
    let name = format!("{}/test/image", server.host()).parse().unwrap();
    let source = shalefs::source::open(&name, &Bench::new().options).unwrap();
    let mut bytes = Vec::new();
    source.blob(&descriptor, 2_000_000).unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, image.layers[1].bytes[2_000_000..]);
    let requests = server.requests().len();
    source.blob(&descriptor, descriptor.size).unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(server.requests().len(), requests, "nothing is left to ask for");
}

#[test]
fn gone_in_the_middle() {
    let server = broken_once(|_, _| Reply::error(404, "BLOB_UNKNOWN", "deleted"));
    assert!(fails_with(&server, "deleted").is_not_found());
    assert!(server.requests_for("/blobs/") <= 2 + TRIES as usize);
}
