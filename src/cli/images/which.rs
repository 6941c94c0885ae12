//! `which`: the layers that made, changed or removed a path.

use std::os::unix::ffi::OsStrExt;

use crate::cli::args::Which as Args;
use crate::cli::context::Context;
use crate::cli::error::Error;
use crate::cli::format::units::{self, Time};
use crate::cli::format::{Columns, Format};
use crate::cli::images::layers::{Shown, commands, history, kind_name, shown_path};
use crate::cli::terminal::escape;
use crate::layer::Kind;
use crate::store::{StoredImage, StoredLayer};
use crate::template::{Field, Struct, Value};
use crate::tree::{How, Seen, Step};

/// `shale which`
pub fn which(context: &mut Context, args: &Args) -> Result<(), Error> {
    let columns = columns();
    let quiet = context.quiet.then_some("{{.Digest}}");
    let format = Format::choose(args.format.as_deref(), &columns, quiet)?;
    let image = context.image(&args.image)?;
    let history = history(&context.store()?, &image)?;
    let path = args.path.as_bytes();
    let asked = shown_path(path.strip_prefix(b"/").unwrap_or(path));
    let story = history.which(path).map_err(|fault| Error::failed(format!("{asked}: {fault}")))?;
    if story.steps.is_empty() {
        return Err(Error::failed(format!("{asked}: no layer of the image has it")));
    }
    let led = shown_path(&story.path);
    if led != asked {
        context.out.message(&format!("{asked} is {led}"));
    }
    let commands = commands(&image);
    let rows: Vec<Value> = story
        .steps
        .iter()
        .filter_map(|step| {
            let number = step.layer as usize;
            let command = commands.get(number).map_or("", String::as_str);
            Some(row(step, &led, image.layers.get(number)?, command, args))
        })
        .collect();
    format.print(&mut context.out, &columns, rows)?;
    say_where_it_is(context, &image, &story.steps);
    Ok(())
}

fn columns() -> Columns {
    Columns {
        row: "step",
        titles: &[
            ("No", "NO"),
            ("Digest", "DIGEST"),
            ("DiffID", "DIFF ID"),
            ("Change", "CHANGE"),
            ("Path", "PATH"),
            ("Type", "TYPE"),
            ("Mode", "MODE"),
            ("Owner", "OWNER"),
            ("Size", "SIZE"),
            ("ModTime", "MODIFIED"),
            ("Target", "TARGET"),
            ("How", "HOW"),
            ("Hides", "HIDES"),
            ("ContentNo", "CONTENT OF"),
            ("CreatedBy", "CREATED BY"),
        ],
        table: "{{.No}}\t{{.Digest}}\t{{.Change}}\t{{.Type}}\t{{.Mode}}\t{{.Owner}}\t{{.Size}}\t\
            {{.How}}\t{{.Hides}}\t{{.CreatedBy}}"
            .to_owned(),
    }
}

/// What a row of the table does not say. The bytes of a file can be those of a lower layer than the
/// one that made the name.
fn say_where_it_is(context: &mut Context, image: &StoredImage, steps: &[Step]) {
    let Some(step) = steps.first() else { return };
    let text = match step.after.as_ref().map(|seen| (seen.kind, seen.content_layer)) {
        None => "the image does not have it any more".to_owned(),
        Some((Kind::Symlink, _)) => {
            let text = step.after.as_ref().map(|seen| escape(&seen.text)).unwrap_or_default();
            format!("it is a symlink to {text}")
        }
        Some((_, Some(layer))) if layer != step.layer => {
            let digest = image.layers.get(layer as usize).map(|layer| layer.digest.to_string());
            format!("its content is that of layer {layer} ({})", digest.unwrap_or_default())
        }
        Some(_) => return,
    };
    context.out.message(&text);
}

fn row(step: &Step, path: &str, layer: &StoredLayer, command: &str, args: &Args) -> Value {
    let shown = Shown::of(layer, command, args.no_trunc);
    let change = match (&step.before, &step.after) {
        (None, _) => "made",
        (Some(_), None) => "removed",
        (Some(_), Some(_)) if step.kept => "changed",
        (Some(_), Some(_)) => "replaced",
    };
    let after = step.after.as_ref();
    let text = |value: Option<String>| value.unwrap_or_default();
    let target = after.filter(|seen| seen.kind == Kind::Symlink).map(|seen| escape(&seen.text));
    let hidden = step.before.as_ref().filter(|_| !step.kept);
    Value::from(Struct::row(
        "step",
        vec![
            Field::new("No", step.layer.to_string()),
            Field::new("Digest", shown.digest),
            Field::new("DiffID", shown.diff_id),
            Field::new("Change", change),
            Field::new("Path", path),
            Field::new("Type", after.map_or("", |seen| kind_name(seen.kind))),
            Field::new("Mode", text(after.map(|seen| format!("{:04o}", seen.mode)))),
            Field::new("Owner", text(after.map(|seen| format!("{}:{}", seen.uid, seen.gid)))),
            Field::new("Size", text(after.and_then(size))),
            Field::new("ModTime", text(after.map(time))),
            Field::new("Target", text(target)),
            Field::new("How", step.how.iter().map(how).collect::<Vec<_>>().join(", ")),
            Field::new("Hides", text(hidden.map(brief))),
            Field::new(
                "ContentNo",
                text(after.and_then(|seen| seen.content_layer).map(|layer| layer.to_string())),
            ),
            Field::new("CreatedBy", shown.command),
        ],
    ))
}

fn size(seen: &Seen) -> Option<String> {
    matches!(seen.kind, Kind::File | Kind::Symlink).then(|| units::size(seen.size))
}

fn time(seen: &Seen) -> String {
    Time::of_seconds(seen.mtime.seconds).rfc3339()
}

/// What a lower layer has there, in a few words.
fn brief(seen: &Seen) -> String {
    let mut words = vec![kind_name(seen.kind).to_owned(), format!("{:04o}", seen.mode)];
    words.extend(size(seen));
    if seen.kind == Kind::Symlink {
        words.push(format!("-> {}", escape(&seen.text)));
    }
    words.join(" ")
}

fn how(how: &How) -> String {
    match how {
        How::Entry => "entry".to_owned(),
        How::HardLink(target) => format!("hard link to {}", shown_path(target)),
        How::Attributes(link) => format!("attributes of its hard link {}", shown_path(link)),
        How::Parent => "missing parent".to_owned(),
        How::Whiteout(path) => format!("whiteout of {}", shown_path(path)),
        How::Opaque(path) => format!("{} made opaque", shown_path(path)),
        How::Replaced(path) => format!("{} replaced", shown_path(path)),
    }
}
