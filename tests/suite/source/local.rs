//! Layouts and archives, as our own tests and as real tools write them.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::image::{Blob, Image, gzipped, index_of, tar_of, tar_of_folder, write_layout};
use crate::support::real_registry::installed;
use crate::support::resolve::{ResolveError, resolve};
use serde_json::json;
use shalefs::oci::{Digest, ImageName};
use shalefs::source::{Options, Source, images, open};

/// Opens the image and checks every byte against its digest; the uncompressed layers are returned.
fn tars_of(name: &str) -> Result<Vec<Vec<u8>>, ResolveError> {
    let source = open(&name.parse().unwrap(), &Options::default())?;
    tars_in(source.as_ref())
}

fn tars_in(source: &dyn Source) -> Result<Vec<Vec<u8>>, ResolveError> {
    let image = resolve(source)?;
    let mut tars = Vec::new();
    for (layer, diff_id) in &image.layers {
        let mut bytes = Vec::new();
        source.blob(&layer.descriptor, 0)?.read_to_end(&mut bytes).unwrap();
        assert_eq!(Digest::sha256(&bytes), layer.descriptor.digest);
        assert_eq!(bytes.len() as u64, layer.descriptor.size);
        let mut rest = Vec::new();
        source.blob(&layer.descriptor, 20)?.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, bytes[20..]);
        if bytes.starts_with(&[0x1f, 0x8b]) {
            let mut tar = Vec::new();
            flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut tar).unwrap();
            bytes = tar;
        }
        assert_eq!(Digest::sha256(&bytes), diff_id.0);
        tars.push(bytes);
    }
    Ok(tars)
}

fn error_of(name: &str) -> String {
    let error = tars_of(name).expect_err(name).to_string();
    assert!(!error.contains('\n'), "{error:?}");
    error
}

/// A layout with two named images and one without a name.
fn layout(folder: &Path) -> (Image, Image) {
    let (one, two) = (Image::small(), Image::new("amd64", &[("x", b"two")], false));
    let blobs: Vec<&Blob> = one.blobs().into_iter().chain(two.blobs()).collect();
    let rows = [
        (&one.manifest, Some("v1")),
        (&two.manifest, Some("docker.io/library/two:latest")),
        (&one.manifest, None),
    ];
    write_layout(folder, &rows, &blobs);
    (one, two)
}

#[test]
fn a_layout_and_its_selectors() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = layout(folder.path());
    let at = |image: &str| format!("oci:{}{image}", folder.path().display());
    assert_eq!(tars_of(&at(":v1")).unwrap(), one.tars);
    for name in [":docker.io/library/two:latest", ":two", ":two:latest", ":@1"] {
        assert_eq!(tars_of(&at(name)).unwrap(), two.tars, "{name}");
    }
    assert_eq!(tars_of(&at(&format!(":{}", two.manifest.digest()))).unwrap(), two.tars);
    let error = error_of(&at(""));
    assert!(error.contains("3 images, name one: v1, docker.io/library/two:latest"), "{error}");
    let error = error_of(&at(":v2"));
    assert!(error.contains("no image v2; there is v1, docker.io"), "{error}");
    assert!(error_of(&at(":@7")).contains("no image @7"));
    let name: ImageName = at(":v1").parse().unwrap();
    let all = images(&name, &Options::default()).unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(all[1].1[0].familiar(), "two:latest");
    assert_eq!(all[1].0.to_string(), at(":@1"));
}

#[test]
fn a_layout_whose_index_is_the_list_of_one_image() {
    let folder = tempfile::tempdir().unwrap();
    let amd64 = Image::small();
    let arm64 = Image::new("arm64", &[("x", b"arm")], true);
    let blobs: Vec<&Blob> = amd64.blobs().into_iter().chain(arm64.blobs()).collect();
    write_layout(folder.path(), &[], &blobs);
    let index =
        index_of(&[(&arm64.manifest, "linux", "arm64"), (&amd64.manifest, "linux", "amd64")]);
    fs::write(folder.path().join("index.json"), &index.bytes).unwrap();
    let name = format!("oci:{}", folder.path().display());
    assert_eq!(tars_of(&name).unwrap(), amd64.tars);
    let source = open(&name.parse().unwrap(), &Options::default()).unwrap();
    assert_eq!(source.root_digest().unwrap(), Some(index.digest()));
}

#[test]
fn an_oci_archive_plain_and_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let layout_folder = folder.path().join("layout");
    let (one, _) = layout(&layout_folder);
    let tar = tar_of_folder(&layout_folder);
    let zstd = zstd::encode_all(&tar[..], 1).unwrap();
    for (name, bytes) in [("a.tar", tar.clone()), ("a.tar.gz", gzipped(&tar)), ("a.tar.zst", zstd)]
    {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        assert_eq!(tars_of(&format!("oci-archive:{}:v1", path.display())).unwrap(), one.tars);
    }
    let name = format!("oci-archive:{}", folder.path().join("a.tar").display()).parse().unwrap();
    assert_eq!(images(&name, &Options::default()).unwrap().len(), 3);
}

/// What `docker save` writes; `layers` are paths and files, `links` symbolic links.
fn docker_archive(
    path: &Path,
    entries: &serde_json::Value,
    files: &[(&str, &[u8])],
    links: &[(&str, &str)],
) {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, body) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *body).unwrap();
    }
    for (name, target) in links {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, name, target).unwrap();
    }
    let manifest = entries.to_string();
    let mut header = tar::Header::new_gnu();
    header.set_size(manifest.len() as u64);
    builder.append_data(&mut header, "manifest.json", manifest.as_bytes()).unwrap();
    fs::write(path, builder.into_inner().unwrap()).unwrap();
}

#[test]
fn docker_archives_old_and_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("save.tar");
    let image = Image::new("amd64", &[("a", b"1"), ("b", b"2"), ("a", b"1")], false);
    let hex = image.config.digest().hex();
    let old = json!([{"Config": format!("{hex}.json"), "RepoTags": ["two:v1"],
        "Layers": ["aa/layer.tar", "bb/layer.tar", "cc/layer.tar"]}]);
    let files: [(&str, &[u8]); 3] = [
        (&format!("{hex}.json"), &image.config.bytes),
        ("aa/layer.tar", &image.tars[0]),
        ("bb/layer.tar", &image.tars[1]),
    ];
    docker_archive(&path, &old, &files, &[("cc/layer.tar", "../aa/layer.tar")]);
    let name = format!("docker-archive:{}", path.display());
    assert_eq!(tars_of(&name).unwrap(), image.tars);
    assert_eq!(tars_of(&format!("{name}:docker.io/library/two:v1")).unwrap(), image.tars);
    let source = open(&name.parse().unwrap(), &Options::default()).unwrap();
    assert_eq!(source.names()[0].familiar(), "two:v1");

    let packed: Vec<Vec<u8>> = image.tars.iter().map(|tar| gzipped(tar)).collect();
    for compressed in [false, true] {
        let blobs = if compressed { &packed } else { &image.tars };
        let blob_path = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::sha256(bytes).hex());
        let paths: Vec<String> = blobs.iter().map(|bytes| blob_path(bytes)).collect();
        let config = blob_path(&image.config.bytes);
        let new = json!([{"Config": config, "RepoTags": null, "Layers": paths}]);
        let mut files: Vec<(&str, &[u8])> = vec![(&config, &image.config.bytes)];
        files.extend(paths.iter().zip(blobs).map(|(path, bytes)| (path.as_str(), &bytes[..])));
        docker_archive(&path, &new, &files, &[]);
        assert_eq!(tars_of(&name).unwrap(), image.tars, "compressed: {compressed}");
    }

    let old_packed: [(&str, &[u8]); 4] = [
        (&format!("{hex}.json"), &image.config.bytes),
        ("aa/layer.tar", &packed[0]),
        ("bb/layer.tar", &packed[1]),
        ("cc/layer.tar", &packed[2]),
    ];
    docker_archive(&path, &old, &old_packed, &[]);
    assert_eq!(tars_of(&name).unwrap(), image.tars, "compressed and without a digest in the name");
}

#[test]
fn a_manifest_at_either_end_of_a_docker_archive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("save.tar");
    let image = Image::new("amd64", &[("a", b"1")], false);
    let manifest = json!([{"Config": "c.json", "RepoTags": null, "Layers": ["l/layer.tar"]}]);
    let manifest = manifest.to_string();
    let mut files: Vec<(&str, &[u8])> = vec![
        ("manifest.json", manifest.as_bytes()),
        ("c.json", &image.config.bytes),
        ("l/layer.tar", &image.tars[0]),
    ];
    for _ in 0..3 {
        fs::write(&path, tar_of(&files)).unwrap();
        assert_eq!(tars_of(&format!("docker-archive:{}", path.display())).unwrap(), image.tars);
        files.rotate_left(1);
    }
}

#[test]
fn several_images_in_one_docker_archive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("save.tar");
    let (one, two) = (
        Image::new("amd64", &[("a", b"1")], false),
        Image::new("amd64", &[("a", b"1"), ("b", b"2")], false),
    );
    let entries = json!([
        {"Config": "1.json", "RepoTags": ["one:v1", "uno:v1"], "Layers": ["a/layer.tar"]},
        {"Config": "2.json", "RepoTags": ["h.example/two:v2"], "Layers": ["a/layer.tar", "b/layer.tar"]},
    ]);
    let files: [(&str, &[u8]); 4] = [
        ("1.json", &one.config.bytes),
        ("2.json", &two.config.bytes),
        ("a/layer.tar", &two.tars[0]),
        ("b/layer.tar", &two.tars[1]),
    ];
    docker_archive(&path, &entries, &files, &[]);
    let at = |image: &str| format!("docker-archive:{}{image}", path.display());
    for name in [":one:v1", ":uno:v1", ":@0"] {
        assert_eq!(tars_of(&at(name)).unwrap(), one.tars, "{name}");
    }
    for name in [":h.example/two:v2", ":@1"] {
        assert_eq!(tars_of(&at(name)).unwrap(), two.tars, "{name}");
    }
    let error = error_of(&at(""));
    assert!(error.contains("2 images, name one: one:v1 uno:v1, h.example/two:v2"), "{error}");
    assert!(error_of(&at(":one:v2")).contains("no image one:v2; there is"));
    assert_eq!(images(&at("").parse().unwrap(), &Options::default()).unwrap().len(), 2);
}

#[test]
fn a_wrong_claim_of_an_archive_is_only_a_claim() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("save.tar");
    let image = Image::new("amd64", &[("a", b"1")], false);
    let entries = json!([{"Config": "c.json", "RepoTags": null, "Layers": ["a/layer.tar"]}]);
    let other = tar_of(&[("a", b"2")]);
    let files: [(&str, &[u8]); 2] = [("c.json", &image.config.bytes), ("a/layer.tar", &other)];
    docker_archive(&path, &entries, &files, &[]);
    let name = format!("docker-archive:{}", path.display()).parse().unwrap();
    let source = open(&name, &Options::default()).unwrap();
    let found = resolve(source.as_ref()).unwrap();
    let descriptor = &found.layers[0].0.descriptor;
    let mut bytes = Vec::new();
    source.blob(descriptor, 0).unwrap().read_to_end(&mut bytes).unwrap();
    assert_ne!(Digest::sha256(&bytes), descriptor.digest, "the store refuses it");
}

#[test]
fn places_that_are_not_what_they_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    layout(&at("layout"));
    let tar = tar_of_folder(&at("layout"));
    fs::write(at("oci.tar"), &tar).unwrap();
    fs::write(at("cut.tar"), &tar[..tar.len() / 2]).unwrap();
    fs::write(at("cut.tar.gz"), &gzipped(&tar)[..100]).unwrap();
    fs::write(at("text"), "hello, this is not an archive at all".repeat(100)).unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::create_dir(at("folder")).unwrap();
    docker_archive(&at("save.tar"), &json!([]), &[], &[]);
    docker_archive(&at("bad.tar"), &json!({"Config": 7}), &[], &[]);
    let gone = json!([{"Config": "gone.json", "RepoTags": null, "Layers": []}]);
    docker_archive(&at("gone.tar"), &gone, &[("a", b"")], &[("gone.json", "gone.json")]);
    fs::create_dir(at("v9")).unwrap();
    fs::write(at("v9/oci-layout"), r#"{"imageLayoutVersion":"9.0.0"}"#).unwrap();
    for (name, why) in [
        ("oci:none", "it has no oci-layout"),
        ("oci:folder", "it has no oci-layout"),
        ("oci:v9", "layout version \"9.0.0\" is not supported"),
        ("oci:oci.tar", "Not a directory"),
        ("oci-archive:none", "No such file"),
        ("oci-archive:folder", "directory"),
        ("oci-archive:text", "no tar header"),
        ("oci-archive:empty", "it has no oci-layout"),
        ("oci-archive:cut.tar:v1", "truncated"),
        ("oci-archive:cut.tar.gz:v1", "cut.tar.gz"),
        ("oci-archive:save.tar", "try docker-archive:"),
        ("docker-archive:oci.tar", "try oci-archive:"),
        ("docker-archive:empty", "it has no manifest.json"),
        ("docker-archive:save.tar", "no image"),
        ("docker-archive:bad.tar", "manifest.json"),
        ("docker-archive:gone.tar", "more than 16 links"),
    ] {
        let (transport, file) = name.split_once(':').unwrap();
        let error = error_of(&format!("{transport}:{}/{file}", folder.path().display()));
        assert!(error.contains(why), "{name}: {error}");
    }
}

#[test]
fn damaged_and_missing_blobs() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = layout(folder.path());
    let path = |blob: &Blob| folder.path().join("blobs/sha256").join(blob.digest().hex());
    let at = |image: &str| format!("oci:{}{image}", folder.path().display());
    fs::remove_file(path(&one.layers[0])).unwrap();
    assert!(error_of(&at(":v1")).contains(&format!("{} is missing", one.layers[0].digest())));
    fs::write(path(&one.layers[0]), "short").unwrap();
    assert!(error_of(&at(":v1")).contains("has 5 bytes instead of"));
    let mut bytes = two.config.bytes.clone();
    bytes[2] ^= 1;
    fs::write(path(&two.config), bytes).unwrap();
    match tars_of(&at(":two")).expect_err("one bit") {
        ResolveError::Source(error) => assert!(error.is_mismatch(), "{error}"),
        other => panic!("a mismatch and not {other}"),
    }
}

#[test]
fn a_pipe_in_place_of_a_blob_does_not_hang() {
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = layout(folder.path());
    let path = folder.path().join("blobs/sha256").join(one.config.digest().hex());
    fs::remove_file(&path).unwrap();
    let made = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let error = error_of(&format!("oci:{}:v1", folder.path().display()));
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn cve_2017_14992_an_archive_that_is_a_bomb() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.tar.zst");
    let mut encoder = zstd::Encoder::new(fs::File::create(&path).unwrap(), 1).unwrap();
    let same = vec![7; 1 << 20];
    for _ in 0..80 {
        encoder.write_all(&same).unwrap();
    }
    encoder.finish().unwrap();
    let options = Options { temporary: folder.path().to_owned(), ..Options::default() };
    let name = format!("docker-archive:{}", path.display()).parse().unwrap();
    let error = open(&name, &options).err().expect("too much").to_string();
    assert!(error.contains("unpacks to more than 1000 times its size (limit `ratio`)"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
}

/// The archives that skopeo makes of a layout.
#[test]
fn what_skopeo_writes() {
    if !installed("skopeo") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = layout(&folder.path().join("layout"));
    let at = |transport: &str, file: &str| -> (String, PathBuf) {
        let path = folder.path().join(file);
        (format!("{transport}:{}", path.display()), path)
    };
    let from = format!("oci:{}:v1", folder.path().join("layout").display());
    for (transport, file, tag) in [
        ("docker-archive", "docker.tar", ":one:v1"),
        ("oci-archive", "oci.tar", ":v1"),
        ("oci", "copy", ":v1"),
    ] {
        let (name, _) = at(transport, file);
        let to = format!("{name}{tag}");
        let status = Command::new("skopeo")
            .args(["--insecure-policy", "copy", "--quiet", &from, &to])
            .status()
            .unwrap();
        assert!(status.success(), "{to}");
        assert_eq!(tars_of(&name).unwrap(), one.tars, "{name}");
        assert_eq!(tars_of(&to).unwrap(), one.tars, "{to}");
    }
}
