//! Documents that are taken and documents that are refused, and why.

use super::*;

const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

fn descriptor(media_type: &str) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{D}","size":3}}"#)
}

/// A document with the body media type `own` and `fields`.
fn body(own: &str, fields: &str) -> String {
    let own = if own.is_empty() { String::new() } else { format!(r#""mediaType":"{own}","#) };
    format!(r#"{{"schemaVersion":2,{own}{fields}}}"#)
}

fn image() -> String {
    format!(r#""config":{},"layers":[{}]"#, descriptor(CONFIG), descriptor(LAYER))
}

fn list() -> String {
    format!(r#""manifests":[{}]"#, descriptor(OCI_MANIFEST))
}

#[test]
fn declared_and_own_types() {
    for (own, declared, fields, media_type) in [
        (OCI_MANIFEST, OCI_MANIFEST, image(), OCI_MANIFEST),
        ("", OCI_MANIFEST, image(), OCI_MANIFEST),
        ("", "", image(), OCI_MANIFEST),
        ("", "application/json", image(), OCI_MANIFEST),
        (DOCKER_MANIFEST, "text/plain; charset=utf-8", image(), DOCKER_MANIFEST),
        (DOCKER_MANIFEST, DOCKER_MANIFEST, image(), DOCKER_MANIFEST),
        (OCI_INDEX, OCI_INDEX, list(), OCI_INDEX),
        ("", OCI_INDEX, list(), OCI_INDEX),
        ("", "", list(), OCI_INDEX),
        (DOCKER_LIST, DOCKER_LIST, list(), DOCKER_LIST),
        (OCI_INDEX, "Application/VND.oci.image.index.v1+json; x=y", list(), OCI_INDEX),
    ] {
        let text = body(own, &fields);
        let document = Document::parse(text.as_bytes(), declared).expect(&text);
        assert_eq!(document.media_type(), media_type, "{text}");
    }
}

#[test]
fn what_is_refused_and_why() {
    let both = format!("{},{}", image(), list());
    let deep = format!(r#""x":{}{}"#, "[".repeat(64), "]".repeat(64));
    for (own, declared, fields, why) in [
        ("", "", both.clone(), "both"),
        (OCI_INDEX, OCI_INDEX, both.clone(), "both"),
        (OCI_MANIFEST, OCI_MANIFEST, both, "both"),
        (OCI_INDEX, OCI_INDEX, image(), "declared as"),
        (OCI_MANIFEST, OCI_MANIFEST, list(), "declared as"),
        ("", OCI_INDEX, image(), "declared as"),
        ("", OCI_MANIFEST, list(), "declared as"),
        (OCI_MANIFEST, DOCKER_MANIFEST, image(), "declared as"),
        (OCI_INDEX, OCI_MANIFEST, list(), "declared as"),
        ("application/vnd.x.y", "", image(), "unknown media type \"application/vnd.x.y\""),
        ("", "text/html", image(), "unknown media type \"text/html\""),
        ("", "", "\"x\":1".to_owned(), "neither"),
        ("", "", "\"layers\":[]".to_owned(), "neither"),
        ("", "application/vnd.docker.distribution.manifest.v1+prettyjws", image(), "too old"),
        ("application/vnd.docker.distribution.manifest.v1+json", "", image(), "too old"),
        ("", "", "\"fsLayers\":[],\"history\":[]".to_owned(), "too old"),
        ("", "", deep, "deeper than"),
        ("", "", "\"manifests\":7".to_owned(), "invalid type"),
    ] {
        let text = body(own, &fields);
        let error = Document::parse(text.as_bytes(), declared).expect_err(&text).to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn schema_versions() {
    let text = |version: &str| format!(r#"{{"schemaVersion":{version},{}}}"#, image());
    assert!(matches!(Document::parse(text("1").as_bytes(), ""), Err(DocumentError::Schema1)));
    assert!(matches!(
        Document::parse(text("3").as_bytes(), ""),
        Err(DocumentError::SchemaVersion(3))
    ));
    let missing = format!("{{{}}}", image());
    assert!(Document::parse(missing.as_bytes(), OCI_MANIFEST).is_ok());
}

#[test]
fn broken_descriptors() {
    for (digest, size, why) in [
        ("sha256:../../../../etc/passwd", "3", "hexadecimal"),
        ("../../x", "3", "no algorithm"),
        ("md5:d41d8cd98f00b204e9800998ecf8427e", "3", "unsupported algorithm"),
        (D, "-1", "negative size"),
        (D, "1e99", "invalid"),
        (D, "99999999999999999999", "invalid"),
        (D, "\"3\"", "invalid type"),
    ] {
        let entry =
            format!(r#"{{"mediaType":"{OCI_MANIFEST}","digest":"{digest}","size":{size}}}"#);
        let text = body(OCI_INDEX, &format!("\"manifests\":[{entry}]"));
        let error = Document::parse(text.as_bytes(), "").expect_err(&text).to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn nothing_but_objects() {
    for text in ["", "[]", "null", "7", "{", "\u{feff}", "<html>not found</html>"] {
        assert!(Document::parse(text.as_bytes(), "").is_err(), "{text:?}");
    }
}

#[test]
fn odd_but_fine() {
    let entry = format!(
        r#"{{"mediaType":"{OCI_MANIFEST}","digest":"{D}","size":3,"urls":null,"annotations":null,
        "platform":{{"architecture":"amd64","os":"windows","os.version":"10.0.1","features":[]}},
        "future":[1]}}"#
    );
    let text = body("", &format!(r#""manifests":[{entry}],"annotations":{{}},"subject":null"#));
    let marked = format!("\u{feff}  {text}\n");
    let Document::Index(index) = Document::parse(marked.as_bytes(), "").expect("valid") else {
        panic!("an index");
    };
    let platform = index.manifests[0].platform.as_ref().expect("has one");
    assert_eq!(platform.to_string(), "windows(10.0.1)/amd64");
    let text = body("", &format!(r#""config":{},"layers":null"#, descriptor(CONFIG)));
    let Document::Manifest(manifest) = Document::parse(text.as_bytes(), "").expect("valid") else {
        panic!("a manifest");
    };
    assert!(manifest.layers.is_empty());
}

fn layers_of(config: &str, layer: &str) -> Result<Vec<Layer>, DocumentError> {
    let fields = format!(r#""config":{},"layers":[{}]"#, descriptor(config), descriptor(layer));
    match Document::parse(body("", &fields).as_bytes(), "")? {
        Document::Manifest(manifest) => manifest.image_layers(),
        Document::Index(_) => panic!("a manifest"),
    }
}

#[test]
fn layers_and_artifacts() {
    let layers = layers_of(CONFIG, LAYER).expect("an image");
    assert_eq!((layers[0].claimed, layers[0].foreign), (Compression::Gzip, false));
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    assert!(layers_of(CONFIG, foreign).expect("an image")[0].foreign);
    let error = layers_of("application/vnd.cncf.helm.config.v1+json", LAYER).expect_err("a chart");
    assert!(error.to_string().contains("vnd.cncf.helm.config.v1+json"), "{error}");
    let error = layers_of(CONFIG, "application/vnd.in-toto+json").expect_err("an attestation");
    assert!(error.to_string().contains("vnd.in-toto+json"), "{error}");
}
