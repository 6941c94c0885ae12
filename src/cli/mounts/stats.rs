//! `stats`: what live mounts did so far, for people, as JSON, or for Prometheus.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::cli::args::Stats;
use crate::cli::context::Context;
use crate::cli::context::familiar;
use crate::cli::error::{Error, status};
use crate::cli::format::units;
use crate::cli::format::{Columns, Format};
use crate::fs::Figures;
use crate::mount::{self, Listed, State};
use crate::sys::process;
use crate::template::{Field, Struct, Value};

/// A mount and its figures.
struct Row {
    listed: Listed,
    figures: Figures,
    /// Bytes of memory that the server has; 0 when that cannot be seen.
    memory: u64,
}

/// `shale stats`: goes on past errors.
pub fn stats(context: &mut Context, args: &Stats) -> Result<(), Error> {
    let store = context.store()?;
    let mut wanted = mount::list(&store)?;
    wanted.retain(|listed| listed.state == State::Alive);
    let mut failed = false;
    if !args.directories.is_empty() {
        for directory in &args.directories {
            if !wanted.iter().any(|listed| is_at(listed, directory)) {
                failed = true;
                let message = format!("{}: not a live mount of this store", directory.display());
                let error = Error::failed(message).hint("`shale mounts` lists them");
                context.out.error(&error);
            }
        }
        wanted.retain(|listed| args.directories.iter().any(|place| is_at(listed, place)));
    }
    let mut rows = Vec::new();
    for listed in wanted {
        match mount::figures(&listed.record.mountpoint) {
            Ok(figures) => {
                let memory = process::resident(listed.record.pid).unwrap_or(0);
                rows.push(Row { listed, figures, memory });
            }
            Err(error) => {
                failed = true;
                context.out.error(&error.into());
            }
        }
    }
    match args.format.as_deref() {
        None | Some("") => context.out.data(&for_people(&rows))?,
        Some("prometheus") => context.out.data(&prometheus(&rows))?,
        Some(format) => {
            let rows = rows.iter().map(value);
            Format::parse(format)?.print(&mut context.out, &COLUMNS, rows)?;
        }
    }
    if failed { Err(Error::Said { status: status::FAILED }) } else { Ok(()) }
}

const COLUMNS: Columns = Columns {
    row: "stats",
    titles: &[
        ("Dir", "DIR"),
        ("Image", "IMAGE"),
        ("ID", "ID"),
        ("PID", "PID"),
        ("Uptime", "UPTIME"),
        ("Memory", "MEMORY"),
        ("Requests", "REQUESTS"),
        ("Content", "CONTENT"),
    ],
    table: String::new(),
};

/// Whether a mount is on this directory. Asks no file system that is mounted there.
fn is_at(listed: &Listed, directory: &Path) -> bool {
    let real = crate::fuse::MountPoint::find(directory).map(|point| point.path().to_owned());
    real.is_ok_and(|path| path == listed.record.mountpoint)
}

fn value(row: &Row) -> Value {
    let record = &row.listed.record;
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let requests: serde_json::Map<_, _> =
        row.figures.requests().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let content: serde_json::Map<_, _> =
        row.figures.content().map(|(name, value)| (name.to_owned(), value.into())).collect();
    Value::from(Struct::row(
        "stats",
        vec![
            Field::new("Dir", record.mountpoint.to_string_lossy().into_owned()),
            Field::new("Image", familiar(&record.image)),
            Field::new("ID", record.id.as_str()),
            Field::new("PID", i64::from(record.pid)),
            Field::new("Uptime", number(row.listed.uptime.as_secs())),
            Field::new("Memory", number(row.memory)),
            Field::new("Requests", Value::from_json_exact(&requests.into())),
            Field::new("Content", Value::from_json_exact(&content.into())),
        ],
    ))
}

fn for_people(rows: &[Row]) -> String {
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        text.push_str(&paragraph(row));
    }
    text
}

fn paragraph(row: &Row) -> String {
    let (record, figures) = (&row.listed.record, &row.figures);
    let mut requests: Vec<_> = figures.requests().filter(|(_, count)| *count > 0).collect();
    requests.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let total: u64 = requests.iter().map(|(_, count)| count).sum();
    let kinds: Vec<_> = requests.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let spent = Duration::from_nanos(figures.get("decode_nanos"));
    let size = |name| units::size(figures.get(name));
    let lines = [
        (
            "image",
            format!("{}, for {}", familiar(&record.image), units::duration(row.listed.uptime)),
        ),
        ("requests", format!("{total} ({})", kinds.join(", "))),
        (
            "served",
            format!(
                "{}, {} of it from extracted files; {} files before they were asked for",
                size("bytes_served"),
                size("extracted_bytes_served"),
                figures.get("files_sent_ahead")
            ),
        ),
        (
            "decoded",
            format!(
                "{} in {} spans, {:.3} s; {} of it kept on disk, read {} times",
                size("bytes_decoded"),
                figures.get("spans_decoded"),
                spent.as_secs_f64(),
                size("bytes_swapped"),
                figures.get("swap_reads")
            ),
        ),
        (
            "span cache",
            format!(
                "{}, {} hits, {} waits, {} decoders started",
                size("bytes_cached"),
                figures.get("cache_hits"),
                figures.get("waits"),
                figures.get("resumes")
            ),
        ),
        ("memory", units::size(row.memory)),
    ];
    let mut text = format!("{}\n", record.mountpoint.display());
    let refused = figures.get("calls_refused");
    let refused = (refused > 0).then(|| ("refused", format!("{refused} system calls")));
    for (title, line) in lines.into_iter().chain(refused) {
        // A String takes everything.
        let _ = writeln!(text, "  {title:<12}{line}");
    }
    text
}

/// The text form that Prometheus reads (exposition format 0.0.4).
fn prometheus(rows: &[Row]) -> String {
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, lines: Vec<String>| {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{}", lines.concat());
    };
    let requests = |row: &Row| {
        let labels = labels(row);
        let line =
            |(kind, count)| format!("shale_requests_total{{{labels},kind=\"{kind}\"}} {count}\n");
        row.figures.requests().map(line).collect::<String>()
    };
    let help = "Requests of the kernel by their kind.";
    metric("shale_requests_total", "counter", help, rows.iter().map(requests).collect());
    for (figure, kind, help) in METRICS {
        let suffix = if kind == "counter" { "_total" } else { "" };
        let name = format!("shale_{figure}{suffix}");
        let line = |row: &Row| {
            let value = row.figures.get(figure);
            format!("{name}{{{}}} {value}\n", labels(row))
        };
        metric(&name, kind, help, rows.iter().map(line).collect());
    }
    let memory = |row: &Row| format!("shale_resident_bytes{{{}}} {}\n", labels(row), row.memory);
    let help = "Resident memory of the server.";
    metric("shale_resident_bytes", "gauge", help, rows.iter().map(memory).collect());
    text
}

/// Figures other than requests as metrics.
const METRICS: [(&str, &str, &str); 15] = [
    ("reads", "counter", "Reads of file bytes."),
    ("bytes_served", "counter", "Bytes handed to readers."),
    ("bytes_decoded", "counter", "Uncompressed bytes decoded."),
    ("spans_decoded", "counter", "Spans decoded."),
    ("bytes_cached", "gauge", "Bytes of decoded spans in memory."),
    ("cache_hits", "counter", "Spans found in memory."),
    ("waits", "counter", "Times a reader waited for another's decoding."),
    ("resumes", "counter", "Times decoding began at a checkpoint."),
    ("decode_nanos", "counter", "Nanoseconds spent decoding and checking, over all threads."),
    ("spans_swapped", "counter", "Spans kept on disk because they are wanted again and again."),
    ("bytes_swapped", "gauge", "Bytes of the disk that those take until the mount ends."),
    ("swap_reads", "counter", "Reads of decoded bytes on disk: of a span, or of a small file."),
    ("extracted_bytes_served", "counter", "Bytes served from extracted files."),
    ("files_extracted", "counter", "Files extracted."),
    ("files_sent_ahead", "counter", "Files given to the kernel before it asked for them."),
];

fn labels(row: &Row) -> String {
    let record = &row.listed.record;
    let dir = label(&record.mountpoint.to_string_lossy());
    format!("mount=\"{dir}\",image=\"{}\"", label(&record.image))
}

/// A label's value: three characters have to be escaped.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_quoted() {
        assert_eq!(label("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }

    #[test]
    fn every_figure_of_the_content_is_a_metric() {
        let figures = crate::content::Stats::default().figures();
        let mut known: Vec<&str> = METRICS.iter().map(|(name, _, _)| *name).collect();
        assert_eq!(known.pop(), Some("files_sent_ahead"), "which is the serving side's");
        assert_eq!(figures.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), known);
    }
}
