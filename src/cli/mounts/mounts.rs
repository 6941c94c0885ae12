//! `mounts`: what is mounted, a row a mount.

use crate::cli::args::Mounts;
use crate::cli::context::{Context, familiar};
use crate::cli::error::Error;
use crate::cli::format::{Columns, Format, short, units};
use crate::mount::{self, Listed};
use crate::oci::Reference;
use crate::store::{MountRecord, Store, Supervisor};
use crate::template::{Field, Struct, Value};

/// `shale mounts`
pub fn mounts(context: &mut Context, args: &Mounts) -> Result<(), Error> {
    let columns = Columns {
        row: "mount",
        titles: &[
            ("ID", "ID"),
            ("Image", "IMAGE"),
            ("ImageID", "IMAGE ID"),
            ("Dir", "DIR"),
            ("PID", "PID"),
            ("Uptime", "UPTIME"),
            ("State", "STATE"),
            ("Status", "STATE"),
            ("Supervisor", "SUPERVISOR"),
            ("Moved", "MOVED"),
            ("Log", "LOG"),
        ],
        table: "{{.ID}}\t{{.Image}}\t{{.Dir}}\t{{.PID}}\t{{.Uptime}}\t{{.Status}}".to_owned(),
    };
    let quiet = context.quiet.then_some("{{.Dir}}");
    let format = Format::choose(args.format.as_deref(), &columns, quiet)?;
    let store = context.store()?;
    let rows: Vec<Value> =
        mount::list(&store)?.iter().map(|listed| row(&store, listed, args.no_trunc)).collect();
    format.print(&mut context.out, &columns, rows)
}

fn row(store: &Store, listed: &Listed, full_id: bool) -> Value {
    let record = &listed.record;
    let supervisor = record.supervisor.filter(Supervisor::lives);
    let moved = has_moved(store, record);
    let supervised = if supervisor.is_some() { ", supervised" } else { "" };
    let older = if moved { ", name moved" } else { "" };
    let status = format!("{}{supervised}{older}", listed.state.name());
    let supervisor = supervisor.map(|process| process.pid.to_string()).unwrap_or_default();
    let image_id = if full_id { record.image_id.to_string() } else { short(&record.image_id) };
    Value::from(Struct::row(
        "mount",
        vec![
            Field::new("ID", record.id.as_str()),
            Field::new("Image", familiar(&record.image)),
            Field::new("ImageID", image_id),
            Field::new("Dir", record.mountpoint.to_string_lossy().into_owned()),
            Field::new("PID", record.pid.to_string()),
            Field::new("Uptime", units::duration(listed.uptime)),
            Field::new("State", listed.state.name()),
            Field::new("Status", status),
            Field::new("Supervisor", supervisor),
            Field::new("Moved", moved.to_string()),
            Field::new("Log", store.log_path(&record.id).to_string_lossy().into_owned()),
        ],
    ))
}

/// Whether the name that was mounted stands for another image now, or for none.
fn has_moved(store: &Store, record: &MountRecord) -> bool {
    let named = record.image.parse::<Reference>().is_ok();
    let now = store.open_to_mount(&record.image);
    named && now.map_or(true, |image| image.id != record.image_id)
}
