//! `info`: the store, and what this machine can do.

use std::fs;

use crate::cli::args::Info;
use crate::cli::context::Context;
use crate::cli::error::Error;
use crate::cli::format::template_error;
use crate::cli::images::rows::images;
use crate::oci::Platform;
use crate::template::{Field, Struct, Template, Value, to_json};

/// `shale info`
pub fn info(context: &mut Context, args: &Info) -> Result<(), Error> {
    let store = context.store()?;
    let images = images(&store, |warning| context.out.always(&warning))?;
    let mounts = store.live_mounts()?.len();
    let names = images.iter().map(|image| image.names.len()).sum();
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let fields = vec![
        Field::new("Version", env!("CARGO_PKG_VERSION")),
        Field::new("Root", store.root().display().to_string()),
        Field::new("Format", i64::try_from(crate::store::FORMAT).unwrap_or(i64::MAX)),
        Field::new("Images", count(images.len())),
        Field::new("Names", count(names)),
        Field::new("Mounts", count(mounts)),
        Field::new("Platform", Platform::host().to_string()),
        Field::new("Kernel", kernel()),
        Field::new("Fuse", fuse()),
        Field::new("Sandbox", crate::mount::sandbox::describe()),
        Field::new("Fusermount", in_path("fusermount3").unwrap_or_else(|| "not found".to_owned())),
    ];
    let info = Value::from(Struct::new("info", fields));
    match args.format.as_deref() {
        Some("json") => context.out.line(&to_json(&info)),
        Some(text) => {
            let template = Template::parse(text).map_err(template_error)?;
            let text = template.execute(&info).map_err(template_error)?;
            context.out.line(&text)
        }
        None => {
            let Value::Struct(info) = &info else { return Ok(()) };
            for field in &info.fields {
                let text = format!("{}: {}", field.name, plain(&field.value));
                context.out.line(&text)?;
            }
            Ok(())
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        other => to_json(other),
    }
}

fn kernel() -> String {
    let name = rustix::system::uname();
    format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy())
}

/// Whether /dev/fuse can be opened, in words.
fn fuse() -> String {
    match fs::File::options().read(true).write(true).open("/dev/fuse") {
        Ok(_) => "/dev/fuse".to_owned(),
        Err(error) => format!("/dev/fuse: {error}"),
    }
}

fn in_path(program: &str) -> Option<String> {
    let paths = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&paths).map(|path| path.join(program)).find(|p| p.is_file());
    found.map(|path| path.display().to_string())
}
