//! Bad inputs: good ones damaged in a way that never changes, and what nobody would write by
//! accident.

use crate::support::model::item::{dir, empty, file, hard_link, symlink};
use crate::support::streams::{self, Noise};

/// Bytes with a meaning somewhere in a document, a name or a header.
const TELLING: &[u8] = b"\0\n\r\x1b\"\\{}[]:,/@.-_=<>;+ 0189eE\x7f\x80\xc0\xff";

/// `good` with one to four things changed.
fn damaged(good: &[u8], noise: &mut Noise) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..=noise.below(3) {
        if bytes.is_empty() {
            break;
        }
        let at = noise.below(bytes.len() as u64) as usize;
        let end = (at + noise.below(64) as usize).min(bytes.len());
        match noise.below(7) {
            0 => bytes[at] ^= 1 << noise.below(8),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => {
                let piece = bytes[at..end].repeat(noise.below(2000) as usize);
                bytes.splice(at..at, piece);
            }
            _ => bytes[at] = TELLING[noise.below(TELLING.len() as u64) as usize],
        }
    }
    bytes
}

/// `each` damaged inputs of every seed.
fn of(seeds: &[Vec<u8>], each: usize) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (number, seed) in (1..).zip(seeds) {
        let mut noise = Noise::new(number);
        all.extend((0..each).map(|_| damaged(seed, &mut noise)));
    }
    all
}

/// Blobs of layers.
pub fn layers() -> Vec<Vec<u8>> {
    let items = vec![
        dir("d"),
        file("d/a"),
        hard_link("h", "d/a"),
        symlink("l", "d"),
        file("l/b"),
        empty(".wh.x"),
        empty("d/.wh..wh..opq"),
    ];
    let small = crate::support::item_image::tar_of(&items);
    let tar = streams::tar(3, 30_000);
    let (a, b) = tar.split_at(tar.len() / 2);
    let seeds = [
        small.clone(),
        streams::gzip(6, &small),
        streams::gzip(1, &tar),
        streams::gzip(0, &tar),
        [streams::gzip(6, a), streams::gzip_with_fields(b)].concat(),
        streams::zstd_frame(1, &tar),
        [streams::skippable(b"seek"), streams::zstd_frame(3, a), streams::zstd_frame(1, b)]
            .concat(),
        streams::xz(&tar),
        streams::bzip2(&tar),
    ];
    let mut all = of(&seeds, 100);
    all.extend(hostile_layers(&small));
    all
}

/// Bombs and lies.
fn hostile_layers(good: &[u8]) -> Vec<Vec<u8>> {
    let zeros = vec![0; 80 << 20];
    let once = streams::gzip(9, &zeros);
    let links: Vec<_> =
        (0..5000).map(|at| symlink(&format!("l{at}"), &format!("l{}/x", at + 1))).collect();
    let mut followed = links.clone();
    followed.push(file("l0/x"));
    let deep: Vec<_> = (1..25).map(|depth| dir(&["d"; 45][..depth].join("/"))).collect();
    let repeated: Vec<_> =
        (0..5000).flat_map(|_| [file("same"), hard_link("other", "same")]).collect();
    let tar = |items: &[_]| crate::support::item_image::tar_of(items);
    vec![
        streams::gzip(9, &once),
        once,
        streams::zstd_frame(19, &zeros[..70 << 20]),
        streams::xz(&zeros[..70 << 20]),
        streams::bzip2(&zeros[..70 << 20]),
        streams::gzip(6, b"").repeat(20_000),
        streams::skippable(b"").repeat(100_000),
        [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, 0, 0, 0, 0].to_vec(),
        [&[0x50, 0x2a, 0x4d, 0x18][..], &[0xff; 4], &[1; 64]].concat(),
        [good, &[0xff; 4096]].concat(),
        streams::gzip(6, &[good, good].concat()),
        tar(&followed),
        tar(&deep),
        tar(&repeated),
        vec![0; 1 << 20],
        vec![0xff; 1 << 20],
        Vec::new(),
    ]
}

/// Documents.
pub fn documents() -> Vec<Vec<u8>> {
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let descriptor = |kind: &str| {
        format!(r#"{{"mediaType":"application/vnd.{kind}","digest":"{digest}","size":7}}"#)
    };
    let (config, layer) =
        (descriptor("oci.image.config.v1+json"), descriptor("oci.image.layer.v1.tar+gzip"));
    let entry = descriptor("oci.image.manifest.v1+json");
    let platform = r#""platform":{"os":"linux","architecture":"amd64","variant":"v3"}}"#;
    let entry = format!("{},{platform}", &entry[..entry.len() - 1]);
    let seeds = [
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer},{layer}]}}"#),
        format!(r#"{{"schemaVersion":2,"manifests":[{entry},{entry}],"annotations":{{"a":"b"}}}}"#),
        format!(
            r#"{{"architecture":"amd64","os":"linux","created":"2024-01-02T03:04:05Z","config":{{"Env":["A=b"],
            "Cmd":["sh"],"Labels":{{"k":"v"}},"User":"0:0"}},"rootfs":{{"type":"layers","diff_ids":["{digest}"]}},
            "history":[{{"created_by":"x","empty_layer":true}},{{"created_by":"y"}}]}}"#
        ),
    ];
    let mut all = of(&seeds.map(String::into_bytes), 130);
    let nested = |open: &str, levels| open.repeat(levels).into_bytes();
    all.extend([
        nested("[", 1 << 20),
        nested("{\"a\":", 1 << 20),
        nested("{\"manifests\":[", 200),
        format!(r#"{{"schemaVersion":2,"layers":[{}]}}"#, vec!["{}"; 100_000].join(","))
            .into_bytes(),
        format!(r#"{{"manifests":[{}]}}"#, vec![entry.as_str(); 10_000].join(",")).into_bytes(),
        format!(r#"{{"a":{}}}"#, "9".repeat(1 << 20)).into_bytes(),
        format!(r#"{{"a":"{}"}}"#, "\\u0000".repeat(500_000)).into_bytes(),
        format!(r#"{{"{}":1}}"#, "k".repeat(4 << 20)).into_bytes(),
        format!(
            "{{{}}}",
            (0..100_000).map(|at| format!("\"k{at}\":1")).collect::<Vec<_>>().join(",")
        )
        .into_bytes(),
        vec![b' '; 4 << 20],
        vec![0xff; 5 << 20],
        b"\xef\xbb\xbf{}".to_vec(),
        b"{\"size\":-1e400}".to_vec(),
    ]);
    all
}

/// Names of images, digests and platforms.
pub fn references() -> Vec<Vec<u8>> {
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let seeds = [
        "debian:12".to_owned(),
        format!("ghcr.io:443/owner/name:tag@{digest}"),
        "oci:/some/dir:tag".to_owned(),
        "docker-archive:a.tar:debian:12".to_owned(),
        "[2001:db8::1]:5000/a/b".to_owned(),
        "linux/arm64/v8".to_owned(),
    ];
    let mut all = of(&seeds.map(String::into_bytes), 60);
    let long = ["a/", "a.", "../", "::", "@sha256:", "[", "\u{202e}", "-", "_"];
    all.extend(long.map(|piece| piece.repeat(20_000).into_bytes()));
    all
}

/// WWW-Authenticate, Content-Range and Link.
pub fn headers() -> Vec<Vec<u8>> {
    let seeds = [
        r#"Bearer realm="https://a.example/t",service="s",scope="repository:x/y:pull,push""#,
        r#"Basic realm="a \"quoted\" one", Bearer realm=plain, Negotiate abc=="#,
        "bytes 0-499/1234",
        "bytes */1234",
        r#"</v2/_catalog?last=b&n=100>; rel="next""#,
        r#"<a>; rel=prev, <b>; title="x, y"; rel="first next""#,
    ];
    let mut all = of(&seeds.map(|seed| seed.as_bytes().to_vec()), 60);
    let long = ["a=", "\"", "\\", ",", "<", ">;", "bytes ", "Bearer ", "9", "; rel="];
    all.extend(long.map(|piece| piece.repeat(20_000).into_bytes()));
    all
}

/// What chooses content and layout of a layer that is right.
pub fn recipes() -> Vec<Vec<u8>> {
    (0..24).map(|seed| Noise::new(seed + 1).bytes(8 + 12 * seed as usize)).collect()
}
