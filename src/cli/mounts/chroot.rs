//! `chroot`.

use std::path::Path;

use crate::chroot::{self, ChrootError, KeepError, Request, Wishes};
use crate::cli::args::Chroot;
use crate::cli::context::Context;
use crate::cli::error::{Error, chain};
use crate::cli::mounts::mount::{chosen_name, image};

/// Exit status of a run that failed before the command, as Docker has it.
const NOT_STARTED: u8 = 125;

/// `shale chroot`
pub fn chroot(context: &mut Context, args: &Chroot) -> Result<(), Error> {
    let store = context.store()?;
    let (image, _held) = image(context, &args.wanted)?;
    let name = chosen_name(&args.wanted.image, &image).unwrap_or_else(|| image.id.to_string());
    context.out.flush()?;
    let request = Request {
        wishes: Wishes {
            command: args.command.clone(),
            env: args.env.clone(),
            working_dir: args.workdir.clone(),
            user: args.user.clone(),
        },
        volumes: args.volume.clone(),
        read_only: args.read_only,
        keep: args.keep.clone(),
        no_network: args.net == "none",
    };
    match chroot::run(&store, &image, &name, &request) {
        Ok(0) => Ok(()),
        Ok(status) => Err(Error::Said { status }),
        Err(error) => Err(refusal(error)),
    }
}

fn refusal(error: ChrootError) -> Error {
    let (status, hint) = match &error {
        ChrootError::Image(_) => {
            return match error {
                ChrootError::Image(error) => error.into(),
                other => Error::failed(chain(&other)),
            };
        }
        ChrootError::Inside { code, .. } => (*code, None),
        ChrootError::Mount(error) => (NOT_STARTED, error.hint().map(str::to_owned)),
        ChrootError::Namespaces(_) => (NOT_STARTED, Some(namespaces_hint())),
        ChrootError::Keep(KeepError::OtherImage { .. } | KeepError::Foreign { .. }) => {
            (NOT_STARTED, Some("choose an empty or missing directory with `--keep`".to_owned()))
        }
        _ => (NOT_STARTED, None),
    };
    Error::Failed { message: chain(&error), hint, status }
}

/// Switches by which distributions forbid user namespaces, and the value that forbids.
const SWITCHES: [(&str, &str); 3] = [
    ("kernel/unprivileged_userns_clone", "0"),
    ("user/max_user_namespaces", "0"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1"),
];

fn namespaces_hint() -> String {
    let forbids = |(path, value): &&(&str, &str)| {
        std::fs::read_to_string(Path::new("/proc/sys").join(path))
            .is_ok_and(|text| text.trim() == *value)
    };
    let switch = SWITCHES.iter().find(forbids);
    let why = switch.map_or_else(
        || "user namespaces may be switched off, or this is a container without them".to_owned(),
        |(path, value)| {
            format!("user namespaces are restricted (sysctl {}={value})", path.replace('/', "."))
        },
    );
    format!("{why}; root outside of containers needs none")
}
