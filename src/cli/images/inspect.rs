//! `inspect`: all that is known of images, as Docker's JSON or through a template.
//!
//! The keys and their order are Docker's. A template is tried on the typed document first and, when
//! that fails, on the plain JSON, where a missing key is an error: so both `{{.RepoTags}}` and
//! keys that only the JSON has work as in Docker.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::cli::args::Inspect as Args;
use crate::cli::context::Context;
use crate::cli::error::{Error, status};
use crate::cli::format::units::Time;
use crate::cli::format::{indented, template_error};
use crate::cli::images::rows::{Names, Sizes};
use crate::oci::{Reference, RunConfig};
use crate::store::StoredImage;
use crate::template::{Element, Field, List, Map, Struct, Template, Value};

/// `shale inspect`: those that are there are shown, those that are not reported at the end.
pub fn inspect(context: &mut Context, args: &Args) -> Result<(), Error> {
    let template = match args.format.as_deref() {
        None | Some("" | "json") => None,
        Some(text) => Some(Template::parse(text).map_err(template_error)?),
    };
    let store = context.store()?;
    let mut sizes = Sizes::default();
    let mut documents = Vec::new();
    let mut errors = Vec::new();
    for text in &args.images {
        let image = match context.image(text) {
            Ok(image) => image,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        let document = Document::of(&image, sizes.image(&store, &image).unwrap_or(0));
        match &template {
            None => documents.push(document.json()),
            Some(template) => match document.execute(template) {
                Ok(text) => context.out.line(&text)?,
                Err(error) => errors.push(error),
            },
        }
    }
    if template.is_none() {
        let one_line = args.format.as_deref() == Some("json");
        let all = Json::Array(documents);
        context.out.line(&if one_line { all.to_string() } else { indented(&all, b"    ") })?;
    }
    let failed = !errors.is_empty();
    for error in errors {
        context.out.error(&error);
    }
    if failed { Err(Error::Said { status: status::FAILED }) } else { Ok(()) }
}

/// What Docker says of an image.
struct Document<'a> {
    image: &'a StoredImage,
    names: Names,
    size: u64,
}

impl<'a> Document<'a> {
    fn of(image: &'a StoredImage, size: u64) -> Self {
        Self { image, names: Names::of(image), size }
    }

    fn execute(&self, template: &Template) -> Result<String, Error> {
        template.execute(&self.typed()).or_else(|_| {
            let plain = Value::from_json_exact(&self.json());
            template.execute_strictly(&plain).map_err(template_error)
        })
    }

    fn created(&self) -> String {
        match self.image.config.created.as_deref() {
            Some(text) => Time::of_config(Some(text)).rfc3339_utc(),
            None => String::new(),
        }
    }

    /// The image's own, or that of its last step.
    fn comment(&self) -> &str {
        let config = &self.image.config;
        match (config.comment.as_str(), config.history.last()) {
            ("", Some(step)) => &step.comment,
            (comment, _) => comment,
        }
    }

    fn layers(&self) -> Vec<String> {
        self.image.layers.iter().map(|layer| layer.diff_id.0.to_string()).collect()
    }

    /// The typed document, as templates see it.
    fn typed(&self) -> Value {
        let config = &self.image.config;
        let size = i64::try_from(self.size).unwrap_or(i64::MAX);
        let layers = self.layers();
        let root_fs =
            vec![Field::new("Type", "layers"), Field::optional("Layers", Value::strings(layers))];
        let tag_time = Struct {
            text: Some("0001-01-01 00:00:00 +0000 UTC".to_owned()),
            json: Some("0001-01-01T00:00:00Z".to_owned()),
            ..Struct::new("time.Time", Vec::new())
        };
        let manifest = &self.image.manifest;
        let descriptor = vec![
            Field { json: Some("mediaType"), ..Field::new("MediaType", &*manifest.media_type) },
            Field { json: Some("digest"), ..Field::new("Digest", manifest.digest.to_string()) },
            Field {
                json: Some("size"),
                ..Field::new("Size", i64::try_from(manifest.size).unwrap_or(i64::MAX))
            },
        ];
        Value::from(Struct::new(
            "image",
            vec![
                Field { json: Some("Id"), ..Field::new("ID", self.image.id.to_string()) },
                Field::new("RepoTags", Value::strings(familiar(&self.names.tags))),
                Field::new("RepoDigests", Value::strings(familiar(&self.names.digests))),
                Field::new("Comment", self.comment()),
                Field::optional("Created", self.created()),
                Field::new("Author", config.author.as_str()),
                Field::new("Config", typed_config(&config.config)),
                Field::new("Architecture", config.architecture.as_str()),
                Field::optional("Variant", config.variant.as_str()),
                Field::new("Os", config.os.as_str()),
                Field::optional("OsVersion", config.os_version.as_str()),
                Field::new("Size", size),
                Field::new("RootFS", Struct::new("image.RootFS", root_fs)),
                Field::new(
                    "Metadata",
                    Struct::new("image.Metadata", vec![Field::new("LastTagTime", tag_time)]),
                ),
                Field::new("Descriptor", Struct::new("v1.Descriptor", descriptor)),
            ],
        ))
    }

    /// The document as it is printed.
    fn json(&self) -> Json {
        let config = &self.image.config;
        let mut all = serde_json::Map::new();
        let mut put = |key: &str, value: Json| all.insert(key.to_owned(), value);
        put("Id", json!(self.image.id));
        put("RepoTags", json!(familiar(&self.names.tags)));
        put("RepoDigests", json!(familiar(&self.names.digests)));
        put("Comment", json!(self.comment()));
        if config.created.is_some() {
            put("Created", json!(self.created()));
        }
        put("Author", json!(config.author));
        put("Config", json_config(self.image));
        put("Architecture", json!(config.architecture));
        if !config.variant.is_empty() {
            put("Variant", json!(config.variant));
        }
        put("Os", json!(config.os));
        if !config.os_version.is_empty() {
            put("OsVersion", json!(config.os_version));
        }
        put("Size", json!(self.size));
        put("RootFS", json!({"Type": "layers", "Layers": self.layers()}));
        put("Metadata", json!({"LastTagTime": "0001-01-01T00:00:00Z"}));
        let manifest = &self.image.manifest;
        let descriptor = json!({
            "mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.size,
        });
        put("Descriptor", descriptor);
        Json::Object(all)
    }
}

fn familiar(references: &[Reference]) -> Vec<String> {
    references.iter().map(Reference::familiar).collect()
}

/// The config's own bytes are shown, so that nothing is lost that this program does not know.
fn json_config(image: &StoredImage) -> Json {
    let document: Json = serde_json::from_slice(&image.config_bytes).unwrap_or(Json::Null);
    match document.get("config") {
        Some(config @ Json::Object(_)) => config.clone(),
        _ => Json::Object(serde_json::Map::new()),
    }
}

/// A set that JSON writes as an object with empty values.
fn set(keys: &[String]) -> Value {
    let empty = || Value::from(Struct::new("struct {}", Vec::new()));
    let entries = keys.iter().map(|key| (key.clone(), empty())).collect();
    let of = Element::Named("struct {}");
    Value::from(Map { of, entries, nil: keys.is_empty() })
}

fn strings(items: &[String]) -> Value {
    let nil = items.is_empty();
    let items = items.iter().map(|item| Value::from(item.as_str())).collect();
    Value::from(List { of: Element::String, items, nil })
}

fn typed_config(config: &RunConfig) -> Value {
    let labels = config.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let labels = match labels.len() {
        0 => Value::from(Map { of: Element::String, entries: BTreeMap::new(), nil: true }),
        _ => Value::string_map(labels),
    };
    let check = config.healthcheck.as_ref().map_or(Value::Nil, Value::from_json_exact);
    let standard = vec![
        Field::optional("User", config.user.as_str()),
        Field::optional("ExposedPorts", set(&config.exposed_ports)),
        Field::optional("Env", strings(&config.env)),
        Field::optional("Entrypoint", strings(&config.entrypoint)),
        Field::optional("Cmd", strings(&config.cmd)),
        Field::optional("Volumes", set(&config.volumes)),
        Field::optional("WorkingDir", config.working_dir.as_str()),
        Field::optional("Labels", labels),
        Field::optional("StopSignal", config.stop_signal.as_str()),
        Field::optional("ArgsEscaped", config.args_escaped),
    ];
    let extension = vec![
        Field::optional("Healthcheck", check),
        Field::optional("OnBuild", strings(&config.on_build)),
        Field::optional("Shell", strings(&config.shell)),
    ];
    // Docker's type is two structs in one: their fields are reached as if they were its own, but
    // they print each for itself.
    let printed = [&standard, &extension].map(|fields| {
        let fields: Vec<String> = fields.iter().map(|field| field.value.to_text()).collect();
        format!("{{{}}}", fields.join(" "))
    });
    Value::from(Struct {
        text: Some(format!("{{{}}}", printed.join(" "))),
        ..Struct::new("v1.DockerOCIImageConfig", standard.into_iter().chain(extension).collect())
    })
}
