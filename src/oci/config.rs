//! The config of an image (config.md), read leniently.
//!
//! Real configs lack what the specification requires (an architecture, a rootfs type), have `null`
//! for lists, and a string where a list should be; Docker runs them all. So every field may be
//! missing. What is strict: DiffIDs are digests, and there is one for each layer. A config is never
//! written back: whoever needs its bytes (its digest is the image ID) keeps the bytes.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::json::{self, null_as_default};
use super::{DiffId, DocumentError, Platform};

/// What Shale uses of an image's config.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Config {
    /// RFC 3339, as written.
    #[serde(default)]
    pub created: Option<String>,
    /// As written.
    #[serde(default, deserialize_with = "null_as_default")]
    pub author: String,
    /// Docker's commit message.
    #[serde(default, deserialize_with = "null_as_default")]
    pub comment: String,
    /// GOARCH as written; empty when missing.
    #[serde(default, deserialize_with = "null_as_default")]
    pub architecture: String,
    /// GOOS as written; empty when missing.
    #[serde(default, deserialize_with = "null_as_default")]
    pub os: String,
    /// `v7`, ...
    #[serde(default, deserialize_with = "null_as_default")]
    pub variant: String,
    /// Of Windows images.
    #[serde(default, rename = "os.version", deserialize_with = "null_as_default")]
    pub os_version: String,
    /// How to run it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub config: RunConfig,
    /// The layers' identities.
    #[serde(default, deserialize_with = "null_as_default")]
    rootfs: RootFs,
    /// How it was made, oldest first.
    #[serde(default, deserialize_with = "null_as_default")]
    pub history: Vec<History>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct RootFs {
    #[serde(default, deserialize_with = "null_as_default")]
    diff_ids: Vec<DiffId>,
}

/// Docker's container settings of an image. Sets that JSON writes as objects with empty values
/// keep only their keys, in the order of the document.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig {
    /// `user[:group]`, names or numbers; empty means root.
    #[serde(default, deserialize_with = "null_as_default")]
    pub user: String,
    /// `KEY=VALUE`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub env: Vec<String>,
    /// What runs, before `cmd`.
    #[serde(default, deserialize_with = "words")]
    pub entrypoint: Vec<String>,
    /// What runs, or the arguments of `entrypoint`.
    #[serde(default, deserialize_with = "words")]
    pub cmd: Vec<String>,
    /// Where it runs; empty means `/`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub working_dir: String,
    /// Labels, in the order of the document.
    #[serde(default, deserialize_with = "pairs")]
    pub labels: Vec<(String, String)>,
    /// `80/tcp`, ...
    #[serde(default, deserialize_with = "keys")]
    pub exposed_ports: Vec<String>,
    /// Mount points.
    #[serde(default, deserialize_with = "keys")]
    pub volumes: Vec<String>,
    /// `SIGTERM`, ...
    #[serde(default, deserialize_with = "null_as_default")]
    pub stop_signal: String,
    /// Windows: the command is one line, escaped already.
    #[serde(default, deserialize_with = "null_as_default")]
    pub args_escaped: bool,
    /// The shell of shell-form commands.
    #[serde(default, deserialize_with = "words")]
    pub shell: Vec<String>,
    /// Docker's health check, as written.
    #[serde(default)]
    pub healthcheck: Option<Value>,
    /// Instructions for images built from this one.
    #[serde(default, deserialize_with = "null_as_default")]
    pub on_build: Vec<String>,
}

/// One step of an image's making.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct History {
    /// RFC 3339, as written.
    #[serde(default)]
    pub created: Option<String>,
    /// The command.
    #[serde(default, deserialize_with = "null_as_default")]
    pub created_by: String,
    /// As written.
    #[serde(default, deserialize_with = "null_as_default")]
    pub author: String,
    /// As written.
    #[serde(default, deserialize_with = "null_as_default")]
    pub comment: String,
    /// It made no layer.
    #[serde(default, deserialize_with = "null_as_default")]
    pub empty_layer: bool,
}

impl Config {
    /// Parses a config.
    ///
    /// # Errors
    /// When limits are broken, it is no JSON object, or a DiffID is no digest.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        Ok(json::object(bytes)?)
    }

    /// The DiffIDs, bottom first, when there are `layers` of them.
    ///
    /// # Errors
    /// [`DocumentError::LayerCount`] when the manifest has another number of layers.
    pub fn diff_ids(&self, layers: usize) -> Result<&[DiffId], DocumentError> {
        let diff_ids = &self.rootfs.diff_ids;
        if diff_ids.len() == layers {
            Ok(diff_ids)
        } else {
            Err(DocumentError::LayerCount { layers, diff_ids: diff_ids.len() })
        }
    }

    /// All DiffIDs, bottom first, however many layers the manifest has.
    pub fn all_diff_ids(&self) -> &[DiffId] {
        &self.rootfs.diff_ids
    }

    /// The platform it says it is for; `None` when it says neither system nor processor.
    pub fn platform(&self) -> Option<Platform> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        if self.os.is_empty() && self.architecture.is_empty() {
            return None;
        }
        Some(Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: some(&self.variant),
            os_version: some(&self.os_version),
        })
    }
}

/// A list of strings, one string, or `null`: Docker wrote all three.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        None,
        One(String),
        Many(Vec<String>),
    }
    Ok(match Words::deserialize(deserializer)? {
        Words::None => Vec::new(),
        Words::One(word) => vec![word],
        Words::Many(words) => words,
    })
}

/// The keys of an object, or none for `null`.
fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let object: serde_json::Map<String, Value> = null_as_default(deserializer)?;
    Ok(object.into_iter().map(|(key, _)| key).collect())
}

/// The pairs of an object of strings, or none for `null`; other values are shown as JSON.
fn pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    let object: serde_json::Map<String, Value> = null_as_default(deserializer)?;
    let text = |value| match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    };
    Ok(object.into_iter().map(|(key, value)| (key, text(value))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn everything_may_be_missing_or_null() {
        for text in [
            "{}",
            r#"{"config":null,"rootfs":null,"history":null,"created":null,"os":null}"#,
            r#"{"config":{"Env":null,"Cmd":null,"Labels":null,"Volumes":null}}"#,
        ] {
            let config = Config::parse(text.as_bytes()).expect(text);
            assert_eq!(config, Config::default(), "{text}");
            assert_eq!(config.platform(), None);
        }
    }

    #[test]
    fn fields() {
        let text = format!(
            r#"{{"architecture":"arm","variant":"v7","os":"linux","created":"2024-01-02T03:04:05Z",
            "config":{{"User":"app:app","Env":["A=1"],"Entrypoint":"/one","Cmd":["a","b"],
            "WorkingDir":"/w","Labels":{{"z":"1","a":"2"}},"ExposedPorts":{{"80/tcp":{{}}}},
            "Healthcheck":{{"Test":["NONE"]}}}},
            "rootfs":{{"type":"layers","diff_ids":["{DIFF}"]}},
            "history":[{{"created_by":"RUN x","empty_layer":true}}],"moby.buildkit":1}}"#
        );
        let config = Config::parse(text.as_bytes()).expect("valid");
        assert_eq!(config.config.entrypoint, ["/one"]);
        assert_eq!(config.config.cmd, ["a", "b"]);
        assert_eq!(config.config.exposed_ports, ["80/tcp"]);
        let labels: Vec<_> = config.config.labels.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(labels, ["z", "a"], "in the order of the document");
        assert!(config.history[0].empty_layer);
        assert_eq!(config.platform().expect("has one").to_string(), "linux/arm/v7");
        assert_eq!(config.diff_ids(1).expect("one layer").len(), 1);
    }

    #[test]
    fn layer_count_must_match() {
        let text = format!(r#"{{"rootfs":{{"diff_ids":["{DIFF}"]}}}}"#);
        let config = Config::parse(text.as_bytes()).expect("valid");
        let error = config.diff_ids(2).expect_err("two layers, one DiffID");
        assert_eq!(error.to_string(), "the manifest has 2 layers but the config lists 1 DiffIDs");
    }

    #[test]
    fn bad_configs() {
        for text in [
            "",
            "[]",
            "null",
            r#"{"rootfs":{"diff_ids":["sha256:../../../etc/passwd"]}}"#,
            r#"{"rootfs":{"diff_ids":[7]}}"#,
        ] {
            assert!(Config::parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
